package io.safelora.method;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.SafetensorsWriter;
import io.safelora.artifacts.safetensors.TensorData;
import io.safelora.artifacts.safetensors.TensorInfo;
import io.safelora.contract.Json;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Against dense arithmetic in float64; src/test/resources/oracle/make_analysis.py made its results. */
class AlignmentAnalysisTest {
    @TempDir
    Path dir;

    @ParameterizedTest
    @CsvSource({
        "float32,float32/base,float32/aligned,F32",
        "float16,float16/base,float16/aligned,F16",
        "bfloat16,bfloat16/base,bfloat16/aligned,BF16",
        "float32-bfloat16,float32/base,bfloat16/aligned,BF16",
        "spectra,spectra/base,spectra/aligned,BF16",
    })
    void equalsDenseArithmetic(String name, String base, String aligned, String comparedAs) throws Exception {
        JsonNode expected =
                Json.MAPPER.readTree(oracle("analysis-" + name + ".json").toFile());
        Alignment alignment =
                AlignmentAnalysis.run(Checkpoint.open(oracle(base)), Checkpoint.open(oracle(aligned)), Progress.NONE);
        assertThat(alignment.modules()).hasSize(expected.size());
        for (int i = 0; i < expected.size(); i++) {
            JsonNode e = expected.get(i);
            ModuleAlignment m = alignment.modules().get(i);
            assertThat(m.module()).isEqualTo(e.get("module").asText());
            assertThat(m.comparedAs()).isEqualTo(comparedAs);
            close(m.deltaNorm(), e.get("delta_norm"), 1e-6);
            close(m.baseNorm(), e.get("base_norm"), 1e-6);
            close(
                    m.relative(),
                    e.get("delta_norm").asDouble() / e.get("base_norm").asDouble(),
                    1e-6);
            close(m.equalShare(), e.get("equal_share"), 1e-12);
            close(m.oneUlpShare(), e.get("one_ulp_share"), 1e-12);
            // A spectrum as flat as rounding's is the hardest: after three rounds the first directions are still 1 %
            // short.
            close(m.spectral(), e.get("spectral"), name.equals("spectra") ? 1e-2 : 1e-6);
            close(m.stableRank(), e.get("stable_rank"), name.equals("spectra") ? 2e-2 : 2e-6);
            for (int k = 0; k < alignment.directions().size(); k++) {
                double truth = e.get("energy_shares").get(k).asDouble();
                assertThat(Math.abs(truth - m.energyShares().get(k)))
                        .as("%s, first %s", m.module(), alignment.directions().get(k))
                        .isLessThanOrEqualTo(m.energyErrors().get(k))
                        .isLessThan(0.02);
            }
            // A few hundred elements: the estimate can be no better than their number allows.
            assertThat(m.roundingShare())
                    .isCloseTo(
                            e.get("rounding_share").asDouble(),
                            within(0.02 + 0.1 * e.get("rounding_share").asDouble()));
            assertThat(m.mostlyRounding()).isEqualTo(m.roundingShare() >= 0.5);
        }
        if (name.equals("spectra")) {
            assertThat(alignment.mostlyRounding()).isEqualTo(1);
            assertThat(alignment.modules().get(0).mostlyRounding()).isTrue();
        }
    }

    /** A matrix large enough for bfloat16, made of cosines, so that its singular values are known. */
    @Test
    void aLargeMatrixIsWithinItsBounds() throws IOException {
        int rows = 1280;
        int columns = 1000;
        int rank = 200;
        double total = 0;
        double[] squares = new double[rank];
        double[][] left = new double[rank][];
        double[][] right = new double[rank][];
        for (int i = 0; i < rank; i++) {
            squares[i] = Math.pow(0.9, i) + 1e-3;
            total += squares[i];
            left[i] = cosines(rows, i, Math.sqrt(squares[i]));
            right[i] = cosines(columns, i, 1);
        }
        float[] v = new float[rows * columns];
        for (int i = 0; i < rank; i++) {
            for (int r = 0; r < rows; r++) {
                float x = (float) left[i][r];
                for (int c = 0; c < columns; c++) {
                    v[r * columns + c] += x * (float) right[i][c];
                }
            }
        }
        Checkpoint base = write("base", Map.of("w.weight", tensor(Dtype.F32, rows, columns, new float[v.length])));
        Checkpoint aligned = write("aligned", Map.of("w.weight", tensor(Dtype.F32, rows, columns, v)));
        ModuleAlignment m =
                AlignmentAnalysis.run(base, aligned, Progress.NONE).modules().get(0);
        close(m.deltaNorm(), Math.sqrt(total), 1e-5);
        assertThat(m.relative()).isNull();
        close(m.spectral(), Math.sqrt(squares[0]), 1e-3);
        for (int i = 0; i < Sketch.DIRECTIONS.size(); i++) {
            double truth = 0;
            for (int k = 0; k < Sketch.DIRECTIONS.get(i); k++) {
                truth += squares[k] / total;
            }
            assertThat(Math.abs(m.energyShares().get(i) - truth))
                    .isLessThanOrEqualTo(m.energyErrors().get(i))
                    .isLessThan(5e-3);
            assertThat(m.energyErrors().get(i)).isLessThan(0.08);
        }
    }

    @Test
    void theSameBytesWhateverTheCoresAndTheParts() throws IOException {
        Map<String, TensorData> w = new java.util.HashMap<>();
        Map<String, TensorData> changed = new java.util.HashMap<>();
        Random random = new Random(5);
        for (int i = 0; i < 6; i++) {
            int rows = 300 + 500 * (i % 3);
            float[] x = gaussian(random, rows * 1024, 0.02f);
            w.put("m" + i + ".weight", tensor(Dtype.BF16, rows, 1024, x));
            float[] d = gaussian(random, x.length, 1e-3f);
            for (int k = 0; k < x.length; k++) {
                x[k] += d[k];
            }
            changed.put("m" + i + ".weight", tensor(Dtype.BF16, rows, 1024, x));
        }
        Checkpoint base = write("base", w);
        Checkpoint aligned = write("aligned", changed);
        List<TensorInfo> weights = AlignmentAnalysis.weights(base, aligned);
        byte[] once = Json.pretty(AlignmentAnalysis.run(base, aligned, weights, Progress.NONE));
        // A part of one module is worked on by one thread, the whole by as many as there are cores.
        List<ModuleAlignment> parts = new ArrayList<>();
        for (List<TensorInfo> part : List.of(weights.subList(0, 1), weights.subList(1, 2), weights.subList(2, 6))) {
            parts.addAll(AlignmentAnalysis.run(base, aligned, part, Progress.NONE));
        }
        assertThat(Json.pretty(parts)).isEqualTo(once);
    }

    @Test
    void whatStaysEqualHasNoSpectrum() throws IOException {
        float[] x = gaussian(new Random(1), 64, 1);
        float[] y = x.clone();
        y[5] += 1;
        Checkpoint base =
                write("base", Map.of("a.weight", tensor(Dtype.F32, 8, 8, x), "b.weight", tensor(Dtype.F32, 8, 8, x)));
        Checkpoint aligned = write(
                "aligned", Map.of("a.weight", tensor(Dtype.F32, 8, 8, x), "b.weight", tensor(Dtype.F32, 8, 8, y)));
        List<ModuleAlignment> modules =
                AlignmentAnalysis.run(base, aligned, Progress.NONE).modules();
        ModuleAlignment a = modules.get(0);
        assertThat(a.equalShare()).isEqualTo(1);
        assertThat(a.deltaNorm()).isZero();
        assertThat(a.stableRank()).isNull();
        assertThat(a.energyShares()).isEmpty();
        assertThat(a.mostlyRounding()).isTrue();
        ModuleAlignment b = modules.get(1);
        assertThat(b.energyShares().get(0)).isCloseTo(1, within(1e-6));
        close(b.stableRank(), 1, 1e-6);
        assertThatThrownBy(() -> AlignmentAnalysis.run(base, base, Progress.NONE))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining(dir.resolve("base").toString())
                .hasMessageContaining("equal weights");
    }

    private static double[] cosines(int n, int i, double scale) {
        double[] x = new double[n];
        for (int j = 0; j < n; j++) {
            x[j] = scale * Math.sqrt((i == 0 ? 1.0 : 2.0) / n) * Math.cos(Math.PI * (j + 0.5) * i / n);
        }
        return x;
    }

    private static float[] gaussian(Random random, int n, float scale) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = scale * (float) random.nextGaussian();
        }
        return values;
    }

    private static TensorData tensor(Dtype dtype, int rows, int columns, float[] values) {
        return TensorData.of(dtype, new long[] {rows, columns}, values);
    }

    private Checkpoint write(String model, Map<String, TensorData> tensors) throws IOException {
        SafetensorsWriter.write(dir.resolve(model).resolve("model.safetensors"), tensors, Map.of());
        return Checkpoint.open(dir.resolve(model));
    }

    private static void close(double actual, JsonNode expected, double relative) {
        close(actual, expected.asDouble(), relative);
    }

    private static void close(double actual, double expected, double relative) {
        assertThat(actual).isCloseTo(expected, within(relative * Math.abs(expected)));
    }

    private static Path oracle(String path) throws URISyntaxException {
        return Path.of(AlignmentAnalysisTest.class.getResource("/oracle").toURI())
                .resolve(path);
    }
}
