package io.safelora.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.torch.Tensors;
import io.safelora.torch.Torch;
import io.safelora.training.TrainerState.Entry;
import io.safelora.training.TrainingData.Example;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What each option does to a training, and each format of its rows. */
class TrainingOptionsTest {
    private static final Path MODEL = OracleTest.FIXTURES.resolve("model");
    private static final Path ROWS = OracleTest.FIXTURES.resolve("rows.jsonl");

    @TempDir
    Path dir;

    private TrainerState train(String json, Path rows, Path safety, Path validation, FineTuning.StepHook hook)
            throws IOException {
        FineTuning.Options options = TestOptions.of(MODEL, rows, TestOptions.json(json), null, "float32");
        return FineTuning.run(
                new FineTuning.Options(
                        MODEL, rows, safety, validation, options.training(), null, "cpu", "float32", options.origin()),
                dir.resolve("out"),
                null,
                hook,
                progress -> {});
    }

    private TrainerState train(String json, Path rows) throws IOException {
        return train(json, rows, null, null, parameters -> {});
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = ';',
            value = {
                "rows.parquet; rows.jsonl; question_answer; false",
                "messages.parquet; messages.jsonl; messages; true",
            })
    void parquetIsTheSameRows(String parquet, String json, String format, boolean chat) throws IOException {
        String options =
                "{\"max_steps\": 3, \"data_format\": \"" + format + "\", \"apply_chat_template\": " + chat + "}";
        var expected = train(options, OracleTest.FIXTURES.resolve(json)).logHistory();
        assertThat(train(options, OracleTest.FIXTURES.resolve(parquet)).logHistory())
                .isEqualTo(expected);
    }

    @Test
    void brokenParquetIsOneClearLine() throws IOException {
        byte[] whole = Files.readAllBytes(OracleTest.FIXTURES.resolve("rows.parquet"));
        for (int length : new int[] {4, 5, 100, whole.length / 2, whole.length - 1}) {
            Path cut = Files.write(dir.resolve("cut.parquet"), Arrays.copyOf(whole, length));
            assertThatThrownBy(() -> train("{}", cut))
                    .isInstanceOf(InvalidArtifactException.class)
                    .hasMessageContaining("cut.parquet")
                    .message()
                    .doesNotContain("\n");
        }
        for (int i = 0; i < whole.length; i += 397) {
            byte[] flipped = whole.clone();
            flipped[i] ^= 0x55;
            Path file = Files.write(dir.resolve("flipped.parquet"), flipped);
            try {
                train("{\"max_steps\": 1}", file);
            } catch (IllegalArgumentException e) {
                assertThat(e.getMessage()).contains("flipped.parquet").doesNotContain("\n");
            }
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = ';',
            quoteCharacter = '`',
            value = {
                "'target_modules': 'all-linear' ; 14 ;"
                        + " 'down_proj','gate_proj','k_proj','o_proj','q_proj','up_proj','v_proj'",
                "'target_modules': '.*\\.1\\..*(q|v)_proj' ; 2 ; '.*\\.1\\..*(q|v)_proj'",
                "'target_modules': ['mlp.up_proj', 'model.layers.0.self_attn.q_proj'] ; 3 ;"
                        + " 'mlp.up_proj','model.layers.0.self_attn.q_proj'",
                "'target_modules': ['q_proj'], 'layers_to_transform': [1] ; 1 ; 'q_proj'",
                "'target_modules': 'all-linear', 'layers_to_transform': [0], 'use_rslora': true ; 7 ; 'down_proj'",
            })
    void targetsAreChosenAsPeftDoes(String option, int modules, String written) throws IOException {
        train("{\"max_steps\": 1, \"r\": 4, \"lora_alpha\": 6, " + json(option) + "}", ROWS);
        PeftAdapter adapter = PeftAdapter.open(dir.resolve("out"));
        assertThat(adapter.modules()).hasSize(modules);
        assertThat(adapter.config().json().toString()).contains(json(written));
        assertThat(adapter.modules().values())
                .allMatch(m -> m.scale() == (option.contains("rslora") ? 6 / Math.sqrt(4) : 1.5));
        assertThat(Files.readString(dir.resolve("out/README.md"))).contains("| target_modules |");
    }

    private static String json(String quoted) {
        return quoted.replace("\\", "\\\\").replace('\'', '"');
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'target_modules': '(a+)+$(' | target_modules",
                "'target_modules': '(.*.*.*.*.*.*.*)*x' | target_modules",
                "'target_modules': 'q_proj' | target_modules",
                "'target_modules': '.*q_proj', 'layers_to_transform': [0] | layers_to_transform",
                "'layers_to_transform': [0, 7] | layers_to_transform",
                "'early_stopping_patience': 1 | validation_data",
            })
    void optionsThatDoNotFitAreNamed(String option, String named) {
        assertThatThrownBy(() -> train("{" + json(option) + "}", ROWS))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("training." + named);
    }

    @Test
    void lossOnAllTokensIsAnotherLoss() throws IOException {
        String options = "{\"max_steps\": 1, \"shuffle\": false%s}";
        double completion = train(options.formatted(""), ROWS).last().loss();
        double all = train(options.formatted(", \"completion_only_loss\": false"), ROWS)
                .last()
                .loss();
        assertThat(all).isNotCloseTo(completion, within(1e-3));
    }

    @Test
    void safetyRowsAreMixedInAtTheirRatio() throws IOException {
        List<Example> rows = IntStream.range(0, 40)
                .mapToObj(i -> new Example(new int[] {i}, new int[] {i}))
                .toList();
        List<Example> safety = IntStream.range(100, 104)
                .mapToObj(i -> new Example(new int[] {i}, new int[] {i}))
                .toList();
        List<Integer> mixed = TrainingData.mixed(rows, safety, 0.25, 3).stream()
                .map(e -> e.ids()[0])
                .toList();
        assertThat(mixed)
                .hasSize(50)
                .containsSubsequence(IntStream.range(0, 40).boxed().toList());
        // Evenly: one after every fourth row; every safety row twice before any comes a third time.
        assertThat(IntStream.range(0, 50).filter(i -> mixed.get(i) >= 100).boxed())
                .containsExactlyElementsOf(
                        IntStream.range(0, 10).map(i -> 5 * i + 4).boxed().toList());
        for (int i = 100; i < 104; i++) {
            int row = i;
            assertThat(mixed.stream().filter(m -> m == row).count()).isBetween(2L, 3L);
        }
        Path refusals = Files.writeString(
                dir.resolve("safety.jsonl"), "{\"prompt\": \"Question: bad\\nAnswer:\", \"completion\": \" no\"}\n");
        String options = "{\"num_train_epochs\": 1, \"per_device_train_batch_size\": 1, \"safety_data\": \"file:x\","
                + " \"safety_data_format\": \"prompt_completion\", \"safety_ratio\": 0.5}";
        assertThat(train(options, ROWS, refusals, null, parameters -> {}).globalStep())
                .isEqualTo(72);
    }

    @Test
    void earlyStoppingKeepsTheAdapterOfTheLowestEvalLoss() throws IOException {
        // A learning rate that overshoots: sooner or later eval_loss rises.
        String options =
                "{\"learning_rate\": 0.3, \"lr_scheduler_type\": \"constant\", \"max_steps\": 40, \"eval_steps\": 1%s}";
        TrainerState state =
                train(options.formatted(", \"early_stopping_patience\": 2"), ROWS, null, ROWS, parameters -> {});
        List<Double> evals = new ArrayList<>();
        state.logHistory().stream().map(Entry::evalLoss).filter(e -> e != null).forEach(evals::add);
        assertThat(state.globalStep()).isLessThan(40).isEqualTo(evals.size());
        assertThat(state.bestMetric())
                .isEqualTo(evals.stream().min(Double::compare).orElseThrow());
        assertThat(state.bestGlobalStep()).isEqualTo(state.globalStep() - 2);
        byte[] best = Files.readAllBytes(dir.resolve("out/adapter_model.safetensors"));
        train(options.formatted("").replace("\"max_steps\": 40", "\"max_steps\": " + state.bestGlobalStep()), ROWS);
        assertThat(Files.readAllBytes(dir.resolve("out/adapter_model.safetensors")))
                .isEqualTo(best);
    }

    @Test
    void zeroMeansNoClipping() throws IOException {
        String options = "{\"max_steps\": 2, \"learning_rate\": 0.01, \"lr_scheduler_type\": \"constant\","
                + " \"max_grad_norm\": %s}";
        var never = train(options.formatted("0"), ROWS).logHistory();
        assertThat(train(options.formatted("1e6"), ROWS).logHistory()).isEqualTo(never);
        assertThat(train(options.formatted("1e-7"), ROWS).logHistory()).isNotEqualTo(never);
    }

    @Test
    void hookSeesEveryStepAndMayChangeTheParameters() throws IOException {
        List<Integer> calls = new ArrayList<>();
        train("{\"max_steps\": 3, \"learning_rate\": 0.1}", ROWS, null, null, parameters -> {
            calls.add(parameters.size());
            NDArray b = parameters.get("model.layers.0.self_attn.q_proj.lora_B.weight");
            Tensors.copy(b, b.getManager().zeros(b.getShape()));
        });
        assertThat(calls).containsExactly(28, 28, 28);
        var modules = PeftAdapter.open(dir.resolve("out")).modules();
        assertThat(modules.get("model.layers.0.self_attn.q_proj").b()).containsOnly(0f);
        assertThat(modules.get("model.layers.1.self_attn.q_proj").b()).isNotEqualTo(new float[32 * 16]);
    }

    @Test
    void outOfMemoryHalvesThePartsAndKeepsTheStep() {
        List<Example> rows = IntStream.range(0, 11)
                .mapToObj(i -> new Example(new int[] {i, i}, new int[] {i, i}))
                .toList();
        MicroBatches batches = new MicroBatches(8);
        List<Example> passed = new ArrayList<>();
        try (NDManager manager = Torch.manager(Device.cpu())) {
            batches.run(
                    rows,
                    part -> {
                        passed.addAll(part);
                        // A petabyte for three rows and more: PyTorch's own failure, not one of ours.
                        return manager.zeros(new Shape(part.size() > 2 ? 1L << 48 : 1));
                    },
                    passed::clear);
            assertThat(batches.size()).isEqualTo(2);
            assertThat(passed).isEqualTo(rows);
            assertThatThrownBy(() -> batches.run(rows, part -> manager.zeros(new Shape(1L << 48)), passed::clear))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("gradient_checkpointing");
        }
    }
}
