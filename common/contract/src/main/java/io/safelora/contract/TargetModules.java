package io.safelora.contract;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonValue;
import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Pattern;

/**
 * Which modules get LoRA, as PEFT's {@code target_modules} says it: a list of names, each a whole name or its end
 * ({@code q_proj}); or one text, which is {@code all-linear} or a regular expression that matches whole names.
 *
 * @param names the list, or null
 * @param text the text, or null
 */
public record TargetModules(List<String> names, String text) {
    private static final String ALL_LINEAR = "all-linear";
    private static final Pattern EXPRESSION = Pattern.compile("[*+?|()\\[\\]\\\\^$]");

    public static TargetModules names(List<String> names) {
        return new TargetModules(List.copyOf(names), null);
    }

    /**
     * As one types it: names with commas between, {@code all-linear}, or a regular expression, which is told from a
     * name by its characters.
     */
    public static TargetModules typed(String text) {
        return text.equals(ALL_LINEAR) || EXPRESSION.matcher(text).find()
                ? new TargetModules(null, text)
                : names(Arrays.stream(text.split(",")).map(String::strip).toList());
    }

    @JsonCreator
    static TargetModules of(JsonNode json) {
        if (json.isTextual()) {
            return new TargetModules(null, json.asText());
        }
        List<String> names = new ArrayList<>();
        json.forEach(name -> names.add(name.asText()));
        return names(names);
    }

    @JsonValue
    Object json() {
        return names != null ? names : text;
    }

    /** Whether all linear modules but the head are meant. */
    public boolean allLinear() {
        return ALL_LINEAR.equals(text);
    }

    @Override
    public String toString() {
        return names != null ? String.join(", ", names) : text;
    }
}
