package io.safelora.method;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.LoraConfig;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.Floats;
import io.safelora.artifacts.safetensors.SafetensorsFile;
import io.safelora.artifacts.safetensors.SafetensorsWriter;
import io.safelora.artifacts.safetensors.TensorData;
import io.safelora.contract.Json;
import io.safelora.contract.SelectionOptions;
import io.safelora.contract.SelectionOptions.Projector;
import io.safelora.contract.SelectionOptions.Strategy;
import io.safelora.method.Selection.Candidate;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Against the dense float64 reference; src/test/resources/oracle/README.md says how its results were made. */
class SafeLoraTest {
    private static final Path ORACLE = oracle();

    @TempDir
    Path dir;

    @ParameterizedTest
    @CsvSource({
        "float32,approximate", "float32,exact",
        "bfloat16,approximate", "bfloat16,exact",
        "float16,approximate", "float16,exact"
    })
    void equalsTheReference(String dtype, Projector projector) throws IOException {
        PeftAdapter adapter = PeftAdapter.open(ORACLE.resolve("adapter"));
        JsonNode expected = Json.MAPPER.readTree(
                ORACLE.resolve(dtype + "/" + projector + "-number.json").toFile());
        SelectionOptions number = options(
                "strategy", Strategy.number, "number", expected.get("selected").size(), "projector", projector);
        List<ModuleMeasure> measures = measure(open(dtype + "/base"), open(dtype + "/aligned"), adapter, number);

        assertThat(measures).hasSize(expected.get("modules").size());
        for (JsonNode e : expected.get("modules")) {
            ModuleMeasure m = measures.stream()
                    .filter(x -> x.module().equals(e.get("module").asText()))
                    .findFirst()
                    .orElseThrow();
            assertThat(m.cosine()).isCloseTo(e.get("cosine").asDouble(), within(1e-5));
            assertThat(m.shift()).isCloseTo(e.get("shift").asDouble(), within(1e-5));
            assertThat(m.deltaNorm()).isCloseTo(e.get("delta_norm").asDouble(), within(1e-6));
            assertThat(m.relative()).isCloseTo(e.get("relative").asDouble(), within(1e-6));
            if (m.spectral() != null) {
                assertThat(m.spectral()).isCloseTo(e.get("spectral").asDouble(), within(1e-6));
            }
        }

        Set<String> selected = Selection.select(Candidate.of(measures), number);
        assertThat(selected).isEqualTo(names(expected));
        JsonNode threshold = Json.MAPPER.readTree(
                ORACLE.resolve(dtype + "/" + projector + "-threshold.json").toFile());
        assertThat(Selection.select(
                        Candidate.of(measures),
                        options(
                                "strategy",
                                Strategy.threshold,
                                "threshold",
                                projector == Projector.approximate ? 0.5 : 0.95)))
                .isEqualTo(names(threshold));

        repair(adapter, measures, selected, number).write(dir);
        SelectionReport.of(
                        open(dtype + "/base"),
                        open(dtype + "/aligned"),
                        measures,
                        selected,
                        number,
                        List.of(),
                        Outside.NONE)
                .write(dir);
        SafetensorsFile ours = SafetensorsFile.open(dir.resolve("adapter_model.safetensors"));
        SafetensorsFile theirs =
                SafetensorsFile.open(ORACLE.resolve(dtype + "/" + projector + "/adapter_model.safetensors"));
        assertThat(ours.tensors()).isEqualTo(theirs.tensors());
        assertThat(ours.metadata()).isEqualTo(theirs.metadata());
        for (String name : theirs.tensors().keySet()) {
            boolean projected =
                    name.endsWith("lora_B.weight") && selected.stream().anyMatch(name::contains);
            if (projected) {
                assertThat(relativeDifference(
                                Floats.decode(ours.map(name), Dtype.F32), Floats.decode(theirs.map(name), Dtype.F32)))
                        .as(name)
                        .isLessThan(1e-5);
            } else {
                assertThat(ours.map(name)).as(name + " bit for bit").isEqualTo(theirs.map(name));
            }
        }
        JsonNode report = Json.MAPPER.readTree(dir.resolve("selection.json").toFile());
        assertThat(names(report)).isEqualTo(selected);
        assertThat(PeftAdapter.open(dir).modules()).hasSameSizeAs(adapter.modules());
    }

    @Test
    void subspaceOfAllEnergyIsExactAndOfLittleEnergyHasLowRank() throws IOException {
        PeftAdapter adapter = PeftAdapter.open(ORACLE.resolve("adapter"));
        Checkpoint base = open("float32/base");
        Checkpoint aligned = open("float32/aligned");
        List<ModuleMeasure> exact = measure(base, aligned, adapter, projector(Projector.exact, 1));
        List<ModuleMeasure> all = measure(base, aligned, adapter, projector(Projector.subspace, 1));
        List<ModuleMeasure> half = measure(base, aligned, adapter, projector(Projector.subspace, 0.5));
        for (int i = 0; i < exact.size(); i++) {
            assertThat(all.get(i).shrinkage()).isCloseTo(exact.get(i).shrinkage(), within(1e-6));
            assertThat(half.get(i).rank()).isBetween(1, 3);
            // An orthogonal projection: the cosine is the share of the norm that is kept.
            assertThat(half.get(i).cosine()).isCloseTo(half.get(i).shrinkage(), within(1e-6));
        }
    }

    @Test
    void transposedWeightsOfGpt2GiveTheSame() throws IOException {
        Random random = new Random(3);
        float[] w = random(random, 12 * 20, 1);
        float[] v = random(random, 12 * 20, 0.1f);
        float[] sum = new float[w.length];
        for (int i = 0; i < w.length; i++) {
            sum[i] = w[i] + v[i];
        }
        write("base", "h.0.attn.c_attn.weight", 12, 20, w);
        write("aligned", "h.0.attn.c_attn.weight", 12, 20, sum);
        write("base-t", "h.0.attn.c_attn.weight", 20, 12, transpose(w, 12, 20));
        write("aligned-t", "h.0.attn.c_attn.weight", 20, 12, transpose(sum, 12, 20));
        LoraConfig config = LoraConfig.of("gpt2", 2, 4, 0, List.of("c_attn"));
        LoraConfig transposed = new LoraConfig(config.json().deepCopy().put("fan_in_fan_out", true));
        LoraModule module = new LoraModule(
                "transformer.h.0.attn.c_attn", 2, 20, 12, random(random, 40, 1), random(random, 24, 1), 2, Dtype.F32);
        ModuleMeasure plain = measure(
                        Checkpoint.open(dir.resolve("base")),
                        Checkpoint.open(dir.resolve("aligned")),
                        PeftAdapter.of(config, List.of(module)),
                        projector(Projector.approximate, 1))
                .get(0);
        ModuleMeasure conv1d = measure(
                        Checkpoint.open(dir.resolve("base-t")),
                        Checkpoint.open(dir.resolve("aligned-t")),
                        PeftAdapter.of(transposed, List.of(module)),
                        projector(Projector.approximate, 1))
                .get(0);
        assertThat(conv1d.cosine()).isCloseTo(plain.cosine(), within(1e-6));
        assertThat(relativeDifference(conv1d.projectedB(), plain.projectedB())).isLessThan(1e-6);
    }

    @Test
    void analysisEqualsTheReference() throws IOException {
        JsonNode expected = Json.MAPPER
                .readTree(ORACLE.resolve("bfloat16/exact-number.json").toFile())
                .get("modules");
        List<ModuleAlignment> modules = AlignmentAnalysis.run(
                        open("bfloat16/base"), open("bfloat16/aligned"), Progress.NONE)
                .modules();
        assertThat(modules).hasSize(expected.size());
        for (JsonNode e : expected) {
            ModuleAlignment m = modules.stream()
                    .filter(x -> x.module().equals(e.get("module").asText()))
                    .findFirst()
                    .orElseThrow();
            assertThat(m.deltaNorm()).isCloseTo(e.get("delta_norm").asDouble(), within(1e-6));
            assertThat(m.relative()).isCloseTo(e.get("relative").asDouble(), within(1e-6));
            assertThat(m.equalShare()).isBetween(0.0, 0.2);
        }
    }

    @Test
    void brokenInputIsNamed() throws IOException {
        PeftAdapter adapter = PeftAdapter.open(ORACLE.resolve("adapter"));
        Checkpoint base = open("float32/base");
        SelectionOptions options = projector(Projector.approximate, 1);
        assertThatThrownBy(() -> measure(base, base, adapter, options))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining("equal weights");
        assertThatThrownBy(() -> AlignmentAnalysis.run(base, base, Progress.NONE))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining("equal weights");

        String name = "model.layers.0.mlp.down_proj";
        LoraModule module = adapter.modules().get(name);
        PeftAdapter one = PeftAdapter.of(adapter.config(), List.of(module));
        write("other-shape", name + ".weight", 40, 24, new float[960]);
        assertThatThrownBy(() -> measure(base, Checkpoint.open(dir.resolve("other-shape")), one, options))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining(name + " is 24 x 40")
                .hasMessageContaining("other-shape");

        float[] nan = new float[960];
        nan[500] = Float.NaN;
        write("nan", name + ".weight", 24, 40, nan);
        assertThatThrownBy(() -> measure(base, Checkpoint.open(dir.resolve("nan")), one, options))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining("tensor " + name + ".weight holds NaN")
                .hasMessageContaining("nan/model.safetensors");

        write("other-model", "model.other.weight", 24, 40, new float[960]);
        assertThatThrownBy(() -> measure(base, Checkpoint.open(dir.resolve("other-model")), one, options))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining("module " + name + " is not part of");
    }

    @Test
    void modulesThatAlignmentOrTrainingLeftAloneStayAsTheyAre() throws IOException {
        PeftAdapter adapter = PeftAdapter.open(ORACLE.resolve("adapter"));
        String untrained = "model.layers.0.mlp.down_proj";
        PeftAdapter zero = repair(adapter, List.of(), Set.of(untrained), options("repair", "drop"));
        SelectionOptions all = options("number", 100);
        List<ModuleMeasure> measures = measure(open("float32/base"), open("float32/aligned"), zero, all);
        assertThat(Selection.select(Candidate.of(measures), all)).hasSize(7).doesNotContain(untrained);
    }

    private static SelectionOptions projector(Projector projector, double energy) {
        return options("strategy", Strategy.all, "projector", projector, "energy", energy);
    }

    private static SelectionOptions options(Object... fields) {
        Map<String, Object> map = new HashMap<>();
        for (int i = 0; i < fields.length; i += 2) {
            map.put((String) fields[i], fields[i + 1]);
        }
        return SelectionOptions.of(map);
    }

    private static List<ModuleMeasure> measure(
            Checkpoint base, Checkpoint aligned, PeftAdapter adapter, SelectionOptions options) {
        return new TunedAdapter(adapter, new Sources(base, aligned, null)).measure(options, Progress.NONE);
    }

    private static PeftAdapter repair(
            PeftAdapter adapter, List<ModuleMeasure> measures, Set<String> selected, SelectionOptions options)
            throws IOException {
        Sources sources = new Sources(open("float32/base"), open("float32/aligned"), null);
        return new TunedAdapter(adapter, sources).repaired(measures, selected, options, Progress.NONE);
    }

    private void write(String model, String name, int rows, int columns, float[] values) throws IOException {
        Path to = dir.resolve(model);
        SafetensorsWriter.write(
                to.resolve("model.safetensors"),
                Map.of(name, TensorData.of(Dtype.F32, new long[] {rows, columns}, values)),
                Map.of());
    }

    private static float[] random(Random random, int n, float scale) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = scale * (float) random.nextGaussian();
        }
        return values;
    }

    private static float[] transpose(float[] x, int rows, int columns) {
        float[] t = new float[x.length];
        for (int i = 0; i < x.length; i++) {
            t[i % columns * rows + i / columns] = x[i];
        }
        return t;
    }

    private static Set<String> names(JsonNode document) {
        List<String> names = new ArrayList<>();
        document.get("selected").forEach(n -> names.add(n.asText()));
        return Set.copyOf(names);
    }

    /** |a - b| / |b| */
    private static double relativeDifference(float[] a, float[] b) {
        assertThat(a).hasSameSizeAs(b);
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < b.length; i++) {
            difference += Math.pow((double) a[i] - b[i], 2);
            norm += Math.pow(b[i], 2);
        }
        return Math.sqrt(difference / norm);
    }

    private static Checkpoint open(String model) throws IOException {
        return Checkpoint.open(ORACLE.resolve(model));
    }

    private static Path oracle() {
        try {
            return Path.of(SafeLoraTest.class.getResource("/oracle").toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }
}
