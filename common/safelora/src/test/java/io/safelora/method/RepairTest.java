package io.safelora.method;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.Floats;
import io.safelora.artifacts.safetensors.SafetensorsFile;
import io.safelora.contract.Json;
import io.safelora.contract.SelectionOptions;
import io.safelora.contract.SelectionOptions.Projector;
import io.safelora.method.Selection.Candidate;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Every repair, of adapters and of fine-tuned checkpoints, against dense float64 numbers: a Llama in float32, a Phi-3
 * (fused modules) in bfloat16, a GPT-2 (transposed weights) in float16, all in shards.
 * src/test/resources/oracle/README.md says how the numbers were made.
 */
class RepairTest {
    static final Map<String, Map<String, Object>> REPAIRS = Map.of(
            "approximate", Map.of("projector", "approximate"),
            "normalized", Map.of("projector", "normalized"),
            "exact", Map.of("projector", "exact"),
            "subspace", Map.of("projector", "subspace", "energy", 0.8),
            "blend", Map.of("projector", "approximate", "blend", 0.3),
            "scale", Map.of("repair", "scale", "scale", 0.25),
            "safe-merge", Map.of("repair", "safe-merge", "blend", 0.6),
            "safety-vector", Map.of("repair", "safety-vector", "rank", 3, "gamma", 0.5));

    @TempDir
    Path dir;

    @ParameterizedTest
    @ValueSource(strings = {"llama", "phi3", "gpt2"})
    void adapters(String family) throws IOException {
        PeftAdapter adapter = PeftAdapter.open(oracle(family + "/adapter"));
        JsonNode cosines = cosines(family, "adapter");
        SafetensorsFile expected = SafetensorsFile.open(oracle(family + "/expected.safetensors"));
        for (String repair : REPAIRS.keySet()) {
            SelectionOptions options = options(REPAIRS.get(repair));
            List<ModuleMeasure> measures = measure(family, adapter, options);
            assertThat(measures).hasSize(4);
            for (ModuleMeasure m : measures) {
                assertThat(m.cosine())
                        .isCloseTo(
                                cosines.get(options.projector().name())
                                        .get(m.module())
                                        .asDouble(),
                                within(1e-5));
            }
            repair(family, adapter, measures, options).write(dir.resolve(repair));
            for (LoraModule m : PeftAdapter.open(dir.resolve(repair)).modules().values()) {
                float[] update = floats(expected, "adapter/" + repair + "/" + m.name());
                assertThat(distance(dense(m), update) / norm(update))
                        .as(repair + " " + m.name())
                        .isLessThan(1e-5);
            }
        }
        PeftAdapter dropped = repair(family, adapter, List.of(), options(Map.of("repair", "drop")));
        dropped.modules().values().forEach(m -> assertThat(m.b()).containsOnly(0));
    }

    @ParameterizedTest
    @ValueSource(strings = {"llama", "phi3", "gpt2"})
    void fineTunedCheckpoints(String family) throws IOException {
        JsonNode cosines = cosines(family, "tuned");
        SafetensorsFile expected = SafetensorsFile.open(oracle(family + "/expected.safetensors"));
        for (String repair : REPAIRS.keySet()) {
            SelectionOptions options = options(REPAIRS.get(repair));
            SelectionReport report = repairTuned(family, options, dir.resolve(repair));
            assertThat(report.selected()).hasSize(4);
            for (SelectionReport.Measured m : report.modules()) {
                assertThat(m.cosine())
                        .isCloseTo(
                                cosines.get(options.projector().name())
                                        .get(m.module())
                                        .asDouble(),
                                within(1e-5));
                float[] weight = floats(expected, "tuned/" + repair + "/" + m.module());
                assertRounded(stored(dir.resolve(repair), family, m.module()), weight, family);
            }
        }
        repairTuned(family, options(Map.of("repair", "drop")), dir.resolve("drop"));
        Checkpoint aligned = Checkpoint.open(oracle(family + "/aligned"));
        Checkpoint dropped = Checkpoint.open(dir.resolve("drop"));
        for (String module : names(cosines.get("exact"))) {
            assertThat(dropped.map(module + ".weight")).isEqualTo(aligned.map(module + ".weight"));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"llama", "phi3", "gpt2"})
    void allButTheChosenWeightsStayBitForBit(String family) throws IOException {
        Path tuned = oracle(family + "/tuned");
        SelectionReport report =
                repairTuned(family, options(Map.of("strategy", "number", "number", 2)), dir.resolve("out"));
        assertThat(report.selected())
                .containsExactlyElementsOf(names(cosines(family, "tuned").get("approximate")).stream()
                        .sorted((a, b) -> Double.compare(cosine(family, a), cosine(family, b)))
                        .limit(2)
                        .toList());
        Checkpoint before = Checkpoint.open(tuned);
        Checkpoint after = Checkpoint.open(dir.resolve("out"));
        for (String name : before.names()) {
            assertThat(after.info(name)).isEqualTo(before.info(name));
            if (report.selected().contains(name.replace(".weight", ""))) {
                assertThat(after.map(name)).as(name).isNotEqualTo(before.map(name));
            } else {
                assertThat(after.map(name)).as(name).isEqualTo(before.map(name));
            }
        }
        for (String file : List.of("config.json", "tokenizer.json", "model.safetensors.index.json")) {
            assertThat(dir.resolve("out").resolve(file)).hasSameBinaryContentAs(tuned.resolve(file));
        }
        assertThat(dir.resolve("out")).isDirectoryContaining("glob:**selection.json");
        try (var files = Files.list(dir.resolve("out"))) {
            assertThat(files).hasSize(6);
        }

        PeftAdapter adapter = PeftAdapter.open(oracle(family + "/adapter"));
        SelectionOptions two = options(Map.of("strategy", "number", "number", 2));
        List<ModuleMeasure> measures = measure(family, adapter, two);
        Set<String> selected = Selection.select(Candidate.of(measures), two);
        PeftAdapter repaired =
                new TunedAdapter(adapter, sources(family)).repaired(measures, selected, two, Progress.NONE);
        adapter.modules().forEach((name, m) -> {
            assertThat(repaired.modules().get(name).a()).isEqualTo(m.a());
            assertThat(repaired.modules().get(name).b().equals(m.b())).isNotEqualTo(selected.contains(name));
        });
    }

    @Test
    void exactIsTheIdentityWhereVHasFullRowRankAndSaysSo() throws IOException {
        PeftAdapter adapter = PeftAdapter.open(oracle("phi3/adapter"));
        SelectionOptions exact = options(Map.of("projector", "exact"));
        List<ModuleMeasure> measures = measure("phi3", adapter, exact);
        for (ModuleMeasure m : measures) {
            LoraModule module = adapter.modules().get(m.module());
            assertThat(m.identity()).isEqualTo(module.out() <= module.in());
            if (m.identity()) {
                assertThat(m.projectedB()).isEqualTo(module.b());
                assertThat(m.cosine()).isCloseTo(1, within(1e-12));
                assertThat(m.shift()).isZero();
            }
        }
        assertThat(SelectionReport.of(
                                Checkpoint.open(oracle("phi3/base")),
                                Checkpoint.open(oracle("phi3/aligned")),
                                measures,
                                Set.of(),
                                exact,
                                List.of(),
                                Outside.NONE)
                        .warning())
                .contains("full row rank in 2 of 4 modules", "changes nothing");
        assertThat(repairTuned("phi3", exact, dir.resolve("out")).warning()).contains("full row rank in 2 of 4");
    }

    /** The stages' way: measured, chosen and written by themselves; what it is follows from the folder. */
    @ParameterizedTest
    @ValueSource(strings = {"llama", "gpt2"})
    void adaptersAndCheckpointsAreToldApartAndRepairedAlike(String family) throws IOException {
        FineTuned adapter = FineTuned.open(oracle(family + "/adapter"), sources(family));
        FineTuned weights = FineTuned.open(oracle(family + "/tuned"), sources(family));
        assertThat(adapter).isInstanceOf(TunedAdapter.class);
        assertThat(weights).isInstanceOf(TunedCheckpoint.class);
        // GPT-2's aligned checkpoint lacks "transformer." here; what is chosen before training has it all the same.
        assertThat(AlignmentAnalysis.run(
                                Checkpoint.open(oracle(family + "/base")),
                                Checkpoint.open(oracle(family + "/aligned")),
                                Progress.NONE)
                        .modules())
                .extracting(ModuleAlignment::module)
                .containsExactlyElementsOf(weights.modules());
        SelectionOptions options = options(Map.of());
        String chosen = weights.modules().iterator().next();
        Set<String> affected = Selection.affected(weights.modules(), Set.of(chosen), options);
        assertThat(affected).containsExactly(chosen);
        for (FineTuned tuned : List.of(adapter, weights)) {
            List<ModuleMeasure> measures = tuned.measure(options, Progress.NONE);
            assertThat(measures).hasSize(tuned.modules().size());
            Path out = Files.createDirectories(dir.resolve(tuned.getClass().getSimpleName()));
            tuned.repair(measures, affected, options, out, Progress.NONE);
            assertThat(FineTuned.open(out, sources(family))).hasSameClassAs(tuned);
        }
        Checkpoint before = Checkpoint.open(oracle(family + "/tuned"));
        Checkpoint after = Checkpoint.open(dir.resolve("TunedCheckpoint"));
        assertThat(before.names().stream().filter(n -> !before.map(n).equals(after.map(n))))
                .containsExactly(chosen + ".weight");
    }

    @Test
    void whatCannotBeRepairedIsRefused() throws IOException {
        Path tuned = oracle("llama/tuned");
        SelectionOptions options = options(Map.of());
        Path other = Files.createDirectories(dir.resolve("other"));
        Files.write(other.resolve("model.safetensors"), new byte[8]);
        assertThatThrownBy(() -> repairTuned("llama", options, other))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("holds model.safetensors");
        assertThatThrownBy(() -> repairTuned("llama", options, tuned))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("is an input");
        Checkpoint base = Checkpoint.open(oracle("llama/base"));
        Sources sources = new Sources(base, Checkpoint.open(oracle("llama/aligned")), null);
        assertThatThrownBy(() -> run(oracle("llama/aligned"), sources, options, "a"))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining("nothing to repair");
        assertThatThrownBy(() -> run(tuned, new Sources(base, base, null), options, "b"))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining("no alignment to keep");
        assertThatThrownBy(() -> run(oracle("phi3/tuned"), sources, options, "c"))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining("model.layers.0.mlp");
        assertThatThrownBy(() -> run(tuned, sources, options(Map.of("repair", "safe-merge")), "d"))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining("safety_adapter: is missing");
        assertThat(Files.list(dir.resolve("d"))).isEmpty();
    }

    private SelectionReport run(Path tuned, Sources sources, SelectionOptions options, String out) throws IOException {
        return new Repairing(FineTuned.open(tuned, sources)).run(options, dir.resolve(out), Progress.NONE);
    }

    private static List<ModuleMeasure> measure(String family, PeftAdapter adapter, SelectionOptions options)
            throws IOException {
        return new TunedAdapter(adapter, sources(family)).measure(options, Progress.NONE);
    }

    private static Sources sources(String family) throws IOException {
        return new Sources(
                Checkpoint.open(oracle(family + "/base")),
                Checkpoint.open(oracle(family + "/aligned")),
                PeftAdapter.open(oracle(family + "/safety")));
    }

    private static PeftAdapter repair(
            String family, PeftAdapter adapter, List<ModuleMeasure> measures, SelectionOptions options)
            throws IOException {
        return new TunedAdapter(adapter, sources(family))
                .repaired(measures, adapter.modules().keySet(), options, Progress.NONE);
    }

    private static SelectionReport repairTuned(String family, SelectionOptions options, Path out) throws IOException {
        return new Repairing(FineTuned.open(oracle(family + "/tuned"), sources(family)))
                .run(options, out, Progress.NONE);
    }

    private static SelectionOptions options(Map<String, ?> fields) {
        Map<String, Object> all = new HashMap<>(Map.of("strategy", "all"));
        all.putAll(fields);
        return SelectionOptions.of(all);
    }

    private static JsonNode cosines(String family, String side) {
        try {
            return Json.MAPPER
                    .readTree(oracle(family + "/expected.json").toFile())
                    .get(side);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private static double cosine(String family, String module) {
        return cosines(family, "tuned")
                .get(Projector.approximate.name())
                .get(module)
                .asDouble();
    }

    private static List<String> names(JsonNode object) {
        return object.properties().stream().map(Map.Entry::getKey).toList();
    }

    private static float[] floats(SafetensorsFile file, String name) {
        return Floats.decode(file.map(name), Dtype.F32);
    }

    /** A weight of a checkpoint as (out, in). */
    private static float[] stored(Path checkpoint, String family, String module) throws IOException {
        Checkpoint file = Checkpoint.open(checkpoint);
        var info = file.info(module + ".weight");
        float[] w = Floats.decode(file.map(module + ".weight"), info.dtype());
        if (!family.equals("gpt2")) {
            return w;
        }
        int rows = (int) info.shape()[0];
        int columns = (int) info.shape()[1];
        float[] t = new float[w.length];
        for (int i = 0; i < w.length; i++) {
            t[i % columns * rows + i / columns] = w[i];
        }
        return t;
    }

    /** Every element is the expected one, rounded to the family's type: half a unit in the last place off at most. */
    private static void assertRounded(float[] actual, float[] expected, String family) {
        assertThat(actual).hasSameSizeAs(expected);
        double half = Math.pow(2, Map.of("llama", -24, "phi3", -8, "gpt2", -11).get(family));
        for (int i = 0; i < actual.length; i++) {
            assertThat((double) actual[i]).isCloseTo(expected[i], within(half * Math.abs(expected[i]) + 2e-7));
        }
    }

    /** s B A (out, in), in float64 */
    private static double[] dense(LoraModule m) {
        double[] update = new double[m.out() * m.in()];
        for (int o = 0; o < m.out(); o++) {
            for (int k = 0; k < m.r(); k++) {
                for (int i = 0; i < m.in(); i++) {
                    update[o * m.in() + i] += m.scale() * m.b()[o * m.r() + k] * m.a()[k * m.in() + i];
                }
            }
        }
        return update;
    }

    private static double distance(double[] a, float[] b) {
        assertThat(a.length).isEqualTo(b.length);
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += Math.pow(a[i] - b[i], 2);
        }
        return Math.sqrt(sum);
    }

    private static double norm(float[] x) {
        return distance(new double[x.length], x);
    }

    private static Path oracle(String file) {
        try {
            return Path.of(RepairTest.class.getResource("/oracle").toURI()).resolve(file);
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }
}
