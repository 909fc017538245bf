package io.safelora.artifacts.checkpoint;

import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * The name of a module as transformers' causal language models and PEFT's adapters have it.
 *
 * @param full {@code model.layers.7.self_attn.q_proj}
 */
public record ModuleName(String full) {
    private static final String WEIGHT = ".weight";

    /** What the families call their lists of decoder layers. */
    private static final Set<String> LAYERS = Set.of("layers", "h", "block", "blocks");

    /** No model has more layers. */
    private static final int MAX_DIGITS = 5;

    /** The module whose weight is called {@code tensor}. */
    public static ModuleName ofWeight(String tensor) {
        if (!tensor.endsWith(WEIGHT)) {
            throw new IllegalArgumentException(tensor + " is not the name of a weight");
        }
        return new ModuleName(tensor.substring(0, tensor.length() - WEIGHT.length()));
    }

    /** The name of the module's weight. */
    public String weight() {
        return full + WEIGHT;
    }

    /** The last part, {@code q_proj}: what PEFT's target_modules lists. */
    public String bare() {
        return full.substring(full.lastIndexOf('.') + 1);
    }

    /** The number of the decoder layer, from 0; null outside of the layers. */
    public Integer layer() {
        List<String> parts = List.of(full.split("\\."));
        int at = layerAt(parts);
        return at < 0 ? null : Integer.valueOf(parts.get(at));
    }

    /** The name inside its layer, {@code self_attn.q_proj}; the full name outside of the layers. */
    public String inLayer() {
        List<String> parts = List.of(full.split("\\."));
        int at = layerAt(parts);
        return at < 0 ? full : String.join(".", parts.subList(at + 1, parts.size()));
    }

    private static int layerAt(List<String> parts) {
        for (int i = 1; i + 1 < parts.size(); i++) {
            String number = parts.get(i);
            if (LAYERS.contains(parts.get(i - 1))
                    && !number.isEmpty()
                    && number.length() <= MAX_DIGITS
                    && number.chars().allMatch(c -> '0' <= c && c <= '9')) {
                return i;
            }
        }
        return -1;
    }

    /** Whether {@code name} is the whole name, or its end after a dot, as target_modules means it. */
    public boolean isCalled(String name) {
        return full.equals(name) || full.endsWith("." + name);
    }

    /** Whether it is called by one of {@code names}. */
    public boolean isCalledAny(List<String> names) {
        return names.stream().anyMatch(this::isCalled);
    }

    /**
     * Whether a regular expression from a file matches the whole name.
     *
     * @throws PatternSyntaxException if it is not a regular expression, or would backtrack for years
     */
    public boolean matches(String expression) {
        try {
            return Pattern.compile(expression).matcher(new BoundedText(full)).matches();
        } catch (StackOverflowError | BoundedText.Exhausted e) {
            throw new PatternSyntaxException("takes too long to match", expression, -1);
        }
    }

    @Override
    public String toString() {
        return full;
    }
}
