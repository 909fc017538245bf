package io.safelora.lm;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * Rotary position embeddings (Su et al. 2021, arXiv 2104.09864) and what stretches them to longer texts: linear
 * interpolation (arXiv 2306.15595), dynamic NTK, Llama 3.1's change of slow frequencies, YaRN (arXiv 2309.00071).
 *
 * @param type default, linear, dynamic, llama3 or yarn
 * @param dim how many elements of a head are rotated
 * @param factor by which texts may be longer than the original ones
 * @param positions the length up to which the model was trained: original_max_position_embeddings, or
 *     max_position_embeddings for dynamic
 * @param low low_freq_factor (llama3) or beta_slow (yarn)
 * @param high high_freq_factor (llama3) or beta_fast (yarn)
 * @param scale of cosines and sines: yarn's attention factor
 * @param truncate whether yarn's borders are rounded to whole dimensions
 */
public record Rope(
        String type,
        int dim,
        double theta,
        double factor,
        double positions,
        double low,
        double high,
        double scale,
        boolean truncate) {

    private static final Map<String, Set<String>> PARAMETERS = Map.of(
            "default", Set.of(),
            "linear", Set.of("factor"),
            "dynamic", Set.of("factor", "original_max_position_embeddings"),
            "llama3", Set.of("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
            "yarn",
                    Set.of(
                            "factor",
                            "original_max_position_embeddings",
                            "attention_factor",
                            "beta_fast",
                            "beta_slow",
                            "mscale",
                            "mscale_all_dim",
                            "truncate"));
    private static final Set<String> ALWAYS =
            Set.of("rope_type", "type", "rope_theta", "partial_rotary_factor", "finetuned", "max_position_embeddings");

    static Rope of(ModelConfig.Options options, int headDim, int maxPositions) {
        JsonNode rope = options.get("rope_parameters");
        if (!rope.isObject()) {
            rope = options.get("rope_scaling");
        }
        String type = rope.path("rope_type").asText(rope.path("type").asText("default"));
        Set<String> known = PARAMETERS.get(type);
        if (known == null
                || type.equals("yarn")
                        && options.json().path("model_type").asText().equals("phi3")) {
            throw new UnsupportedModelException("config.json: rope_type \"" + ModelConfig.shown(type)
                    + "\" is not supported; supported: " + String.join(", ", new TreeSet<>(PARAMETERS.keySet())));
        }
        for (Map.Entry<String, JsonNode> parameter : rope.properties()) {
            if (!known.contains(parameter.getKey())
                    && !ALWAYS.contains(parameter.getKey())
                    && !parameter.getValue().isNull()) {
                throw new UnsupportedModelException("config.json: the rope parameter "
                        + ModelConfig.shown(parameter.getKey()) + " is not supported for rope_type " + type);
            }
        }
        double theta = number(rope, "rope_theta", options.has("rope_theta") ? options.number("rope_theta") : 10000);
        double part = number(
                rope,
                "partial_rotary_factor",
                options.has("partial_rotary_factor") ? options.number("partial_rotary_factor") : 1);
        int dim = (int) (headDim * part);
        if (dim < 2 || dim > headDim || dim % 2 != 0) {
            throw new UnsupportedModelException("config.json: " + dim + " of head_dim " + headDim
                    + " would be rotated; rotary embeddings pair elements, so it must be an even part");
        }
        double positions = type.equals("dynamic")
                ? maxPositions
                : number(rope, "original_max_position_embeddings", type.equals("llama3") ? Double.NaN : maxPositions);
        double factor =
                switch (type) {
                    case "default" -> 1;
                    case "yarn" -> number(rope, "factor", maxPositions / positions);
                    default -> number(rope, "factor", Double.NaN);
                };
        return switch (type) {
            case "llama3" ->
                new Rope(
                        type,
                        dim,
                        theta,
                        factor,
                        positions,
                        number(rope, "low_freq_factor", Double.NaN),
                        number(rope, "high_freq_factor", Double.NaN),
                        1,
                        false);
            case "yarn" ->
                new Rope(
                        type,
                        dim,
                        theta,
                        factor,
                        positions,
                        number(rope, "beta_slow", 1),
                        number(rope, "beta_fast", 32),
                        attentionFactor(rope, factor),
                        rope.path("truncate").asBoolean(true));
            default -> new Rope(type, dim, theta, factor, positions, 1, 1, 1, false);
        };
    }

    private static double attentionFactor(JsonNode rope, double factor) {
        if (rope.hasNonNull("attention_factor")) {
            return number(rope, "attention_factor", Double.NaN);
        }
        double mscale = rope.path("mscale").asDouble(0);
        double all = rope.path("mscale_all_dim").asDouble(0);
        return mscale != 0 && all != 0 ? mscale(factor, mscale) / mscale(factor, all) : mscale(factor, 1);
    }

    private static double mscale(double factor, double mscale) {
        return factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1;
    }

    /** The inverse frequencies (dim / 2,) from theta's powers. */
    float[] scaled(float[] invFreq) {
        float[] scaled = invFreq.clone();
        for (int i = 0; i < scaled.length; i++) {
            scaled[i] = switch (type) {
                case "linear" -> (float) (invFreq[i] / factor);
                case "llama3" -> (float) llama3(invFreq[i]);
                case "yarn" -> (float) yarn(invFreq[i], i);
                default -> invFreq[i];
            };
        }
        return scaled;
    }

    private double llama3(double frequency) {
        double wavelength = 2 * Math.PI / frequency;
        if (wavelength > positions / low) {
            return frequency / factor;
        } else if (wavelength < positions / high) {
            return frequency;
        }
        double smooth = (positions / wavelength - low) / (high - low);
        return (1 - smooth) * frequency / factor + smooth * frequency;
    }

    /** Slow frequencies are interpolated, fast ones kept, those between both mixed. */
    private double yarn(double frequency, int i) {
        double from = Math.max(truncate ? Math.floor(border(high)) : border(high), 0);
        double to = Math.min(truncate ? Math.ceil(border(low)) : border(low), dim - 1);
        double ramp = Math.min(1, Math.max(0, (i - from) / (from == to ? 0.001 : to - from)));
        return frequency / factor * ramp + frequency * (1 - ramp);
    }

    /** The dimension that turns so many times within the original length. */
    private double border(double rotations) {
        return dim * Math.log(positions / (rotations * 2 * Math.PI)) / (2 * Math.log(theta));
    }

    private static double number(JsonNode rope, String name, double otherwise) {
        JsonNode value = rope.path(name);
        double number = value.isNumber() ? value.asDouble() : otherwise;
        if (!value.isNumber() && rope.hasNonNull(name) || !(number > 0) || Double.isInfinite(number)) {
            throw new UnsupportedModelException(
                    "config.json: the rope parameter " + name + " is missing or not a number above zero");
        }
        return number;
    }
}
