package io.safelora.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.contract.Json;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is written is read again: merged models, saved models. */
class ModelFilesTest {
    private static final String TOUCHED =
            ".*\\.0\\..*(q_proj|down_proj|qkv_proj|c_attn|mlp\\.c_proj|query_key_value|dense_4h_to_h)";
    private static final int[] IDS = {5, 90, 17, 300, 41, 8, 2};

    @ParameterizedTest
    @ValueSource(strings = {"llama", "mistral", "qwen2", "qwen3", "phi3", "gemma", "gemma2", "gpt2", "gpt-neox"})
    void aMergedModelComputesWhatModelAndAdapterDo(String name, @TempDir Path dir) throws Exception {
        Path base = Fixtures.model(name);
        Path peft = dir.resolve("adapter");
        Path merged = dir.resolve("merged");
        double[] plain;
        double[] adapted;
        try (CausalLm model = CausalLm.load(base, "cpu", "auto")) {
            PeftAdapter some = Fixtures.adapter(model.config(), 4, 8, 5);
            var modules = some.modules().values().stream()
                    .filter(m -> m.name().matches(TOUCHED))
                    .toList();
            PeftAdapter.of(some.config(), modules).write(peft);
            model.loadAdapter("a", peft);
            plain = model.logprobs(IDS, null);
            adapted = model.logprobs(IDS, "a");
        }
        Merger.merge(base, peft, merged);
        try (CausalLm model = CausalLm.load(merged, "cpu", "auto")) {
            assertThat(model.logprobs(IDS, null))
                    .usingComparatorWithPrecision(1e-4)
                    .containsExactly(adapted);
            assertThat(adapted).usingComparatorWithPrecision(1e-2).isNotEqualTo(plain);
        }
        Checkpoint before = Checkpoint.open(base);
        Checkpoint after = Checkpoint.open(merged);
        assertThat(after.names()).isEqualTo(before.names());
        for (String tensor : before.names()) {
            boolean touched = tensor.matches(TOUCHED + "\\.weight");
            assertThat(after.map(tensor).equals(before.map(tensor))).as(tensor).isEqualTo(!touched);
            assertThat(after.info(tensor).dtype()).isEqualTo(before.info(tensor).dtype());
        }
        assertThat(merged.resolve("tokenizer.json")).hasSameBinaryContentAs(base.resolve("tokenizer.json"));
    }

    @Test
    void anAdapterOfAnotherModelIsRefusedByItsModule(@TempDir Path dir) throws Exception {
        try (CausalLm model = CausalLm.load(Fixtures.model("llama-mha-tied"), "cpu", "auto")) {
            Fixtures.adapter(model.config(), 2, 4, 5).write(dir);
        }
        assertThatThrownBy(() -> Merger.merge(Fixtures.model("llama"), dir, dir.resolve("out")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("k_proj");
        try (CausalLm model = CausalLm.load(Fixtures.model("llama"), "cpu", "auto")) {
            assertThatThrownBy(() -> model.loadAdapter("other", dir))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("k_proj");
        }
    }

    @Test
    void aSavedModelIsTheSameModel(@TempDir Path dir) throws Exception {
        for (String name : new String[] {"llama", "llama-mha-tied"}) {
            Path source = Fixtures.model(name);
            var config = Fixtures.json(source.resolve("config.json"));
            try (CausalLm model = CausalLm.create(config, source, 9)) {
                double[] expected = model.logprobs(IDS, null);
                for (Dtype dtype : List.of(Dtype.F32, Dtype.BF16)) {
                    Path out = dir.resolve(name + dtype);
                    ModelWriter.write(model, config, source, dtype, out);
                    Checkpoint written = Checkpoint.open(out);
                    assertThat(written.names())
                            .isEqualTo(Checkpoint.open(source).names());
                    assertThat(written.info("model.norm.weight").dtype()).isEqualTo(dtype);
                    assertThat(written.config().get("dtype").asText()).isEqualTo(dtype.torchName());
                    try (CausalLm again = CausalLm.load(out, "cpu", "float32")) {
                        double[] actual = again.logprobs(IDS, null);
                        for (int i = 0; i < actual.length; i++) {
                            assertThat(actual[i]).isCloseTo(expected[i], within(dtype.equals("float32") ? 1e-6 : 0.05));
                        }
                        assertThat(again.files().chatTemplate().isPresent()).isTrue();
                    }
                }
            }
        }
    }

    /** Models that come and go share their compiled decoder one after another: LeakTest measures the memory. */
    @Test
    void aModelThatIsClosedLeavesNothingToTheNextOfItsKind(@TempDir Path dir) throws Exception {
        Path path = Fixtures.model("llama");
        double[] expected;
        try (CausalLm model = CausalLm.load(path, "cpu", "float32")) {
            expected = model.logprobs(IDS, null);
        }
        var config = Fixtures.json(path.resolve("config.json"));
        CausalLm other = CausalLm.create(config, path, 9);
        other.addAdapter("mine", Fixtures.adapter(other.config(), 2, 4, 5));
        double[] adapted = other.logprobs(IDS, "mine");
        other.close();
        other.close();
        // Two at once, one of them on what the closed one used.
        try (CausalLm one = CausalLm.load(path, "cpu", "float32");
                CausalLm two = CausalLm.create(config, path, 9)) {
            assertThat(one.logprobs(IDS, null)).isEqualTo(expected);
            assertThat(two.logprobs(IDS, null)).isNotEqualTo(adapted).isNotEqualTo(expected);
            assertThat(one.logprobs(IDS, null)).isEqualTo(expected);
            assertThatThrownBy(() -> two.logprobs(IDS, "mine")).hasMessageContaining("mine");
        }
    }

    @Test
    void whatIsNotRunIsRefusedByName(@TempDir Path dir) throws Exception {
        ObjectNode config = (ObjectNode) Fixtures.json(Fixtures.model("llama").resolve("config.json"));
        assertRefused(
                config.deepCopy().put("model_type", "bert"),
                "\"bert\" is not supported; supported: gemma, gemma2, gpt2");
        assertRefused(config.deepCopy().put("sliding_window", 8), "option sliding_window 8 is not supported");
        assertRefused(config.deepCopy().put("hidden_act", "xielu"), "hidden_act");
        assertRefused(config.deepCopy().put("sliding_window", 8), "remove it if it is a note");
        ObjectNode long_ = config.deepCopy();
        long_.putObject("rope_parameters").put("rope_type", "longrope");
        assertRefused(long_, "rope_type \"longrope\" is not supported");
        ObjectNode odd = config.deepCopy();
        odd.putObject("rope_parameters")
                .put("rope_type", "linear")
                .put("factor", 2.0)
                .put("beta_fast", 1.0);
        assertRefused(odd, "rope parameter beta_fast");
        ObjectNode four = config.deepCopy(); // as transformers 4 writes it
        four.remove("rope_parameters");
        four.put("rope_theta", 500000.0);
        four.putObject("rope_scaling")
                .put("rope_type", "llama3")
                .put("factor", 8.0)
                .put("low_freq_factor", 1.0)
                .put("high_freq_factor", 4.0)
                .put("original_max_position_embeddings", 64);
        assertThat(ModelConfig.of(four).rope())
                .isEqualTo(ModelConfig.of(
                                Fixtures.json(Fixtures.model("llama3-rope").resolve("config.json")))
                        .rope());
        Files.writeString(
                dir.resolve("config.json"), config.put("hidden_size", 32).toString());
        Files.copy(Fixtures.model("llama").resolve("model.safetensors"), dir.resolve("model.safetensors"));
        Files.copy(Fixtures.model("llama").resolve("tokenizer.json"), dir.resolve("tokenizer.json"));
        assertThatThrownBy(() -> CausalLm.load(dir, "cpu", "auto"))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("model.embed_tokens.weight has shape [320, 16]");
    }

    /**
     * Options as they stand in people's config.json. A refused one changes what transformers computes, or what it would
     * with another version; one that passes is read by nobody.
     */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "llama | attention_dropout | 0.1 | passes",
                "llama | attn_implementation | \"sdpa\" | passes",
                "llama | auto_map | {\"AutoModel\": \"modeling.Other\"} | passes", // never run, here and by
                // transformers' default
                "llama | chunk_size_feed_forward | 4 | passes",
                "llama | id2label | {\"0\": \"x\"} | passes",
                "llama | initializer_range | 0.1 | passes",
                "llama | is_causal | false | refused",
                "llama | is_causal | true | passes",
                "llama | is_decoder | true | passes",
                "llama | is_encoder_decoder | true | refused",
                "llama | layer_types | [\"full_attention\", \"full_attention\"] | passes",
                "llama | layer_types | [\"full_attention\", \"sliding_attention\"] | refused",
                "llama | layer_types | [\"full_attention\"] | refused",
                "llama | max_sequence_length | 2048 | passes",
                "llama | min_new_tokens | 5 | refused",
                "llama | mlp_only_layers | [] | passes",
                "llama | name_or_path | \"x/y\" | passes",
                "llama | num_experts | 4 | refused",
                "llama | partial_rotary_factor | 0.5 | refused",
                "llama | per_layer_config | {\"0\": {\"hidden_act\": \"relu\"}} | refused",
                "llama | pretraining_tp | 2 | passes",
                "llama | quantization_config | {\"bits\": 4} | refused",
                "llama | repetition_penalty | 1.2 | passes",
                "llama | rope_interleaved | false | passes",
                "llama | rope_interleaved | true | refused",
                "llama | sliding_window | null | passes",
                "llama | suppress_tokens | [5] | passes",
                "llama | transformers.js_config | {\"dtype\": \"q4\"} | passes",
                "llama | unsloth_fixed | true | passes",
                "llama | use_cache | false | passes",
                "llama | _attn_implementation_autoset | true | passes",
                "mistral | layer_types | [\"sliding_attention\", \"sliding_attention\"] | passes",
                "mistral | layer_types | [\"full_attention\", \"full_attention\"] | refused",
                "mistral | attention_bias | true | refused",
                "qwen2 | layer_types | [\"full_attention\", \"full_attention\"] | passes",
                "qwen2 | use_mrope | false | passes",
                "qwen3 | use_mrope | true | refused",
                "phi3 | resid_pdrop | 0.1 | passes",
                "phi3 | embd_pdrop | 0.1 | passes",
                "gemma | hidden_activation | \"gelu_pytorch_tanh\" | passes",
                "gemma | use_bidirectional_attention | true | refused",
                "gemma | sliding_window | 8 | refused",
                "gemma2 | cache_implementation | \"hybrid\" | passes",
                "gemma2 | hidden_act | \"gelu_pytorch_tanh\" | passes",
                "gemma2 | sliding_window_size | 4096 | passes",
                "gemma2 | use_bidirectional_attention | true | refused",
                "gpt2 | add_cross_attention | true | refused",
                "gpt2 | n_ctx | 1024 | passes",
                "gpt2 | reorder_and_upcast_attn | true | passes",
                "gpt2 | scale_attn_by_inverse_layer_idx | true | refused",
                "gpt2 | summary_use_proj | true | passes",
                "gpt2 | task_specific_params | {\"a\": 1} | passes",
                "gpt-neox | custom_pipelines | {\"a\": 1} | passes",
                "gpt-neox | hidden_dropout | 0.1 | passes",
            })
    void optionsThatChangeNumbersAreRefusedAndOthersPass(String model, String option, String value, String verdict)
            throws Exception {
        ObjectNode config = (ObjectNode) Fixtures.json(Fixtures.model(model).resolve("config.json"));
        ModelConfig plain = ModelConfig.of(config);
        config.set(option, Json.MAPPER.readTree(value));
        if (verdict.equals("passes")) {
            assertThat(ModelConfig.of(config)).isEqualTo(plain);
        } else {
            assertRefused(config, "config.json: ");
            assertRefused(config, option);
        }
    }

    /** Gemma's first releases say gelu and mean its tanh approximation; transformers takes it for that. */
    @Test
    void geluIsItsTanhApproximationInGemmaOnly() throws Exception {
        for (String name : new String[] {"gemma", "llama"}) {
            ObjectNode config = (ObjectNode) Fixtures.json(Fixtures.model(name).resolve("config.json"));
            assertThat(ModelConfig.of(config.put("hidden_act", "gelu")).hiddenAct())
                    .isEqualTo(name.equals("gemma") ? "gelu_tanh" : "gelu");
        }
    }

    private static void assertRefused(ObjectNode config, String message) {
        assertThatThrownBy(() -> ModelConfig.of(config))
                .isInstanceOf(UnsupportedModelException.class)
                .hasMessageContaining(message);
    }
}
