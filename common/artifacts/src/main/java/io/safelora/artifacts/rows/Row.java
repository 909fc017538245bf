package io.safelora.artifacts.rows;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.InvalidArtifactException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * One row of a file.
 *
 * @param values by column; a column without a value may be absent
 * @param where the file and the line (of Parquet the row), for messages: {@code train.jsonl, line 7}
 */
public record Row(ObjectNode values, String where) {
    private static final int NAMES = 12;
    private static final int NAME = 40;

    /** Whether there is a value other than null. */
    public boolean has(String column) {
        return values.hasNonNull(column);
    }

    /**
     * The text of a column.
     *
     * @throws InvalidArtifactException if there is none
     */
    public String text(String column) {
        if (!has(column)) {
            throw invalid("has no \"" + column + "\"; it has " + columns());
        }
        return text(values.get(column), "\"" + column + "\"");
    }

    /**
     * The text that a value of this row is.
     *
     * @param name what the value is, for the message
     * @throws InvalidArtifactException if it is something else
     */
    public String text(JsonNode value, String name) {
        if (!value.isTextual()) {
            throw invalid(name + " must be text, not " + kind(value));
        }
        return value.textValue();
    }

    /** What a reader says of this row. */
    public InvalidArtifactException invalid(String what) {
        return new InvalidArtifactException(where + ": " + what);
    }

    /** The names of the columns, for messages. */
    public String columns() {
        return names(values::fieldNames);
    }

    /** Names from a file, for a message of one line. */
    static String names(Iterable<String> names) {
        List<String> shown = new ArrayList<>();
        int all = 0;
        for (String name : names) {
            if (++all <= NAMES) {
                shown.add('"'
                        + (name.length() > NAME ? name.substring(0, NAME) + "..." : name).replaceAll("\\p{Cntrl}", "?")
                        + '"');
            }
        }
        return all == 0
                ? "no columns"
                : String.join(", ", shown) + (all > NAMES ? " and " + (all - NAMES) + " more" : "");
    }

    /** What kind of value this is, for messages. */
    public static String kind(JsonNode value) {
        return switch (value.getNodeType()) {
            case MISSING, NULL -> "nothing";
            case ARRAY -> "a list";
            case STRING -> "a text";
            case BINARY -> "binary data";
            default ->
                (value.isObject() ? "an " : "a ") + value.getNodeType().name().toLowerCase(Locale.ROOT);
        };
    }
}
