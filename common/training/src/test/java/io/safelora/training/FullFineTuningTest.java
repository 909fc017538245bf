package io.safelora.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.ResumePoint;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.Floats;
import io.safelora.artifacts.safetensors.SafetensorsFile;
import io.safelora.contract.Json;
import io.safelora.contract.TrainingOptions.LrScheduler;
import io.safelora.lm.CausalLm;
import io.safelora.lm.ModelWriter;
import io.safelora.training.TrainerState.Entry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CancellationException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Training of all weights: held against transformers (the resources' folder full, see its make.py), and what it writes.
 */
class FullFineTuningTest {
    private static final Path FIXTURES = Path.of("src/test/resources/full");
    private static final Path ROWS = OracleTest.FIXTURES.resolve("rows.jsonl");
    private static final String SHORT = "{\"method\": \"full\", \"learning_rate\": 0.003, \"max_steps\": 3}";

    @TempDir
    Path dir;

    private Path out;

    @BeforeEach
    void out() {
        out = dir.resolve("out");
    }

    private TrainerState train(Path model, String options) throws IOException {
        return FineTuning.run(
                TestOptions.of(model, ROWS, TestOptions.json(options), null, "auto"), out, progress -> {});
    }

    /** Model, config and the tokenizer of all, in bfloat16 as the fixtures are, or in another type. */
    private Path model(String name, String dtype) throws IOException {
        Path whole = Files.createDirectories(dir.resolve(name));
        Path model =
                switch (name) {
                    case "llama" -> OracleTest.FIXTURES.resolve("model");
                    case "gpt2" -> OracleTest.FIXTURES.resolve("gpt2/model");
                    default -> FIXTURES.resolve(name + "/model");
                };
        for (Path folder : List.of(OracleTest.FIXTURES.resolve("model"), model)) {
            try (var files = Files.list(folder)) {
                for (Path file : files.toList()) {
                    Files.copy(file, whole.resolve(file.getFileName()), StandardCopyOption.REPLACE_EXISTING);
                }
            }
        }
        if (dtype.equals("bfloat16")) {
            return whole;
        }
        Path converted = dir.resolve(name + "-" + dtype);
        try (CausalLm loaded = CausalLm.load(whole, "cpu", "float32")) {
            ModelWriter.write(
                    loaded,
                    Checkpoint.open(whole).config(),
                    whole,
                    Dtype.of(dtype).orElseThrow(),
                    converted);
        }
        return converted;
    }

    @ParameterizedTest
    @CsvSource({"llama, false", "llama, true", "llama-tied, false", "llama-tied, true", "gpt2, false", "gpt2, true"})
    void sameLossesNormsRatesAndWeightsAsTransformers(String name, boolean checkpointing) throws IOException {
        JsonNode trace =
                Json.MAPPER.readTree(FIXTURES.resolve(name + "/trace.json").toFile());
        JsonNode o = trace.get("options");
        Path model = model(name, "float32");
        TrainerState state = train(model, """
                {"method": "full", "max_steps": %d, "per_device_train_batch_size": %d, "gradient_accumulation_steps": \
                %d,
                 "learning_rate": %s, "lr_scheduler_type": "%s", "warmup_ratio": %s, "weight_decay": %s, \
                "max_grad_norm": %s,
                 "max_length": %d, "shuffle": false, "gradient_checkpointing": %s}""".formatted(
                        o.get("steps").asInt(),
                        o.get("batch").asInt(),
                        o.get("accum").asInt(),
                        o.get("lr"),
                        LrScheduler.cosine,
                        o.get("warmup_ratio"),
                        o.get("weight_decay"),
                        o.get("max_grad_norm"),
                        o.get("max_length").asInt(),
                        checkpointing));
        Traces.follows(state, trace.get("steps"));
        Checkpoint before = Checkpoint.open(model);
        Checkpoint after = Checkpoint.open(out);
        SafetensorsFile updates = SafetensorsFile.open(FIXTURES.resolve(name + "/update.safetensors"));
        assertThat(after.names())
                .containsExactlyInAnyOrderElementsOf(updates.tensors().keySet());
        for (String weight : after.names()) {
            float[] was = floats(before, weight);
            float[] is = floats(after, weight);
            float[] update =
                    Floats.decode(updates.map(weight), updates.info(weight).dtype());
            // The gradient of the keys' biases is zero, softmax being what it is; Adam makes steps of the rounding
            // errors.
            int from = weight.endsWith("c_attn.bias") ? is.length / 3 : 0;
            double difference = 0;
            double norm = 0;
            double updateNorm = 0;
            for (int i = 0; i < is.length; i++) {
                if (i < from || i >= 2 * from) {
                    difference += Math.pow(is[i] - was[i] - update[i], 2);
                    norm += Math.pow(was[i] + update[i], 2);
                    updateNorm += Math.pow(update[i], 2);
                }
            }
            assertThat(Math.sqrt(difference / norm)).as(weight).isLessThan(1e-4);
            // A decay too much or too little would hardly show in the weights.
            assertThat(Math.sqrt(difference / updateNorm))
                    .as("update of " + weight)
                    .isLessThan(1e-3);
        }
    }

    private static float[] floats(Checkpoint checkpoint, String name) {
        return Floats.decode(checkpoint.map(name), checkpoint.info(name).dtype());
    }

    @ParameterizedTest
    @ValueSource(strings = {"float32", "bfloat16", "float16"})
    void writesACheckpointInTheTypeOfTheOneItStartedFromAndLeavesThatAlone(String dtype) throws IOException {
        Path model = model("llama-tied", dtype);
        byte[] weights = Files.readAllBytes(model.resolve("model.safetensors"));
        TrainerState state = train(model, SHORT);

        assertThat(Files.readAllBytes(model.resolve("model.safetensors"))).isEqualTo(weights);
        Checkpoint trained = Checkpoint.open(out);
        Dtype stored = Checkpoint.open(model).info("model.norm.weight").dtype();
        assertThat(trained.names())
                .isEqualTo(Checkpoint.open(model).names())
                .allMatch(n -> trained.info(n).dtype() == stored);
        assertThat(trained.config().get("dtype").asText()).isEqualTo(dtype);
        assertThat(Json.MAPPER.readValue(out.resolve("trainer_state.json").toFile(), TrainerState.class))
                .isEqualTo(state);
        assertThat(Files.readString(out.resolve("README.md")))
                .contains("library_name: transformers", "# Fine-tuned model", "| method | `full` |")
                .doesNotContain("lora_alpha", "target_modules");
        // What was trained is what a user loads.
        try (CausalLm before = CausalLm.load(model, "cpu", "float32");
                CausalLm after = CausalLm.load(out, "cpu", "float32")) {
            int[] ids = before.tokenizer().encode("Question: Bo has 25 pears", false);
            assertThat(Arrays.stream(after.logprobs(ids, null)).sum())
                    .isNotEqualTo(Arrays.stream(before.logprobs(ids, null)).sum());
        }
    }

    @Test
    void lossFallsAndSameJobSameBytes() throws IOException {
        Path model = model("llama-tied", "bfloat16");
        String options = SHORT.replace("3}", "24}");
        List<Entry> log = train(model, options).logHistory();
        assertThat(log.get(23).loss()).isLessThan(0.7 * log.get(0).loss());
        Path first = dir.resolve("first");
        Files.move(out, first);
        train(model, options);
        for (String file : List.of("model.safetensors", "config.json", "trainer_state.json", "README.md")) {
            assertThat(out.resolve(file)).hasSameBinaryContentAs(first.resolve(file));
        }
    }

    @Test
    void stoppedBetweenCheckpointsItGoesOnFromTheLast() throws IOException {
        Path model = model("llama-tied", "bfloat16");
        String options = "{\"method\": \"full\", \"max_steps\": 8, \"save_steps\": 3}";
        train(model, options);
        Path resumed = dir.resolve("resumed");
        ResumePoint checkpoint = ResumePoint.at(resumed.resolve("checkpoint/training.safetensors"));
        FineTuning.Options all = TestOptions.of(model, ROWS, TestOptions.json(options), null, "auto");
        assertThatThrownBy(() -> FineTuning.run(all, resumed, checkpoint, p -> {}, progress -> {
                    if (progress.step() == 5) {
                        throw new CancellationException();
                    }
                }))
                .isInstanceOf(CancellationException.class);
        List<Integer> steps = new ArrayList<>();
        FineTuning.run(all, resumed, checkpoint, p -> {}, progress -> steps.add(progress.step()));
        assertThat(steps).containsExactly(4, 5, 6, 7, 8);
        assertThat(resumed.resolve("model.safetensors")).hasSameBinaryContentAs(out.resolve("model.safetensors"));
    }

    @Test
    void earlyStoppingKeepsTheCheckpointOfTheLowestEvalLoss() throws IOException {
        Path model = model("llama-tied", "float32");
        String options = "{\"method\": \"full\", \"learning_rate\": 0.1, \"lr_scheduler_type\": \"constant\","
                + " \"eval_steps\": 1, \"early_stopping_patience\": 1, \"max_steps\": %d}";
        FineTuning.Options all = TestOptions.of(model, ROWS, TestOptions.json(options.formatted(40)), null, "float32");
        TrainerState state = FineTuning.run(
                new FineTuning.Options(model, ROWS, null, ROWS, all.training(), null, "cpu", "float32", all.origin()),
                out,
                progress -> {});
        assertThat(state.globalStep()).isEqualTo(state.bestGlobalStep() + 1).isLessThan(40);
        byte[] best = Files.readAllBytes(out.resolve("model.safetensors"));
        train(
                model,
                options.formatted(state.bestGlobalStep())
                        .replace("\"eval_steps\": 1, \"early_stopping_patience\": 1, ", ""));
        assertThat(Files.readAllBytes(out.resolve("model.safetensors"))).isEqualTo(best);
    }

    @Test
    void whatCannotEndWellIsRefusedBeforeItBegins() throws IOException {
        Path model = model("llama-tied", "bfloat16");
        refused(model, null, "bfloat16", out, "dtype: bfloat16 is too coarse");
        refused(model, OracleTest.FIXTURES.resolve("all-linear/init"), "auto", out, "init-adapter");
        refused(model, null, "auto", model, "is the model that is trained");
        Files.createDirectories(out);
        Files.writeString(out.resolve("adapter_config.json"), "{}");
        refused(model, null, "auto", out, "holds adapter_config.json");
    }

    private static void refused(Path model, Path initAdapter, String dtype, Path out, String message) {
        assertThatThrownBy(() -> FineTuning.run(
                        TestOptions.of(model, ROWS, TestOptions.json(SHORT), initAdapter, dtype), out, progress -> {}))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining(message)
                .message()
                .doesNotContain("\n");
    }
}
