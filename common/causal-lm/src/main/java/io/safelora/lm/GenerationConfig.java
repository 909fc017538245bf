package io.safelora.lm;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.lm.GenerationOptions.Sampling;
import java.util.Map;
import java.util.Set;

/**
 * A model's generation_config.json: what its makers want texts to be continued with. Its end tokens are the
 * {@link Tokenizer}'s.
 *
 * @param doSample whether transformers would draw tokens unless told otherwise
 * @param repetitionPenalty the logits of tokens that were there before are divided by it (multiplied if negative); it also
 *     holds for greedy decoding
 * @param maxNewTokens 0: it does not say
 * @param refused an option that is set but not supported, with its value; or null
 */
record GenerationConfig(
        boolean doSample,
        double temperature,
        int topK,
        double topP,
        double repetitionPenalty,
        int maxNewTokens,
        String refused) {

    /** Options that change nothing here, whatever their value. */
    private static final Set<String> HARMLESS = Set.of(
            "_from_model_config",
            "bos_token_id",
            "cache_implementation",
            "do_sample",
            "eos_token_id",
            "max_length",
            "max_new_tokens",
            "output_attentions",
            "output_hidden_states",
            "output_scores",
            "pad_token_id",
            "repetition_penalty",
            "return_dict_in_generate",
            "stop_strings",
            "temperature",
            "top_k",
            "top_p",
            "transformers_version",
            "use_cache",
            "chat_format",
            "max_window_size");
    /** Options that do nothing with these values. */
    private static final Map<String, Double> NEUTRAL = Map.ofEntries(
            Map.entry("num_beams", 1.0),
            Map.entry("num_beam_groups", 1.0),
            Map.entry("num_return_sequences", 1.0),
            Map.entry("length_penalty", 1.0),
            Map.entry("diversity_penalty", 0.0),
            Map.entry("no_repeat_ngram_size", 0.0),
            Map.entry("encoder_no_repeat_ngram_size", 0.0),
            Map.entry("encoder_repetition_penalty", 1.0),
            Map.entry("min_length", 0.0),
            Map.entry("min_new_tokens", 0.0),
            Map.entry("typical_p", 1.0),
            Map.entry("epsilon_cutoff", 0.0),
            Map.entry("eta_cutoff", 0.0),
            Map.entry("guidance_scale", 1.0),
            Map.entry("assistant_confidence_threshold", 0.4));

    static GenerationConfig of(JsonNode json) {
        String refused = null;
        for (Map.Entry<String, JsonNode> option : json.properties()) {
            JsonNode value = option.getValue();
            Double neutral = NEUTRAL.get(option.getKey());
            boolean unset = value.isNull()
                    || value.isBoolean() && !value.asBoolean()
                    || value.isContainerNode() && value.isEmpty()
                    || neutral != null && value.isNumber() && value.asDouble() == neutral;
            boolean ofAssistant =
                    option.getKey().matches("(num_)?assistant_.*|prompt_lookup_.*|max_matching_ngram_size");
            if (!unset && !HARMLESS.contains(option.getKey()) && !ofAssistant) {
                refused = ModelConfig.shown(option.getKey() + " " + value);
            }
        }
        return new GenerationConfig(
                json.path("do_sample").asBoolean(false),
                json.path("temperature").asDouble(1),
                json.path("top_k").asInt(50),
                json.path("top_p").asDouble(1),
                json.path("repetition_penalty").asDouble(1),
                json.path("max_new_tokens").asInt(0),
                refused);
    }

    void check() {
        if (refused != null) {
            throw new UnsupportedModelException("generation_config.json: " + refused + " is not supported; remove it");
        }
        if (!(repetitionPenalty > 0)) {
            throw new UnsupportedModelException(
                    "generation_config.json: repetition_penalty must be above 0, but is " + repetitionPenalty);
        }
    }

    Sampling sampling(long seed) {
        return new Sampling(temperature, topK, topP, seed);
    }
}
