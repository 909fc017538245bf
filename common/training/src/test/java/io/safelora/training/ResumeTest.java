package io.safelora.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.safelora.artifacts.ResumePoint;
import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A training that was stopped at any moment ends with the bytes of one that was not. */
class ResumeTest {
    private static final List<String> FILES =
            List.of("adapter_model.safetensors", "adapter_config.json", "trainer_state.json", "README.md");
    private static final List<String> CHECKPOINT_FILES =
            List.of("model.safetensors", "config.json", "trainer_state.json", "README.md");
    private static final String OPTIONS =
            "{\"r\": 4, \"lora_dropout\": 0.1, \"learning_rate\": 0.01, \"max_steps\": 240, \"save_steps\": 3,"
                    + " \"eval_steps\": 7}";
    private static final String FULL =
            "{\"method\": \"full\", \"learning_rate\": 0.001, \"weight_decay\": 0.1, \"max_steps\": 150,"
                    + " \"save_steps\": 3, \"eval_steps\": 7}";

    @TempDir
    Path dir;

    /** The child: trains into OUT, or goes on with what a killed one left there. */
    public static void main(String[] arguments) throws IOException {
        train(Path.of(arguments[0]), arguments[1], progress -> {});
    }

    private static TrainerState train(Path out, String options, FineTuning.Listener listener) throws IOException {
        Path rows = OracleTest.FIXTURES.resolve("rows.jsonl");
        FineTuning.Options all =
                TestOptions.of(OracleTest.FIXTURES.resolve("model"), rows, TestOptions.json(options), null, "float32");
        return FineTuning.run(
                new FineTuning.Options(
                        all.model(), rows, null, rows, all.training(), null, "cpu", "float32", all.origin()),
                out,
                ResumePoint.at(out.resolve("checkpoint/training.safetensors")),
                parameters -> {},
                listener);
    }

    @ParameterizedTest
    @ValueSource(strings = {OPTIONS, FULL})
    void killedAtRandomMomentsItEndsWithTheSameBytes(String options) throws Exception {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        train(dir.resolve("whole"), options, progress -> {});
        Path out = dir.resolve("killed");
        Path checkpoint = out.resolve("checkpoint/training.safetensors");
        int kills = 0;
        while (true) {
            Process child = new ProcessBuilder(
                            Path.of(System.getProperty("java.home"), "bin", "java")
                                    .toString(),
                            "-cp",
                            System.getProperty("java.class.path"),
                            ResumeTest.class.getName(),
                            out.toString(),
                            options)
                    .redirectErrorStream(true)
                    .redirectOutput(Redirect.appendTo(dir.resolve("log").toFile()))
                    .start();
            try {
                if (kills < (options.equals(FULL) ? 2 : 4)) {
                    // Not before it has saved something; then at any moment of computing, writing or renaming.
                    var before = Files.exists(checkpoint) ? Files.getLastModifiedTime(checkpoint) : null;
                    while (child.isAlive()
                            && (!Files.exists(checkpoint)
                                    || Files.getLastModifiedTime(checkpoint).equals(before))) {
                        Thread.sleep(1);
                    }
                    Thread.sleep(random.nextInt(300));
                    if (child.isAlive()) {
                        child.destroyForcibly(); // SIGKILL
                        child.waitFor();
                        kills++;
                        continue;
                    }
                }
                assertThat(child.waitFor(120, TimeUnit.SECONDS))
                        .as("seed %s", seed)
                        .isTrue();
                assertThat(child.exitValue())
                        .as("seed %s: %s", seed, Files.readString(dir.resolve("log")))
                        .isZero();
                break;
            } finally {
                child.destroyForcibly();
            }
        }
        assertThat(kills).as("kills").isPositive();
        for (String file : options.equals(FULL) ? CHECKPOINT_FILES : FILES) {
            assertThat(out.resolve(file))
                    .as("seed %s, %s kills", seed, kills)
                    .hasSameBinaryContentAs(dir.resolve("whole").resolve(file));
        }
    }

    @Test
    void stoppedBetweenCheckpointsItGoesOnFromTheLast() throws IOException {
        String options = OPTIONS.replace("240", "20");
        train(dir.resolve("whole"), options, progress -> {});
        Path out = dir.resolve("stopped");
        for (int stop : new int[] {2, 8, 17}) {
            assertThatThrownBy(() -> train(out, options, progress -> {
                        if (progress.step() == stop) {
                            throw new CancellationException();
                        }
                    }))
                    .isInstanceOf(CancellationException.class);
        }
        List<Integer> steps = new ArrayList<>();
        List<String> notes = new ArrayList<>();
        train(out, options, progress -> {
            steps.add(progress.step());
            notes.add(progress.note());
        });
        assertThat(steps).containsExactly(16, 17, 18, 19, 20);
        assertThat(notes.get(0)).endsWith("resumed after step 15");
        for (String file : FILES) {
            assertThat(out.resolve(file))
                    .hasSameBinaryContentAs(dir.resolve("whole").resolve(file));
        }
    }

    @Test
    void earlyStoppingGoesOnAsWell() throws IOException {
        String options = "{\"learning_rate\": 0.3, \"lr_scheduler_type\": \"constant\", \"max_steps\": 40,"
                + " \"eval_steps\": 1, \"early_stopping_patience\": 2, \"save_steps\": 1}";
        TrainerState whole = train(dir.resolve("whole"), options, progress -> {});
        Path out = dir.resolve("stopped");
        // At the step whose eval_loss is the first that is worse: the best adapter is in the checkpoint.
        int stop = whole.bestGlobalStep() + 2;
        assertThatThrownBy(() -> train(out, options, progress -> {
                    if (progress.step() == stop) {
                        throw new CancellationException();
                    }
                }))
                .isInstanceOf(CancellationException.class);
        assertThat(train(out, options, progress -> {})).isEqualTo(whole);
        assertThat(out.resolve(FILES.get(0))).hasSameBinaryContentAs(dir.resolve("whole/" + FILES.get(0)));
    }

    @Test
    void aBrokenCheckpointOrOneOfAnotherTrainingIsNotUsed() throws IOException {
        String options = OPTIONS.replace("240", "4");
        train(dir.resolve("whole"), options, progress -> {});
        Path checkpoint = dir.resolve("whole/checkpoint/training.safetensors");
        byte[] good = Files.readAllBytes(checkpoint);
        for (String broken : List.of("cut", "empty", "other")) {
            Path out = dir.resolve(broken);
            Files.createDirectories(out.resolve("checkpoint"));
            byte[] bytes =
                    switch (broken) {
                        case "cut" -> java.util.Arrays.copyOf(good, good.length / 2);
                        case "empty" -> new byte[0];
                        default ->
                            new String(good, java.nio.charset.StandardCharsets.ISO_8859_1)
                                    .replace("\"fingerprint\":\"fingerprint\"", "\"fingerprint\":\"othertrains\"")
                                    .getBytes(java.nio.charset.StandardCharsets.ISO_8859_1);
                    };
            Files.write(out.resolve("checkpoint/training.safetensors"), bytes);
            List<Integer> steps = new ArrayList<>();
            train(out, options, progress -> steps.add(progress.step()));
            assertThat(steps).as(broken).containsExactly(1, 2, 3, 4);
            assertThat(out.resolve(FILES.get(0))).hasSameBinaryContentAs(dir.resolve("whole/" + FILES.get(0)));
        }
    }

    @Test
    void divergenceLeavesTheLastGoodCheckpoint() {
        // Finite until the hook spoils a parameter.
        Path out = dir.resolve("diverging");
        Path rows = OracleTest.FIXTURES.resolve("rows.jsonl");
        int[] steps = {0};
        assertThatThrownBy(() -> FineTuning.run(
                        TestOptions.of(
                                OracleTest.FIXTURES.resolve("model"),
                                rows,
                                TestOptions.json("{\"save_steps\": 2}"),
                                null,
                                "float32"),
                        out,
                        ResumePoint.at(out.resolve("checkpoint/training.safetensors")),
                        parameters -> {
                            if (++steps[0] == 5) {
                                var a = parameters.values().iterator().next();
                                io.safelora.torch.Tensors.copy(
                                        a, a.getManager().zeros(a.getShape()).add(Float.NaN));
                            }
                        },
                        progress -> {}))
                .isInstanceOf(TrainingDivergedException.class)
                .hasMessageContaining("step 6")
                .hasMessageContaining("last good checkpoint is " + out.resolve("checkpoint/training.safetensors"));
        List<Integer> after = new ArrayList<>();
        assertThatThrownBy(() -> FineTuning.run(
                        TestOptions.of(
                                OracleTest.FIXTURES.resolve("model"),
                                rows,
                                TestOptions.json("{\"save_steps\": 2}"),
                                null,
                                "float32"),
                        dir.resolve("again"),
                        ResumePoint.at(out.resolve("checkpoint/training.safetensors")),
                        parameters -> {},
                        progress -> {
                            after.add(progress.step());
                            throw new CancellationException();
                        }))
                .isInstanceOf(CancellationException.class);
        assertThat(after).containsExactly(5);
    }
}
