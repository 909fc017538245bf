package io.safelora.artifacts.rows;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.contract.Json;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import org.apache.commons.csv.CSVException;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVParser;
import org.apache.commons.csv.CSVRecord;

/**
 * Rows of CSV (RFC 4180) as spreadsheets and pandas write it; with semicolons or tabs if those stand in the first line
 * and no comma does. A column without a name, such as pandas' index, is left out, and so are commas behind the last
 * value.
 */
final class CsvRows {
    private static final int HEADER = 1 << 15;
    private static final Pattern LINE_BREAK = Pattern.compile("\r\n?|\n");

    private CsvRows() {}

    /** @param in marks as many bytes as a header may have */
    static void read(InputStream in, String file, Limits limits, Consumer<Row> each) throws IOException {
        CSVFormat format =
                CSVFormat.DEFAULT.builder().setDelimiter(delimiter(in)).get();
        BoundedReader text = new BoundedReader(in, file, limits);
        text.nextRow(file + ", line 1");
        try (CSVParser csv = format.parse(text)) {
            Iterator<CSVRecord> records = csv.iterator();
            List<String> columns = null;
            for (CSVRecord row = next(records, file); row != null; row = next(records, file)) {
                long last = csv.getCurrentLineNumber();
                String where = file + ", line " + (last - lineBreaks(row));
                text.nextRow(file + ", line " + (last + 1));
                if (columns == null) {
                    columns = columns(row, where);
                } else {
                    each.accept(new Row(values(row, columns, where), where));
                }
            }
        }
    }

    private static char delimiter(InputStream in) throws IOException {
        in.mark(HEADER);
        String header = new String(in.readNBytes(HEADER), StandardCharsets.UTF_8)
                .lines()
                .findFirst()
                .orElse("");
        in.reset();
        return header.contains(",") ? ',' : header.contains("\t") ? '\t' : header.contains(";") ? ';' : ',';
    }

    private static CSVRecord next(Iterator<CSVRecord> records, String file) throws IOException {
        try {
            return records.hasNext() ? records.next() : null;
        } catch (UncheckedIOException e) {
            if (e.getCause() instanceof CSVException syntax) {
                throw new InvalidArtifactException(file + ": not CSV: " + syntax.getMessage(), e);
            }
            throw e.getCause(); // bad bytes, or the disk's fault
        }
    }

    /** Line breaks within quotes. */
    private static long lineBreaks(CSVRecord row) {
        return row.stream()
                .mapToLong(value -> LINE_BREAK.matcher(value).results().count())
                .sum();
    }

    private static List<String> columns(CSVRecord header, String where) {
        Set<String> seen = new HashSet<>();
        List<String> columns = header.stream().map(String::strip).toList();
        for (String column : columns) {
            if (!column.isEmpty() && !seen.add(column)) {
                throw new InvalidArtifactException(
                        where + ": names the column \"" + column + "\" twice; rename or remove one of them");
            }
        }
        if (seen.isEmpty()) {
            throw new InvalidArtifactException(where + ": names no columns; the first line must");
        }
        return columns;
    }

    private static ObjectNode values(CSVRecord row, List<String> columns, String where) {
        ObjectNode values = Json.MAPPER.createObjectNode();
        for (int i = 0; i < row.size(); i++) {
            if (i >= columns.size()) {
                if (!row.get(i).isBlank()) {
                    throw new InvalidArtifactException(where + ": has more values than the " + columns.size()
                            + " columns that the first line names; put quotes around text with commas");
                }
            } else if (!columns.get(i).isEmpty()) {
                values.put(columns.get(i), row.get(i));
            }
        }
        return values;
    }
}
