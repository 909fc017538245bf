package io.safelora.lm;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;

/**
 * What config.json says of a model, as transformers 4 ({@code rope_theta}, {@code rope_scaling}) and transformers 5
 * ({@code rope_parameters}) write it.
 *
 * @param numKeyValueHeads heads of keys and values; each serves numAttentionHeads / numKeyValueHeads heads of queries
 * @param hiddenAct silu, gelu, gelu_tanh or relu
 * @param tieWordEmbeddings whether the head's weight is the embedding's
 * @param maxPositionEmbeddings the longest sequence
 * @param rope null where positions are learned
 * @param windows per layer how many tokens back attention sees, itself included; 0: all
 * @param scoreScale what q k^T is multiplied by
 * @param scoreSoftcap scores become cap tanh(score / cap); 0: as they are
 * @param logitSoftcap the same for logits
 * @param biased the kernels' names of the linear weights that have a bias
 */
public record ModelConfig(
        String modelType,
        int vocabSize,
        int hiddenSize,
        int numHiddenLayers,
        int numAttentionHeads,
        int numKeyValueHeads,
        int headDim,
        int intermediateSize,
        double normEps,
        String hiddenAct,
        boolean tieWordEmbeddings,
        int maxPositionEmbeddings,
        Rope rope,
        List<Integer> windows,
        double scoreScale,
        double scoreSoftcap,
        double logitSoftcap,
        double embeddingScale,
        boolean parallelResidual,
        Set<String> biased) {

    private static final Map<String, String> ACTIVATIONS = Map.of(
            "silu", "silu",
            "swish", "silu",
            "gelu", "gelu",
            "gelu_new", "gelu_tanh",
            "gelu_pytorch_tanh", "gelu_tanh",
            "relu", "relu");

    /**
     * Options that do not change what a loaded model computes: how it is trained, initialised, stored or returned, what
     * its tokens are, other heads, limits that nothing reads, and code of the checkpoint, which is never run.
     */
    private static final Set<String> HARMLESS = Set.of(
            "architectures",
            "attention_dropout",
            "attn_implementation",
            "attn_pdrop",
            "auto_map",
            "bos_token_id",
            "cache_implementation",
            "chunk_size_feed_forward",
            "classifier_dropout",
            "custom_pipelines",
            "dtype",
            "embd_pdrop",
            "eos_token_id",
            "experts_implementation",
            "finetuning_task",
            "gradient_checkpointing",
            "hidden_dropout",
            "id2label",
            "initializer_range",
            "is_decoder",
            "is_llama_config",
            "label2id",
            "layer_types", // where a family does not know them, windows() checks that they say what it does
            "loss_type",
            "max_new_tokens",
            "max_seq_len",
            "max_seq_length",
            "max_sequence_length",
            "model_max_length",
            "model_type",
            "n_ctx",
            "name_or_path",
            "num_labels",
            "original_max_position_embeddings",
            "output_attentions",
            "output_hidden_states",
            "output_past",
            "pad_token_id",
            "prefix",
            "pretraining_tp",
            "problem_type",
            "reorder_and_upcast_attn",
            "resid_pdrop",
            "return_dict",
            "sep_token_id",
            "seq_length",
            "summary_activation",
            "summary_first_dropout",
            "summary_last_dropout",
            "summary_proj_to_labels",
            "summary_type",
            "summary_use_proj",
            "task_specific_params",
            "tokenizer_class",
            "torch_dtype",
            "torchscript",
            "transformers_version",
            "unk_token_id",
            "use_bfloat16",
            "use_cache",
            "use_return_dict");

    /** How texts are generated: transformers 5 reads that from generation_config.json alone, and throws these away. */
    private static final Set<String> OF_GENERATION = Set.of(
            "assistant_confidence_threshold",
            "assistant_lookbehind",
            "bad_words_ids",
            "begin_suppress_tokens",
            "diversity_penalty",
            "do_sample",
            "early_stopping",
            "encoder_no_repeat_ngram_size",
            "encoder_repetition_penalty",
            "epsilon_cutoff",
            "eta_cutoff",
            "exponential_decay_length_penalty",
            "forced_bos_token_id",
            "forced_eos_token_id",
            "length_penalty",
            "max_length",
            "min_length",
            "no_repeat_ngram_size",
            "num_assistant_tokens",
            "num_assistant_tokens_schedule",
            "num_beam_groups",
            "num_beams",
            "num_return_sequences",
            "output_scores",
            "remove_invalid_values",
            "repetition_penalty",
            "return_dict_in_generate",
            "suppress_tokens",
            "target_lookbehind",
            "temperature",
            "top_k",
            "top_p",
            "typical_p");

    /** Notes of tools. */
    private static final Pattern NOTES = Pattern.compile("_.*|unsloth_.*|transformers\\.js_.*|.*_version");

    /** Options for which false is not what transformers does where nothing is said. */
    private static final Set<String> TRUE_BY_DEFAULT = Set.of("is_causal");

    /**
     * Reads a config.json.
     *
     * @throws UnsupportedModelException if it is another architecture or asks for an option that is not run
     */
    public static ModelConfig of(JsonNode json) {
        String type = json.path("model_type").asText("");
        Family family = Family.ALL.get(type);
        if (family == null) {
            throw new UnsupportedModelException("config.json: model_type "
                    + (type.isEmpty() ? "is missing" : "\"" + shown(type) + "\" is not supported") + "; supported: "
                    + String.join(", ", new TreeSet<>(Family.ALL.keySet())));
        }
        Options options = new Options(json, family);
        options.refuseUnknown();
        int heads = options.positive("num_attention_heads", 1 << 12);
        int hidden = options.positive("hidden_size", 1 << 20);
        int layers = options.positive("num_hidden_layers", 1 << 12);
        int kvHeads = options.has("num_key_value_heads") ? options.positive("num_key_value_heads", heads) : heads;
        if (!options.has("head_dim") && hidden % heads != 0) {
            throw new UnsupportedModelException(
                    "config.json: hidden_size " + hidden + " is not a multiple of num_attention_heads " + heads);
        }
        int headDim = options.has("head_dim") ? options.positive("head_dim", 1 << 16) : hidden / heads;
        if (heads % kvHeads != 0) {
            throw new UnsupportedModelException("config.json: num_attention_heads " + heads
                    + " is not a multiple of num_key_value_heads " + kvHeads);
        }
        String said = options.text("hidden_act");
        String activation = ACTIVATIONS.get(family.has("gelu_is_tanh") && said.equals("gelu") ? "gelu_new" : said);
        if (activation == null) {
            throw new UnsupportedModelException("config.json: " + family.spelled("hidden_act") + " "
                    + shown(options.text("hidden_act")) + " is not supported; supported: "
                    + String.join(", ", new TreeSet<>(ACTIVATIONS.keySet())));
        }
        boolean learned = family.outer().containsKey("positions");
        int positions = options.positive("max_position_embeddings", 1 << 28);
        Rope rope = learned ? null : Rope.of(options, headDim, positions);
        Set<String> biased = new TreeSet<>();
        family.biases().forEach((weight, option) -> {
            if (option.equals("true") || options.flag(option)) {
                biased.add(weight);
            }
        });
        double scale = options.has("query_pre_attn_scalar")
                ? options.number("query_pre_attn_scalar")
                : options.has("scale_attn_weights") && !options.flag("scale_attn_weights") ? 1 : headDim;
        return new ModelConfig(
                type,
                options.positive("vocab_size", 1 << 24),
                hidden,
                layers,
                heads,
                kvHeads,
                headDim,
                options.has("intermediate_size") ? options.positive("intermediate_size", 1 << 24) : 4 * hidden,
                options.number("norm_eps"),
                activation,
                options.flag("tie_word_embeddings"),
                rope != null && rope.type().equals("dynamic") ? (int) (positions * rope.factor()) : positions,
                rope,
                windows(options, layers),
                1 / Math.sqrt(scale),
                options.has("attn_logit_softcapping") ? options.number("attn_logit_softcapping") : 0,
                options.has("final_logit_softcapping") ? options.number("final_logit_softcapping") : 0,
                family.has("one_plus") ? Math.sqrt(hidden) : 1,
                options.has("use_parallel_residual") && options.flag("use_parallel_residual"),
                biased);
    }

    /** The same model with or without a head of its own. */
    ModelConfig tied(boolean tied) {
        return tied == tieWordEmbeddings
                ? this
                : new ModelConfig(
                        modelType,
                        vocabSize,
                        hiddenSize,
                        numHiddenLayers,
                        numAttentionHeads,
                        numKeyValueHeads,
                        headDim,
                        intermediateSize,
                        normEps,
                        hiddenAct,
                        tied,
                        maxPositionEmbeddings,
                        rope,
                        windows,
                        scoreScale,
                        scoreSoftcap,
                        logitSoftcap,
                        embeddingScale,
                        parallelResidual,
                        biased);
    }

    private static List<Integer> windows(Options options, int layers) {
        int window = options.has("sliding_window") ? options.positive("sliding_window", 1 << 28) : 0;
        if (options.has("use_sliding_window") && !options.flag("use_sliding_window")) {
            window = 0;
        }
        JsonNode types = options.json().path("layer_types");
        if (types.isArray() && types.size() != layers) {
            throw new UnsupportedModelException(
                    "config.json: layer_types has " + types.size() + " entries, but num_hidden_layers is " + layers);
        }
        boolean free = options.family().config().containsKey("layer_types");
        int from = options.has("max_window_layers")
                ? options.get("max_window_layers").asInt()
                : 0;
        List<Integer> windows = new ArrayList<>();
        for (int i = 0; i < layers; i++) {
            String type = types.isArray() ? types.get(i).asText() : "";
            if (!type.isEmpty() && !type.equals("full_attention") && !type.equals("sliding_attention")) {
                throw new UnsupportedModelException("config.json: layer_types has \"" + shown(type)
                        + "\"; supported: full_attention, sliding_attention");
            }
            boolean slides = !type.isEmpty() && free
                    ? type.equals("sliding_attention")
                    : switch (options.family().window()) {
                        case "even" -> i % 2 == 0;
                        case "from max_window_layers" -> i >= from;
                        default -> true;
                    };
            windows.add(slides ? window : 0);
            if (!type.isEmpty() && !free && type.equals("sliding_attention") != windows.get(i) > 0) {
                throw new UnsupportedModelException("config.json: layer_types has \"" + type + "\" for layer " + i
                        + ", but model_type "
                        + options.json().path("model_type").asText() + " takes "
                        + (window > 0 ? "sliding_window " + window + " in all layers" : "full attention in all layers")
                        + " whatever layer_types says; remove it if it is a note");
            }
        }
        return windows;
    }

    /** config.json seen through its family: options by their usual names, defaults where the file has none. */
    record Options(JsonNode json, Family family) {
        void refuseUnknown() {
            if (json.hasNonNull("quantization_config")) {
                throw new UnsupportedModelException(
                        "config.json: quantization_config is not supported: save the model unquantized");
            }
            for (Map.Entry<String, JsonNode> option : json.properties()) {
                String name = option.getKey();
                JsonNode value = option.getValue();
                boolean unset = value.isNull()
                        || value.isBoolean() && value.asBoolean() == TRUE_BY_DEFAULT.contains(name)
                        || value.isContainerNode() && value.isEmpty();
                if (!unset
                        && !family.config().containsKey(name)
                        && !HARMLESS.contains(name)
                        && !OF_GENERATION.contains(name)
                        && !NOTES.matcher(name).matches()) {
                    throw new UnsupportedModelException("config.json: option " + shown(name) + " "
                            + shown(value.toString()) + " is not supported for model_type "
                            + json.path("model_type").asText() + "; remove it if it is a note");
                }
            }
        }

        JsonNode get(String option) {
            String name = family.spelled(option);
            if (!family.config().containsKey(name)) {
                return MissingNode.getInstance();
            }
            return json.has(name) ? json.get(name) : family.config().get(name);
        }

        boolean has(String option) {
            return !get(option).isMissingNode() && !get(option).isNull();
        }

        int positive(String option, int max) {
            JsonNode value = get(option);
            if (!value.isIntegralNumber() || value.asLong() < 1 || value.asLong() > max) {
                throw new UnsupportedModelException("config.json: " + family.spelled(option)
                        + " must be an integer from 1 to " + max + ", but is "
                        + (value.isMissingNode() || value.isNull() ? "missing" : shown(value.toString())));
            }
            return value.asInt();
        }

        double number(String option) {
            JsonNode value = get(option);
            if (!value.isNumber() || !(value.asDouble() > 0) || Double.isInfinite(value.asDouble())) {
                throw new UnsupportedModelException("config.json: " + family.spelled(option)
                        + " must be a number above zero, but is " + shown(value.toString()));
            }
            return value.asDouble();
        }

        boolean flag(String option) {
            JsonNode value = get(option);
            if (!value.isBoolean()) {
                throw new UnsupportedModelException("config.json: " + family.spelled(option)
                        + " must be true or false, but is " + shown(value.toString()));
            }
            return value.asBoolean();
        }

        String text(String option) {
            return get(option).asText("");
        }
    }

    /** A hostile value, cut to what fits in a message. */
    static String shown(String value) {
        String clean = value.replaceAll("[^\\x20-\\x7e]", "?");
        return clean.length() > 60 ? clean.substring(0, 60) + "..." : clean;
    }
}
