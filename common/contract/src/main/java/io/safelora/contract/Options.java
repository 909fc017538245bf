package io.safelora.contract;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Map;

/**
 * The options of a command line as a record of the contract: the same fields, types and ranges as in a job document.
 */
public final class Options {
    private Options() {}

    /**
     * Reads and validates options.
     *
     * @param fields by the names that a job document has for them; null for an option that was not given
     * @throws InvalidJobException if a value is out of range; the message names the option as users type it: {@code
     *     --num-fewshot}
     */
    public static <T> T read(Map<String, ?> fields, Class<T> type) {
        return read((JsonNode) Json.MAPPER.valueToTree(fields), type);
    }

    /** The same of a JSON object. */
    public static <T> T read(JsonNode fields, Class<T> type) {
        return Validation.read(fields, type, "the options", Options::option);
    }

    /** {@code num_fewshot} is {@code --num-fewshot}. */
    public static String option(String field) {
        return "--" + field.replace('_', '-');
    }
}
