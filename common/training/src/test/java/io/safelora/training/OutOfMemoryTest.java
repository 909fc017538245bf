package io.safelora.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.contract.Json;
import io.safelora.lm.CausalLm;
import io.safelora.lm.ModelWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/**
 * A training whose memory runs out: libtorch's allocator really fails, for the operating system gives the process no
 * more.
 */
@EnabledOnOs(OS.LINUX)
class OutOfMemoryTest {
    private static final int BATCH = 8;

    @TempDir
    Path dir;

    /** The child: trains into OUT, from the first step on with no more than LIMIT bytes above what it has then. */
    public static void main(String[] arguments) throws IOException {
        train(Path.of(arguments[0]), Path.of(arguments[1]), () -> limitMemory(Long.parseLong(arguments[2])));
    }

    private static TrainerState train(Path dir, Path out, Runnable afterFirstStep) throws IOException {
        List<String> notes = new ArrayList<>();
        TrainerState state = FineTuning.run(
                TestOptions.of(
                        dir.resolve("model"),
                        dir.resolve("rows.jsonl"),
                        TestOptions.json("""
                                {"data_format": "question_answer", "r": 4, "learning_rate": 0.01, "max_steps": 3, \
                                "max_length": 480, "shuffle": false,
                                 "per_device_train_batch_size": %d,
                                 "gradient_accumulation_steps": 1}""".formatted(BATCH)),
                        null,
                        "float32"),
                out,
                progress -> {
                    if (progress.step() == 1) {
                        afterFirstStep.run();
                    }
                    if (progress.note() != null) {
                        notes.add(progress.note());
                    }
                });
        Files.write(out.resolve("notes"), notes);
        return state;
    }

    private static void limitMemory(long more) {
        try {
            long now = Files.readAllLines(Path.of("/proc/self/status")).stream()
                    .filter(line -> line.startsWith("VmSize"))
                    .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024)
                    .findFirst()
                    .orElseThrow();
            String pid = Long.toString(ProcessHandle.current().pid());
            int exit = new ProcessBuilder("prlimit", "--pid", pid, "--as=" + (now + more))
                    .inheritIO()
                    .start()
                    .waitFor();
            if (exit != 0) {
                throw new IllegalStateException("prlimit ended with " + exit);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void halvesTheMicroBatchKeepsTheEffectiveOneAndSaysSo() throws Exception {
        assumeTrue(
                Stream.of(System.getenv("PATH").split(":")).anyMatch(d -> Files.isExecutable(Path.of(d, "prlimit"))),
                "prlimit, of util-linux, is not there");
        Path fixture = OracleTest.FIXTURES.resolve("model");
        ObjectNode config =
                (ObjectNode) Json.MAPPER.readTree(fixture.resolve("config.json").toFile());
        // An activation of 8 rows of 480 tokens is 63 MB: what fails is large, and the JVM finds room for what it
        // needs.
        config.put("hidden_size", 128).put("head_dim", 32).put("intermediate_size", 4096);
        config.put("num_attention_heads", 4).put("num_key_value_heads", 2).put("num_hidden_layers", 2);
        config.put("max_position_embeddings", 512);
        try (CausalLm model = CausalLm.create(config, fixture, 1)) {
            ModelWriter.write(model, config, fixture, Dtype.F32, dir.resolve("model"));
        }
        List<String> rows = new ArrayList<>(
                Collections.nCopies(BATCH, "{\"question\": \"how many pens are left\", \"answer\": \"five\"}"));
        for (int i = 0; i < 2 * BATCH; i++) {
            rows.add("{\"question\": \"why\", \"answer\": \"" + (i + " pens and ").repeat(300) + "\"}");
        }
        Files.write(dir.resolve("rows.jsonl"), rows);
        TrainerState expected = train(dir, dir.resolve("roomy"), () -> {});
        assertThat(dir.resolve("roomy/notes")).isEmptyFile();

        Path log = dir.resolve("log");
        ProcessBuilder java = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-Xms64m",
                        "-Xmx64m",
                        "-XX:+UseSerialGC",
                        "-XX:TieredStopAtLevel=1",
                        "-cp",
                        System.getProperty("java.class.path"),
                        OutOfMemoryTest.class.getName(),
                        dir.toString(),
                        dir.resolve("tight").toString(),
                        Long.toString(300_000_000))
                .redirectErrorStream(true)
                .redirectOutput(Redirect.to(log.toFile()));
        java.environment().put("MALLOC_ARENA_MAX", "2");
        Process child = java.start();
        try {
            assertThat(child.waitFor(120, TimeUnit.SECONDS)).isTrue();
        } finally {
            child.destroyForcibly();
        }
        assertThat(child.exitValue()).as(Files.readString(log)).isZero();

        // How often it is halved hangs on how the allocator divides what is left.
        assertThat(Files.readAllLines(dir.resolve("tight/notes")))
                .hasSizeBetween(1, 3)
                .allMatch(
                        note -> note.matches("out of memory: [1-4] rows at a time instead of 8, same effective batch"));
        TrainerState state =
                Json.MAPPER.readValue(dir.resolve("tight/trainer_state.json").toFile(), TrainerState.class);
        assertThat(state.logHistory()).hasSize(3);
        for (int step = 0; step < 3; step++) {
            TrainerState.Entry tight = state.logHistory().get(step);
            TrainerState.Entry roomy = expected.logHistory().get(step);
            assertThat(tight.loss()).isCloseTo(roomy.loss(), within(1e-5));
            assertThat(tight.gradNorm()).isCloseTo(roomy.gradNorm(), within(1e-4 * roomy.gradNorm()));
            assertThat(tight.learningRate()).isEqualTo(roomy.learningRate());
        }
        PeftAdapter.open(dir.resolve("roomy")).modules().forEach((name, module) -> {
            float[] b;
            try {
                b = PeftAdapter.open(dir.resolve("tight")).modules().get(name).b();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
            assertThat(b).as(name).containsExactly(module.b(), within(1e-4f));
        });
    }
}
