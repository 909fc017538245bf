package io.safelora.lm;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * What config.json says of a model, as transformers 4 ({@code rope_theta}, {@code rope_scaling}) and transformers 5
 * ({@code rope_parameters}) write it.
 *
 * @param numKeyValueHeads heads of keys and values; each serves numAttentionHeads / numKeyValueHeads heads of queries
 * @param tieWordEmbeddings whether the head's weight is the embedding's
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
        double rmsNormEps,
        boolean tieWordEmbeddings,
        int maxPositionEmbeddings,
        Rope rope) {

    /**
     * Rotary position embeddings (arXiv 2104.09864), with Llama 3.1's stretching of slow frequencies where
     * {@code type} is llama3.
     */
    public record Rope(
            String type,
            double theta,
            double factor,
            double lowFreqFactor,
            double highFreqFactor,
            double originalMaxPositions) {

        /** Llama 3.1's change of the inverse frequencies; none for type default. */
        float[] scaled(float[] invFreq) {
            if (!type.equals("llama3")) {
                return invFreq;
            }
            float[] scaled = invFreq.clone();
            for (int i = 0; i < scaled.length; i++) {
                double wavelength = 2 * Math.PI / invFreq[i];
                if (wavelength > originalMaxPositions / lowFreqFactor) {
                    scaled[i] = (float) (invFreq[i] / factor);
                } else if (wavelength >= originalMaxPositions / highFreqFactor) {
                    double smooth =
                            (originalMaxPositions / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
                    scaled[i] = (float) ((1 - smooth) * invFreq[i] / factor + smooth * invFreq[i]);
                }
            }
            return scaled;
        }
    }

    private static final Set<String> MODEL_TYPES = Set.of("llama");
    /** Options that change what the model computes, with the only value that is run here. */
    private static final List<List<String>> FIXED =
            List.of(List.of("attention_bias", "false"), List.of("mlp_bias", "false"), List.of("hidden_act", "silu"));

    /**
     * Reads a config.json.
     *
     * @throws UnsupportedModelException if it is another architecture or asks for an option that is not run
     */
    public static ModelConfig of(JsonNode json) {
        String type = json.path("model_type").asText("");
        if (!MODEL_TYPES.contains(type)) {
            throw new UnsupportedModelException("config.json: model_type "
                    + (type.isEmpty() ? "is missing" : "\"" + shown(type) + "\" is not supported") + "; supported: "
                    + String.join(", ", new TreeSet<>(MODEL_TYPES)));
        }
        for (String refused : List.of("auto_map", "quantization_config")) {
            if (json.hasNonNull(refused)) {
                throw new UnsupportedModelException("config.json: " + refused + " is not supported: "
                        + (refused.equals("auto_map")
                                ? "code of a checkpoint is never run"
                                : "save the model unquantized"));
            }
        }
        for (List<String> option : FIXED) {
            JsonNode value = json.path(option.get(0));
            if (!value.isMissingNode() && !value.isNull() && !value.asText().equals(option.get(1))) {
                throw new UnsupportedModelException("config.json: " + option.get(0) + " " + shown(value.asText())
                        + " is not supported; only " + option.get(1));
            }
        }
        int heads = positive(json, "num_attention_heads", 1 << 12);
        int hidden = positive(json, "hidden_size", 1 << 20);
        int kvHeads = json.hasNonNull("num_key_value_heads") ? positive(json, "num_key_value_heads", heads) : heads;
        int headDim = json.hasNonNull("head_dim") ? positive(json, "head_dim", 1 << 16) : hidden / heads;
        if (heads % kvHeads != 0) {
            throw new UnsupportedModelException(
                    "config.json: num_attention_heads " + heads + " is no multiple of num_key_value_heads " + kvHeads);
        }
        if (headDim % 2 != 0) {
            throw new UnsupportedModelException(
                    "config.json: head_dim " + headDim + " is odd; rotary embeddings pair its elements");
        }
        return new ModelConfig(
                type,
                positive(json, "vocab_size", 1 << 24),
                hidden,
                positive(json, "num_hidden_layers", 1 << 12),
                heads,
                kvHeads,
                headDim,
                positive(json, "intermediate_size", 1 << 24),
                json.path("rms_norm_eps").asDouble(1e-6),
                json.path("tie_word_embeddings").asBoolean(false),
                json.hasNonNull("max_position_embeddings") ? positive(json, "max_position_embeddings", 1 << 28) : 2048,
                rope(json));
    }

    private static Rope rope(JsonNode json) {
        JsonNode rope = json.hasNonNull("rope_parameters") ? json.get("rope_parameters") : json.path("rope_scaling");
        String type = rope.path("rope_type").asText(rope.path("type").asText("default"));
        double theta = rope.path("rope_theta").asDouble(json.path("rope_theta").asDouble(10000));
        return switch (type) {
            case "default" -> new Rope(type, theta, 1, 1, 1, 1);
            case "llama3" ->
                new Rope(
                        type,
                        theta,
                        number(rope, "factor"),
                        number(rope, "low_freq_factor"),
                        number(rope, "high_freq_factor"),
                        number(rope, "original_max_position_embeddings"));
            default ->
                throw new UnsupportedModelException(
                        "config.json: rope_type \"" + shown(type) + "\" is not supported; supported: default, llama3");
        };
    }

    private static int positive(JsonNode json, String name, int max) {
        JsonNode value = json.path(name);
        if (!value.isIntegralNumber() || value.asLong() < 1 || value.asLong() > max) {
            throw new UnsupportedModelException("config.json: " + name + " must be an integer from 1 to " + max
                    + ", but is " + (value.isMissingNode() ? "missing" : shown(value.toString())));
        }
        return value.asInt();
    }

    private static double number(JsonNode json, String name) {
        if (!json.path(name).isNumber()) {
            throw new UnsupportedModelException("config.json: the rope parameter " + name + " is missing or no number");
        }
        return json.path(name).asDouble();
    }

    /** A hostile value, cut to what fits in a message. */
    private static String shown(String value) {
        String clean = value.replaceAll("[^\\x20-\\x7e]", "?");
        return clean.length() > 60 ? clean.substring(0, 60) + "..." : clean;
    }
}
