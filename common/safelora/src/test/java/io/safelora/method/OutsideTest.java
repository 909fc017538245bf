package io.safelora.method;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.SafetensorsWriter;
import io.safelora.artifacts.safetensors.TensorData;
import io.safelora.contract.SelectionOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** One linear module of 4 x 4, an embedding of 3 x 4, a norm of 4. */
class OutsideTest {
    private static final String LINEAR = "model.layers.0.self_attn.q_proj.weight";
    private static final String EMBEDDING = "model.embed_tokens.weight";
    private static final String NORM = "model.norm.weight";

    @TempDir
    Path dir;

    private Sources sources;

    @BeforeEach
    void models() throws IOException {
        sources = new Sources(checkpoint("base", 0, 0, 0), checkpoint("aligned", 1, 0, 0), null);
    }

    /** All elements of a tensor are alike. */
    private Checkpoint checkpoint(String name, float linear, float embedding, float norm) throws IOException {
        Path folder = Files.createDirectories(dir.resolve(name));
        SafetensorsWriter.write(
                folder.resolve("model.safetensors"),
                Map.of(
                        LINEAR, tensor(linear, 4, 4),
                        EMBEDDING, tensor(embedding, 3, 4),
                        NORM, tensor(norm, 4)),
                Map.of());
        Files.writeString(folder.resolve("config.json"), "{\"model_type\": \"llama\"}");
        return Checkpoint.open(folder);
    }

    private static TensorData tensor(float value, long... shape) {
        float[] values = new float[(int) Arrays.stream(shape).reduce(1, (x, y) -> x * y)];
        Arrays.fill(values, value);
        return TensorData.of(Dtype.F32, shape, values);
    }

    private FineTuned adapter(String more, Map<String, TensorData> also) throws IOException {
        Path folder = Files.createDirectories(dir.resolve("adapter"));
        Map<String, TensorData> tensors = new HashMap<>(also);
        // s B A = 2 * 0.5 in all 16 elements: a squared norm of 16.
        tensors.put("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", tensor(1, 1, 4));
        tensors.put("base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", tensor(0.5f, 4, 1));
        SafetensorsWriter.write(folder.resolve("adapter_model.safetensors"), tensors, Map.of());
        Files.writeString(
                folder.resolve("adapter_config.json"),
                "{\"peft_type\": \"LORA\", \"r\": 1, \"lora_alpha\": 2, \"target_modules\": [\"q_proj\"]" + more + "}");
        return FineTuned.open(folder, sources);
    }

    @Test
    void afterFullFineTuningItIsWhatEmbeddingsAndNormsMoved() throws IOException {
        checkpoint("tuned", 1.5f, 1, 2);
        // 16 * 0.25 within; 12 * 1 and 4 * 4 outside.
        SelectionReport report = new Repairing(FineTuned.open(dir.resolve("tuned"), sources))
                .select(SelectionOptions.DEFAULTS, Progress.NONE);
        Outside outside = report.outside();
        assertThat(outside.share()).isCloseTo(28 / 32.0, within(1e-12));
        assertThat(outside.norm()).isCloseTo(Math.sqrt(28), within(1e-12));
        assertThat(outside.updateNorm()).isCloseTo(Math.sqrt(32), within(1e-12));
        assertThat(outside.largest().keySet()).containsExactly(NORM, EMBEDDING);
        assertThat(outside.largest()).containsEntry(NORM, 4.0);
        assertThat(report.warning())
                .contains(
                        "87.5 % of the update's squared norm lies outside of what a repair can touch",
                        "most of it in model.norm.weight, model.embed_tokens.weight");
    }

    @Test
    void anAdapterOfLinearModulesAloneHasNothingOutside() throws IOException {
        Outside outside = adapter("", Map.of()).outside();
        assertThat(outside.share()).isZero();
        assertThat(outside.updateNorm()).isCloseTo(4, within(1e-6));
        assertThat(outside.warning()).isNull();
    }

    @Test
    void ofAnAdapterItIsModulesToSaveAndTheEmbeddingsLora() throws IOException {
        FineTuned adapter = adapter(
                ", \"modules_to_save\": [\"norm\"]", Map.of("base_model.model.model.norm.weight", tensor(1, 4)));
        Outside outside = adapter.outside();
        assertThat(outside.share()).isCloseTo(4 / 20.0, within(1e-6));
        assertThat(outside.largest().keySet()).containsExactly(NORM);

        FineTuned embedded = adapter(
                ", \"target_modules\": [\"q_proj\", \"embed_tokens\"]",
                Map.of(
                        "base_model.model.model.embed_tokens.lora_embedding_A", tensor(1, 1, 3),
                        "base_model.model.model.embed_tokens.lora_embedding_B", tensor(1, 4, 1)));
        // 2 in all of 12 elements.
        assertThat(embedded.outside().norm()).isCloseTo(Math.sqrt(48), within(1e-6));
    }

    @Test
    void trainedTokensCountByWhatTheirRowsMoved() throws IOException {
        FineTuned adapter = adapter(
                ", \"trainable_token_indices\": {\"embed_tokens\": [2]}",
                Map.of("base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta", tensor(3, 1, 4)));
        assertThat(adapter.outside().norm()).isCloseTo(6, within(1e-6));
    }

    @Test
    void aTensorThatIsNotFiniteIsNamed() throws IOException {
        checkpoint("tuned", 1, Float.NaN, 0);
        assertThatThrownBy(() -> FineTuned.open(dir.resolve("tuned"), sources).outside())
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining(EMBEDDING);
    }
}
