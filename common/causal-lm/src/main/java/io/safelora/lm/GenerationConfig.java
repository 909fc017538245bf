package io.safelora.lm;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.lm.GenerationOptions.Sampling;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * A model's generation_config.json: what its makers want texts to be continued with. Its end tokens are the
 * {@link Tokenizer}'s.
 *
 * @param temperature this and the next three: how tokens are drawn, where they are; see {@link Sampling}
 * @param repetitionPenalty the logits of tokens that were there before are divided by it (multiplied if negative); it
 *     also holds for greedy decoding
 * @param stopStrings texts that end an answer, unless the caller has others
 * @param refused an option that is set but not supported, with its value; or null
 * @param refusedToDraw the same for an option that only changes how tokens are drawn
 */
record GenerationConfig(
        double temperature,
        int topK,
        double topP,
        double minP,
        double repetitionPenalty,
        List<String> stopStrings,
        String refused,
        String refusedToDraw) {

    /**
     * Options that change no token here, whatever their value: those that are read here or by the tokenizer, that the
     * caller always sets (max_new_tokens), that belong to beams, to caches or to speculative decoding, or that say what
     * else is returned.
     */
    private static final Set<String> HARMLESS = Set.of(
            "bos_token_id",
            "cache_config",
            "chat_format",
            "compile_config",
            "continuous_batching_config",
            "decoder_start_token_id",
            "disable_compile",
            "do_sample",
            "early_stopping",
            "eos_token_id",
            "is_assistant",
            "length_penalty",
            "low_memory",
            "max_cache_len",
            "max_length",
            "max_matching_ngram_size",
            "max_new_tokens",
            "max_window_size",
            "min_p",
            "output_attentions",
            "output_hidden_states",
            "output_logits",
            "output_scores",
            "pad_token_id",
            "prefill_chunk_size",
            "remove_invalid_values",
            "renormalize_logits",
            "repetition_penalty",
            "return_dict_in_generate",
            "speculation_type",
            "stop_strings",
            "target_lookbehind",
            "temperature",
            "top_k",
            "top_p",
            "transformers_version",
            "trust_remote_code",
            "use_cache",
            "use_model_defaults",
            "use_mtp",
            "user_token_id");

    private static final Pattern HARMLESS_NAMES =
            Pattern.compile("_.*|unsloth_.*|transformers\\.js_.*|(num_)?assistant_.*|prompt_lookup_.*");

    /** Options that do nothing with these values. */
    private static final Map<String, Double> NEUTRAL = Map.ofEntries(
            Map.entry("num_beams", 1.0),
            Map.entry("num_beam_groups", 1.0),
            Map.entry("num_return_sequences", 1.0),
            Map.entry("diversity_penalty", 0.0),
            Map.entry("no_repeat_ngram_size", 0.0),
            Map.entry("encoder_no_repeat_ngram_size", 0.0),
            Map.entry("encoder_repetition_penalty", 1.0),
            Map.entry("min_length", 0.0),
            Map.entry("min_new_tokens", 0.0),
            Map.entry("penalty_alpha", 0.0),
            Map.entry("guidance_scale", 1.0));

    /** The same for options that only matter where tokens are drawn; top_h always leaves tokens out. */
    private static final Map<String, Double> NEUTRAL_TO_DRAW = Map.of(
            "typical_p", 1.0,
            "epsilon_cutoff", 0.0,
            "eta_cutoff", 0.0,
            "top_h", Double.NaN);

    static GenerationConfig of(JsonNode json) {
        String refused = null;
        String refusedToDraw = null;
        for (Map.Entry<String, JsonNode> option : json.properties()) {
            String name = option.getKey();
            JsonNode value = option.getValue();
            boolean draws = NEUTRAL_TO_DRAW.containsKey(name);
            Double neutral = draws ? NEUTRAL_TO_DRAW.get(name) : NEUTRAL.get(name);
            // The one cache that rounds keys and values.
            boolean harmless = name.equals("cache_implementation")
                    ? !value.asText().equals("quantized")
                    : HARMLESS.contains(name) || HARMLESS_NAMES.matcher(name).matches();
            boolean neutralValue = value.isNull()
                    || value.isBoolean() && !value.asBoolean()
                    || value.isContainerNode() && value.isEmpty()
                    || neutral != null && value.isNumber() && value.asDouble() == neutral;
            if (harmless || neutralValue) {
                continue;
            }
            String shown = ModelConfig.shown(name + " " + value);
            if (draws) {
                refusedToDraw = shown;
            } else {
                refused = shown;
            }
        }
        return new GenerationConfig(
                json.path("temperature").asDouble(1),
                json.path("top_k").asInt(50),
                json.path("top_p").asDouble(1),
                json.path("min_p").asDouble(0),
                json.path("repetition_penalty").asDouble(1),
                strings(json.path("stop_strings")),
                refused,
                refusedToDraw);
    }

    private static List<String> strings(JsonNode value) {
        if (value.isTextual()) {
            return List.of(value.asText());
        }
        List<String> strings = new ArrayList<>();
        value.forEach(string -> strings.add(string.asText()));
        return strings;
    }

    /** How tokens are drawn: as given, and what is null as this file says. */
    Sampling sampling(Double temperature, Integer topK, Double topP, Double minP, long seed) {
        return new Sampling(
                temperature == null ? this.temperature : temperature,
                topK == null ? this.topK : topK,
                topP == null ? this.topP : topP,
                minP == null ? this.minP : minP,
                seed);
    }

    /**
     * @param draws whether tokens are drawn
     * @throws UnsupportedModelException if the makers want what is not done here
     */
    void check(boolean draws) {
        String option = refused != null ? refused : draws ? refusedToDraw : null;
        if (option != null) {
            throw new UnsupportedModelException("generation_config.json: " + option
                    + " is not supported, and could change what the model says; remove it if it is a"
                    + " note, or do without it");
        }
        if (!(repetitionPenalty > 0)) {
            throw new UnsupportedModelException(
                    "generation_config.json: repetition_penalty must be above 0, but is " + repetitionPenalty);
        }
    }
}
