package io.safelora.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.SafetensorsWriter;
import io.safelora.artifacts.safetensors.TensorData;
import io.safelora.artifacts.safetensors.TensorInfo;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Where config.json and the tensors of a checkpoint disagree. The models are fixtures with a few tensors changed. */
class StoredWeightsTest {
    private static final String EMBEDDING = "model.embed_tokens.weight";
    private static final String HEAD = "lm_head.weight";
    private static final int[] IDS = {5, 90, 17, 300, 41, 8, 2};

    @TempDir
    Path dir;

    /**
     * As transformers does: tied only if both are equal. The head is the embedding's rows in another order, so its
     * logits are, too.
     */
    @Test
    void aHeadThatDiffersFromTheEmbeddingIsNotTiedWhateverConfigSays() throws Exception {
        Path untied = changed("llama-mha-tied", tensors -> tensors.put(HEAD, turned(tensors.get(EMBEDDING))));
        float[] expected;
        double[] logprobs;
        try (CausalLm model = CausalLm.load(Fixtures.model("llama-mha-tied"), "cpu", "auto")) {
            expected = model.lastLogits(IDS, null);
        }
        try (CausalLm model = CausalLm.load(untied, "cpu", "auto")) {
            float[] logits = model.lastLogits(IDS, null);
            for (int i = 0; i < logits.length; i++) {
                assertThat(logits[i]).isEqualTo(expected[(i + 1) % expected.length]);
            }
            logprobs = model.logprobs(IDS, null);
            Fixtures.adapter(model.config(), 2, 4, 5).write(dir.resolve("adapter"));
        }
        Merger.merge(untied, dir.resolve("adapter"), dir.resolve("merged"));
        try (CausalLm trained = CausalLm.loadToTrain(untied, "cpu")) {
            assertThat(trained.weights()).containsKeys(EMBEDDING, HEAD);
            ModelWriter.write(trained, Checkpoint.open(untied).config(), untied, Dtype.F32, dir.resolve("written"));
        }
        for (String kept : new String[] {"merged", "written"}) {
            Checkpoint checkpoint = Checkpoint.open(dir.resolve(kept));
            assertThat(checkpoint.map(HEAD)).isEqualTo(Checkpoint.open(untied).map(HEAD));
        }
        assertThat(Checkpoint.open(dir.resolve("written"))
                        .config()
                        .get("tie_word_embeddings")
                        .booleanValue())
                .isFalse();
        try (CausalLm model = CausalLm.load(dir.resolve("written"), "cpu", "auto")) {
            assertThat(model.logprobs(IDS, null)).isEqualTo(logprobs);
        }
    }

    @Test
    void ofATiedPairEitherIsEnoughAndBothAreOne() throws Exception {
        Path head = changed("llama-mha-tied", tensors -> tensors.put(HEAD, tensors.remove(EMBEDDING)));
        Path both = changed("llama-mha-tied", tensors -> tensors.put(HEAD, tensors.get(EMBEDDING)));
        double[] expected;
        try (CausalLm model = CausalLm.load(Fixtures.model("llama-mha-tied"), "cpu", "auto")) {
            expected = model.logprobs(IDS, null);
        }
        for (Path path : new Path[] {head, both}) {
            try (CausalLm model = CausalLm.load(path, "cpu", "auto")) {
                assertThat(model.logprobs(IDS, null)).isEqualTo(expected);
                assertThat(model.weights()).containsKey(EMBEDDING).doesNotContainKey(HEAD);
            }
        }
    }

    /** transformers draws a head at random, and only warns. */
    @Test
    void aHeadThatIsMissingIsAnError() throws Exception {
        Path path = changed("llama", tensors -> tensors.remove(HEAD));
        assertThatThrownBy(() -> CausalLm.load(path, "cpu", "auto"))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining("tensor lm_head.weight is missing")
                .hasMessageContaining("set tie_word_embeddings to true");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "llama | model.layers.0.self_attn.q_proj.bias | (attention_bias: true)",
                "llama | model.layers.1.mlp.down_proj.bias | (mlp_bias: true)",
                "llama | model.layers.1.self_attn.q_norm.weight | correct config.json, or remove",
                "llama | model.layers.2.input_layernorm.weight | correct config.json, or remove",
                "llama | lm_head.bias | correct config.json, or remove",
                "qwen2 | model.layers.0.self_attn.o_proj.bias | correct config.json, or remove",
                "gpt2 | transformer.h.0.attn.q_norm.weight | correct config.json, or remove",
                "gpt2 | v_head.summary.weight | correct config.json, or remove",
            })
    void aTensorThatNobodyAsksForIsAnError(String model, String tensor, String remedy) throws Exception {
        Path path = changed(model, tensors -> tensors.put(tensor, vector()));
        assertThatThrownBy(() -> CausalLm.load(path, "cpu", "auto"))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining("model.safetensors: tensor " + tensor)
                .hasMessageContaining("model_type " + model)
                .hasMessageContaining(remedy);
    }

    @Test
    void aBiasThatConfigAnnouncesAndTheFileLacksIsAnError() throws Exception {
        Path path = changed("llama-biases", tensors -> tensors.remove("model.layers.1.mlp.up_proj.bias"));
        assertThatThrownBy(() -> CausalLm.load(path, "cpu", "auto"))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining("tensor model.layers.1.mlp.up_proj.bias is missing")
                .hasMessageContaining("(mlp_bias: false)");
    }

    @ParameterizedTest
    @CsvSource({
        "llama, model.layers.0.self_attn.rotary_emb.inv_freq",
        "llama, model.rotary_emb.inv_freq",
        "gpt2, transformer.h.1.attn.bias",
        "gpt2, transformer.h.1.attn.masked_bias",
        "gpt-neox, gpt_neox.layers.0.attention.bias",
        "gpt-neox, gpt_neox.layers.0.attention.masked_bias",
        "gpt-neox, gpt_neox.layers.0.attention.rotary_emb.inv_freq",
    })
    void buffersOfOldCheckpointsAreLeftOut(String name, String buffer) throws Exception {
        Path path = changed(name, tensors -> tensors.put(buffer, vector()));
        try (CausalLm model = CausalLm.load(path, "cpu", "auto")) {
            assertThat(model.weights()).doesNotContainKey(buffer);
        }
    }

    private Path changed(String name, Consumer<Map<String, TensorData>> change) throws IOException {
        Path from = Fixtures.model(name);
        Path to = Files.createTempDirectory(dir, name);
        for (String file : new String[] {"config.json", "tokenizer.json", "tokenizer_config.json"}) {
            Files.copy(from.resolve(file), to.resolve(file));
        }
        Checkpoint checkpoint = Checkpoint.open(from);
        Map<String, TensorData> tensors = new LinkedHashMap<>();
        for (String tensor : checkpoint.names()) {
            TensorInfo info = checkpoint.info(tensor);
            tensors.put(tensor, new TensorData(info.dtype(), info.shape(), () -> checkpoint.map(tensor)));
        }
        change.accept(tensors);
        SafetensorsWriter.write(to.resolve("model.safetensors"), tensors, Map.of("format", "pt"));
        return to;
    }

    /** The rows (n, hidden) of a tensor in another order: row 1 first, row 0 last. */
    private static TensorData turned(TensorData tensor) {
        ByteBuffer from = tensor.source().get().duplicate();
        ByteBuffer to = ByteBuffer.allocate(from.remaining());
        int row = from.remaining() / (int) tensor.shape()[0];
        to.put(from.slice(row, from.remaining() - row)).put(from.slice(0, row)).flip();
        return new TensorData(tensor.dtype(), tensor.shape(), to);
    }

    private static TensorData vector() {
        return TensorData.of(Dtype.F32, new long[] {16}, new float[16]);
    }
}
