package io.safelora.method;

import static io.safelora.method.Fixtures.MODULE;
import static io.safelora.method.Fixtures.oracle;
import static io.safelora.method.Fixtures.update;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.Floats;
import io.safelora.contract.SelectionOptions;
import io.safelora.method.Sweep.Point;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RepairingTest {
    @TempDir
    Path dir;

    /** What the services do in two tasks is what the command line does in one: the same files, byte for byte. */
    @ParameterizedTest
    @ValueSource(strings = {"adapter", "tuned"})
    void aSweepsPointsAreTheRepairsThatTheyName(String kind) throws IOException {
        SelectionOptions sweep = SelectionOptions.of(Map.of(
                "number", 2, "sweep", Map.of("repair", List.of("safe-lora", "safety-vector"), "rank", List.of(2))));
        List<String> measured = new ArrayList<>();
        Repairing repairing = repairing(kind);
        List<Point> points = repairing.sweep(sweep, (share, words) -> measured.add(words));
        assertThat(points)
                .extracting(Point::name)
                .containsExactly(
                        "safe-lora approximate, lowest 2",
                        "safety-vector rank 2 gamma 1",
                        "drop approximate, lowest 2",
                        "scale 0.5");
        assertThat(measured).as("each module is measured once").doesNotHaveDuplicates();
        for (Point point : points) {
            assertThat(point.selected()).hasSize(Repair.of(point.options()).everyModule() ? 4 : 2);
            Path out = dir.resolve(point.name());
            SelectionReport report = repairing.repair(point, out, Progress.NONE);
            assertThat(new TreeSet<>(report.selected())).isEqualTo(point.selected());
            Path alone = dir.resolve(point.name() + " alone");
            assertThat(repairing(kind).run(point.options(), alone, Progress.NONE))
                    .isEqualTo(report);
            try (var files = Files.list(alone)) {
                for (Path file : files.toList()) {
                    assertThat(out.resolve(file.getFileName())).hasSameBinaryContentAs(file);
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"adapter", "tuned"})
    void progressGoesFromNothingToAll(String kind) throws IOException {
        List<Double> shares = new ArrayList<>();
        List<String> words = new ArrayList<>();
        repairing(kind).run(SelectionOptions.of(Map.of("strategy", "all")), dir.resolve("out"), (share, word) -> {
            shares.add(share);
            words.add(word);
        });
        assertThat(shares).isSorted().first().isEqualTo(0.0);
        assertThat(words).last().isEqualTo("4 of 4 modules repaired");
        assertThat(shares).endsWith(1.0);
        if (kind.equals("tuned")) {
            // Four modules are measured, and then four repaired.
            assertThat(shares).containsExactly(0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0);
        }
    }

    /** s' B' A' has its own scale, which is neither 1 nor the adapter's. */
    @Test
    void safeMergeTakesBothScales() throws IOException {
        int out = 6;
        int in = 5;
        Checkpoint base = Fixtures.model(dir.resolve("base"), new float[out * in], out);
        Checkpoint aligned = Fixtures.model(dir.resolve("aligned"), Fixtures.normal(new Random(1), out * in), out);
        PeftAdapter adapter = Fixtures.adapter(2, 6, in, out, 2);
        PeftAdapter safety = Fixtures.adapter(3, 15, in, out, 3);
        Sources sources = new Sources(base, aligned, safety);
        SelectionOptions options = Fixtures.options(Map.of("repair", "safe-merge", "blend", 0.25));
        new Repairing(new TunedAdapter(adapter, sources)).run(options, dir.resolve("adapter"), Progress.NONE);
        double[] before = update(adapter.modules().get(MODULE));
        double[] safe = update(safety.modules().get(MODULE));
        double[] after =
                update(PeftAdapter.open(dir.resolve("adapter")).modules().get(MODULE));
        float[] start = floats(aligned);
        float[] tuned = new float[out * in];
        for (int i = 0; i < tuned.length; i++) {
            assertThat(after[i]).isCloseTo(0.75 * before[i] + 0.25 * safe[i], within(1e-5));
            tuned[i] = (float) (start[i] + before[i]);
        }
        Fixtures.model(dir.resolve("tuned"), tuned, out);
        new Repairing(FineTuned.open(dir.resolve("tuned"), sources)).run(options, dir.resolve("out"), Progress.NONE);
        float[] repaired = floats(Checkpoint.open(dir.resolve("out")));
        for (int i = 0; i < repaired.length; i++) {
            assertThat((double) repaired[i]).isCloseTo(start[i] + 0.75 * before[i] + 0.25 * safe[i], within(1e-5));
        }
    }

    @Test
    void whatASafetyAdapterDoesNotFitIsSaid() throws IOException {
        Checkpoint base = Fixtures.model(dir.resolve("base"), new float[30], 6);
        Checkpoint aligned = Fixtures.model(dir.resolve("aligned"), Fixtures.normal(new Random(1), 30), 6);
        SelectionOptions options = Fixtures.options(Map.of("repair", "safe-merge"));
        for (PeftAdapter safety : List.of(Fixtures.adapter(3, 3, 6, 6, 3), Fixtures.adapter(3, 3, 5, 5, 3))) {
            Repairing repairing = new Repairing(
                    new TunedAdapter(Fixtures.adapter(2, 2, 5, 6, 2), new Sources(base, aligned, safety)));
            assertThatThrownBy(() -> repairing.run(options, dir.resolve("out"), Progress.NONE))
                    .isInstanceOf(InvalidArtifactException.class)
                    .hasMessageContaining("selection.safety_adapter: has no module " + MODULE + " of shape (6, 5)");
        }
    }

    /** More rows than are read at once: what is written must lie where it was read. */
    @Test
    void largeWeightsAreRepairedInAllTheirChunks() throws IOException {
        int out = 2200;
        int in = 1024;
        float[] start = Fixtures.normal(new Random(1), out * in);
        float[] aligned = start.clone();
        float[] tuned = new float[out * in];
        for (int i = 0; i < start.length; i++) {
            aligned[i] += 0.5f;
            tuned[i] = aligned[i] + (i % 9 - 4) * 0.25f;
        }
        Sources sources = new Sources(
                Fixtures.model(dir.resolve("base"), start, out),
                Fixtures.model(dir.resolve("aligned"), aligned, out),
                null);
        Fixtures.model(dir.resolve("tuned"), tuned, out);
        SelectionOptions half = Fixtures.options(Map.of("repair", "scale", "scale", 0.5));
        new Repairing(FineTuned.open(dir.resolve("tuned"), sources)).run(half, dir.resolve("out"), Progress.NONE);
        float[] repaired = floats(Checkpoint.open(dir.resolve("out")));
        float worst = 0;
        for (int i = 0; i < repaired.length; i++) {
            worst = Math.max(worst, Math.abs(repaired[i] - (aligned[i] + tuned[i]) / 2));
        }
        assertThat(worst).isLessThan(1e-6f);
    }

    @Test
    void anOutputThatMustNotBeWrittenIsRefusedBeforeAnythingIsMeasured() throws IOException {
        List<String> work = new ArrayList<>();
        for (Path input : List.of(oracle("llama/tuned"), oracle("llama/base"), oracle("llama/aligned"))) {
            assertThatThrownBy(() ->
                            repairing("tuned").run(SelectionOptions.DEFAULTS, input, (share, words) -> work.add(words)))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining(input + ": is an input");
        }
        assertThat(work).isEmpty();
        // A repaired checkpoint may be written again, and an adapter over itself.
        for (int i = 0; i < 2; i++) {
            repairing("tuned").run(SelectionOptions.DEFAULTS, dir.resolve("out"), Progress.NONE);
            repairing("adapter").run(SelectionOptions.DEFAULTS, dir.resolve("out adapter"), Progress.NONE);
        }
        try (var files = Files.list(dir.resolve("out"))) {
            assertThat(files.map(file -> file.getFileName().toString())).noneMatch(name -> name.endsWith(".part"));
        }
    }

    @Test
    void aLoraOfScaleZeroCannotBeAddedTo() throws IOException {
        Sources sources = new Sources(
                Fixtures.model(dir.resolve("base"), new float[30], 6),
                Fixtures.model(dir.resolve("aligned"), Fixtures.normal(new Random(1), 30), 6),
                null);
        TunedAdapter adapter = new TunedAdapter(Fixtures.adapter(2, 0, 5, 6, 2), sources);
        SelectionOptions options = Fixtures.options(Map.of("repair", "safety-vector"));
        assertThatThrownBy(() -> adapter.repaired(List.of(), Set.of(MODULE), options, Progress.NONE))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining("lora_alpha is 0")
                .hasMessageContaining(MODULE);
    }

    @Test
    void theFirstTripletsOfMoreAreThoseOfFewer() {
        float[] b = {1, 2, 3, 4, 5, 6};
        float[] a = {10, 11, 20, 21, 30, 31};
        SingularTriplets three = new SingularTriplets(3, b, a);
        assertThat(three.first(3)).isSameAs(three);
        SingularTriplets two = three.first(2);
        assertThat(two.k()).isEqualTo(2);
        assertThat(two.b()).containsExactly(1, 2, 4, 5);
        assertThat(two.a()).containsExactly(10, 11, 20, 21);
    }

    private static Repairing repairing(String kind) throws IOException {
        return new Repairing(FineTuned.open(oracle("llama/" + kind), Fixtures.sources("llama")));
    }

    private static float[] floats(Checkpoint checkpoint) {
        return Floats.decode(checkpoint.map(MODULE + ".weight"), Dtype.F32);
    }
}
