package io.safelora.training;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.contract.Json;
import io.safelora.contract.TrainingOptions;
import io.safelora.contract.TrainingOptions.LrScheduler;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Holds training against what PEFT and transformers computed; see the README.md of the resources' folder peft. */
class OracleTest {
    static final Path FIXTURES = Path.of("src/test/resources/peft");

    @TempDir
    Path out;

    @ParameterizedTest
    @ValueSource(strings = {"all-linear", "layer1-rslora"})
    void sameLossesNormsRatesAndAdapter(String run) throws IOException {
        reproduce(FIXTURES.resolve("model"), FIXTURES.resolve("rows.jsonl"), FIXTURES.resolve(run));
    }

    @ParameterizedTest
    @ValueSource(strings = {"qwen2", "phi3", "gpt2"})
    void otherFamilies(String family) throws IOException {
        Path model = Files.createDirectories(out.resolve("model"));
        for (Path folder : List.of(FIXTURES.resolve("model"), FIXTURES.resolve(family + "/model"))) {
            try (var files = Files.list(folder)) {
                for (Path file : files.toList()) {
                    Files.copy(file, model.resolve(file.getFileName()), StandardCopyOption.REPLACE_EXISTING);
                }
            }
        }
        reproduce(model, FIXTURES.resolve("rows.jsonl"), FIXTURES.resolve(family));
    }

    /**
     * The same against a run of peft_train.py on any model and rows: -Doracle.model=DIR -Doracle.data=FILE
     * -Doracle.run=DIR.
     */
    @Test
    @EnabledIfSystemProperty(named = "oracle.run", matches = ".+")
    void sameAsGivenRun() throws IOException {
        reproduce(
                Path.of(System.getProperty("oracle.model")),
                Path.of(System.getProperty("oracle.data")),
                Path.of(System.getProperty("oracle.run")));
    }

    private void reproduce(Path model, Path rows, Path run) throws IOException {
        JsonNode trace = Json.MAPPER.readTree(Files.readAllBytes(run.resolve("trace.json")));
        TrainerState state = FineTuning.run(
                TestOptions.of(model, rows, options(trace.get("options")), run.resolve("init"), "float32"),
                out,
                progress -> {});
        Traces.follows(state, trace.get("steps"));
        PeftAdapter expected = PeftAdapter.open(run.resolve("final"));
        PeftAdapter trained = PeftAdapter.open(out);
        assertThat(trained.modules().keySet()).isEqualTo(expected.modules().keySet());
        trained.modules().forEach((name, module) -> {
            assertThat(distance(module.a(), expected.modules().get(name).a()))
                    .as(name)
                    .isLessThan(1e-4);
            assertThat(distance(module.b(), expected.modules().get(name).b()))
                    .as(name)
                    .isLessThan(1e-4);
        });
    }

    private static TrainingOptions options(JsonNode o) {
        return TestOptions.json("""
                {"r": %d, "lora_alpha": %d, "max_steps": %d, "per_device_train_batch_size": %d,
                 "gradient_accumulation_steps": %d, "learning_rate": %s, "lr_scheduler_type": "%s", "warmup_ratio": %s,
                 "weight_decay": %s, "max_grad_norm": %s, "max_length": %d, "shuffle": false}""".formatted(
                        o.get("r").asInt(),
                        o.get("alpha").asInt(),
                        o.get("steps").asInt(),
                        o.get("batch").asInt(),
                        o.get("accum").asInt(),
                        o.get("lr"),
                        LrScheduler.cosine,
                        o.get("warmup_ratio"),
                        o.get("weight_decay"),
                        o.get("max_grad_norm"),
                        o.get("max_length").asInt()));
    }

    /** |x - y| / |y|. */
    private static double distance(float[] x, float[] y) {
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < y.length; i++) {
            difference += Math.pow(x[i] - y[i], 2);
            norm += Math.pow(y[i], 2);
        }
        return Math.sqrt(difference / norm);
    }
}
