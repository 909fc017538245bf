package io.safelora.preflight;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.rows.Rows;
import io.safelora.lm.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;

/**
 * How much there is to read in a file of rows.
 *
 * @param rows all of them
 * @param tokens the mean length of the first rows, all texts of a row together
 */
record DataSample(long rows, double tokens) {
    private static final int MEASURED = 64;

    static DataSample of(Path file, Tokenizer tokenizer) throws IOException {
        long[] rows = {0};
        long[] tokens = {0};
        Rows.read(file, Rows.MAX_TEXT, row -> {
            if (rows[0]++ < MEASURED) {
                StringBuilder text = new StringBuilder();
                texts(row.values(), text);
                tokens[0] += tokenizer.encode(text.toString(), true).length;
            }
        });
        return new DataSample(rows[0], (double) tokens[0] / Math.max(1, Math.min(rows[0], MEASURED)));
    }

    private static void texts(JsonNode value, StringBuilder into) {
        if (value.isTextual()) {
            into.append(value.textValue()).append('\n');
        }
        value.forEach(part -> texts(part, into));
    }
}
