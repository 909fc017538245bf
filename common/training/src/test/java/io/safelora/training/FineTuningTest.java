package io.safelora.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.contract.TrainingOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class FineTuningTest {
    private static final FineTuning.Listener NOBODY = progress -> {};
    private static final String SHORT =
            "{\"r\": 4, \"lora_dropout\": 0.1, \"learning_rate\": 0.01, \"num_train_epochs\": 0.5}";

    @TempDir
    Path dir;

    private TrainerState train(String json, String dtype, String out) throws IOException {
        return train(TestOptions.json(json), dtype, out, OracleTest.FIXTURES.resolve("rows.jsonl"), NOBODY);
    }

    private TrainerState train(
            TrainingOptions options, String dtype, String out, Path rows, FineTuning.Listener listener)
            throws IOException {
        return FineTuning.run(
                TestOptions.of(OracleTest.FIXTURES.resolve("model"), rows, options, null, dtype),
                dir.resolve(out),
                listener);
    }

    @ParameterizedTest
    @CsvSource({"float32, false", "bfloat16, true"})
    void lossFalls(String dtype, boolean chat) throws IOException {
        var log = train(
                        "{\"r\": 8, \"learning_rate\": 0.02, \"num_train_epochs\": 2, \"apply_chat_template\": " + chat
                                + "}",
                        dtype,
                        "out")
                .logHistory();
        assertThat(log).hasSize(24);
        assertThat(log.get(23).loss()).isLessThan(0.85 * log.get(0).loss());
        assertThat(log.get(23).epoch()).isEqualTo(2);
    }

    @ParameterizedTest
    @CsvSource({"float32", "bfloat16"})
    void sameJobSameBytes(String dtype) throws IOException {
        train(SHORT, dtype, "one");
        train(SHORT, dtype, "two");
        train(SHORT.replace("{", "{\"seed\": 7, "), dtype, "other");
        for (String file :
                List.of("adapter_model.safetensors", "adapter_config.json", "trainer_state.json", "README.md")) {
            assertThat(dir.resolve("one/" + file)).hasSameBinaryContentAs(dir.resolve("two/" + file));
        }
        assertThat(Files.readAllBytes(dir.resolve("one/adapter_model.safetensors")))
                .isNotEqualTo(Files.readAllBytes(dir.resolve("other/adapter_model.safetensors")));
    }

    /**
     * The same row again and again, learnt from too slowly to change anything: gradient norms differ by what is
     * dropped, and by nothing else.
     */
    @Test
    void everyStepAndEveryMicroBatchDropsOtherElements() throws IOException {
        String row = "{\"question\": \"How many pears has Bo?\", \"answer\": \"He has 25.\"}";
        Path rows = rows(row, row, row, row);
        String options =
                "{\"r\": 4, \"learning_rate\": 1e-30, \"per_device_train_batch_size\": 1, \"num_train_epochs\": 1";
        List<Double> without = gradientNorms(options + "}", "without", rows);
        assertThat(without).hasSize(4).containsOnly(without.get(0));

        String dropping = options + ", \"lora_dropout\": 0.3";
        List<Double> steps = gradientNorms(dropping + "}", "steps", rows);
        assertThat(steps).hasSize(4).doesNotHaveDuplicates();
        assertThat(gradientNorms(dropping + "}", "again", rows)).isEqualTo(steps);
        assertThat(gradientNorms(dropping + ", \"seed\": 7}", "seed", rows)).doesNotContainAnyElementsOf(steps);

        // Two micro-batches with the mask of one would have its mean gradient.
        List<Double> micro = gradientNorms(dropping + ", \"gradient_accumulation_steps\": 2}", "micro", rows);
        assertThat(micro).hasSize(2);
        assertThat(micro.get(0)).isNotEqualTo(steps.get(0));
    }

    private List<Double> gradientNorms(String json, String out, Path rows) throws IOException {
        return train(TestOptions.json(json), "float32", out, rows, NOBODY).logHistory().stream()
                .map(TrainerState.Entry::gradNorm)
                .toList();
    }

    @Test
    void adapterIsFloat32AndOnTheTargetsOnly() throws IOException {
        train(
                "{\"r\": 2, \"max_steps\": 1, \"target_modules\": [\"v_proj\", \"model.layers.1.mlp.up_proj\"]}",
                "bfloat16",
                "out");
        var modules = PeftAdapter.open(dir.resolve("out")).modules();
        assertThat(modules.keySet())
                .containsExactly(
                        "model.layers.0.self_attn.v_proj",
                        "model.layers.1.mlp.up_proj",
                        "model.layers.1.self_attn.v_proj");
        assertThat(modules.values()).allMatch(m -> m.dtype() == Dtype.F32 && m.r() == 2);
    }

    @Test
    void adapterFromWhichTrainingStartsIsKeptInFloat32() throws IOException {
        PeftAdapter init = PeftAdapter.open(OracleTest.FIXTURES.resolve("all-linear/init"));
        PeftAdapter.of(
                        init.config(),
                        init.modules().values().stream()
                                .map(m -> new PeftAdapter.LoraModule(
                                        m.name(), m.r(), m.in(), m.out(), m.a(), m.b(), m.scale(), Dtype.BF16))
                                .toList())
                .write(dir.resolve("init"));
        FineTuning.run(
                TestOptions.of(
                        OracleTest.FIXTURES.resolve("model"),
                        OracleTest.FIXTURES.resolve("rows.jsonl"),
                        TestOptions.json("{\"max_steps\": 1}"),
                        dir.resolve("init"),
                        "float32"),
                dir.resolve("out"),
                NOBODY);
        assertThat(PeftAdapter.open(dir.resolve("out")).modules().values())
                .allMatch(m -> m.dtype() == Dtype.F32 && m.r() == 4);
    }

    @Test
    void unfinishedAccumulationEndsTheEpochWithAStep() throws IOException {
        // 48 rows are 10 batches of 5, so 4 steps of up to 3 batches per epoch, as transformers counts.
        var log = train(
                        "{\"per_device_train_batch_size\": 5, \"gradient_accumulation_steps\": 3,"
                                + " \"num_train_epochs\": 1.5}",
                        "float32",
                        "out")
                .logHistory();
        assertThat(log).extracting(TrainerState.Entry::epoch).containsExactly(0.3, 0.6, 0.9, 1.0, 1.3, 1.6);
    }

    @Test
    void stepWithoutAnythingToLearnChangesNothing() throws IOException {
        Path rows = rows(
                "{\"question\": \"" + "why ".repeat(40) + "\", \"answer\": \"so\"}",
                "{\"question\": \"why\", \"answer\": \"so\"}");
        var log = train(
                        TestOptions.json(
                                "{\"max_length\": 30, \"per_device_train_batch_size\": 1, \"num_train_epochs\":"
                                        + " 1, \"shuffle\": false}"),
                        "float32",
                        "out",
                        rows,
                        NOBODY)
                .logHistory();
        assertThat(log.get(0).loss()).isZero();
        assertThat(log.get(0).gradNorm()).isZero();
        assertThat(log.get(1).loss()).isPositive();
    }

    @Test
    void theModelsOwnDropoutIsNotAppliedAndThatIsSaid() throws IOException {
        Path model = Files.createDirectories(dir.resolve("model"));
        try (var files = Files.list(OracleTest.FIXTURES.resolve("model"))) {
            for (Path file : files.toList()) {
                Files.copy(file, model.resolve(file.getFileName()));
            }
        }
        Path config = model.resolve("config.json");
        Files.writeString(
                config,
                Files.readString(config)
                        .replaceFirst(
                                "\"attention_dropout\": [0-9.]+", "\"attention_dropout\": 0.1, \"embd_pdrop\": 0"));
        List<String> notes = new ArrayList<>();
        Path rows = OracleTest.FIXTURES.resolve("rows.jsonl");
        FineTuning.run(
                TestOptions.of(model, rows, TestOptions.json("{\"max_steps\": 2}"), null, "float32"),
                dir.resolve("out"),
                progress -> notes.add(progress.note()));
        String note = "the model's own dropout is not applied: config.json asks for attention_dropout 0.1";
        assertThat(notes)
                .containsExactly("data_format question_answer, detected from rows.jsonl, line 1, " + note, null);
        assertThat(dir.resolve("out/README.md")).content().contains(note);
    }

    @Test
    void divergenceIsAClearFailure() {
        assertThatThrownBy(() -> train(
                        "{\"learning_rate\": 1e30, \"max_grad_norm\": 1e30, \"lr_scheduler_type\": \"constant\"}",
                        "float32",
                        "out"))
                .isInstanceOf(TrainingDivergedException.class)
                .hasMessageContaining("learning_rate");
        assertThat(dir.resolve("out")).doesNotExist();
    }

    @Test
    void listenerStopsTheTraining() {
        assertThatThrownBy(() -> train(
                        TestOptions.json("{}"),
                        "float32",
                        "out",
                        OracleTest.FIXTURES.resolve("rows.jsonl"),
                        progress -> {
                            assertThat(progress.tokensPerSecond()).isPositive();
                            assertThat(progress.learningRate()).isPositive();
                            assertThat(progress.etaSeconds()).isPositive();
                            if (progress.step() == 2) {
                                throw new CancellationException();
                            }
                        }))
                .isInstanceOf(CancellationException.class);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{\"question\": \"q\"}                        | {}                                | line 2:"
                        + " data_format question_answer needs \"question\" and \"answer\", but the row has"
                        + " \"question\"",
                "{\"question\": \"q\", \"answer\": 4}         | {}                                | line 2:"
                        + " \"answer\" must be text, not a number",
                "{\"question\":                               | {}                                | line 2: the"
                        + " line ends within a row",
                "{\"question\": \"q\", \"answer\": \"\"} {}   | {}                                | line 2: has"
                        + " more text behind the row's end",
                "[1]                                          | {}                                | line 2: a"
                        + " row must be a JSON object, not a list",
                "{\"messages\": [{\"role\": \"user\", \"content\": \"\"}]} | {\"data_format\": \"messages\","
                        + " \"apply_chat_template\": true} | line 1:",
                "{}                                           | {\"data_format\": \"messages\"}    | data_format"
                        + " question_answer fits it",
                "{}                                           | {\"data_format\": \"prompt_completion\"} | line"
                        + " 1: data_format prompt_completion needs \"prompt\" and \"completion\"",
                "{\"question\": \"q\", \"answer\": \"a\"} | {\"target_modules\": [\"c_attn\"]} | c_attn",
                "{\"question\": \"q\", \"answer\": \"a\"}     | {\"max_length\": 5}               | raise max_length",
            })
    void badInputIsOneClearLine(String row, String options, String message) {
        assertThatThrownBy(() -> train(
                        TestOptions.json(options),
                        "float32",
                        "out",
                        rows("{\"question\": \"why\", \"answer\": \"so\"}", row),
                        NOBODY))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining(message)
                .message()
                .doesNotContain("\n");
    }

    @Test
    void dataThatIsNotThereOrNoTextIsPermanent() throws IOException {
        Path binary = Files.write(dir.resolve("rows.jsonl"), new byte[] {(byte) 0xff, (byte) 0xfe, 1});
        for (Path rows : List.of(binary, dir.resolve("absent.jsonl"))) {
            assertThatThrownBy(() -> train(TestOptions.json("{}"), "float32", "out", rows, NOBODY))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining(rows.getFileName().toString());
        }
    }

    private Path rows(String... lines) throws IOException {
        return Files.write(dir.resolve("rows.jsonl"), List.of(lines));
    }
}
