package io.safelora.artifacts.rows;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.io.JsonEOFException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.contract.Json;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.function.Consumer;

/** Rows of JSON. A key twice in an object is refused, as one of both values would be lost. */
final class JsonRows {
    private static final ObjectReader READER = Json.MAPPER.reader().with(JsonParser.Feature.STRICT_DUPLICATE_DETECTION);

    private JsonRows() {}

    /** An object a line; lines of white space are skipped. */
    static void lines(InputStream in, String file, Limits limits, Consumer<Row> each) throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        int number = 1;
        String where = file + ", line " + number;
        int b;
        do {
            b = in.read();
            if (b >= 0 && b != '\n') {
                limits.row(1, where);
                line.write(b);
                continue;
            }
            String text = text(line.toByteArray(), where);
            if (!text.isBlank()) {
                each.accept(new Row(line(text, where), where));
            }
            line.reset();
            limits.nextRow();
            where = file + ", line " + ++number;
        } while (b >= 0);
    }

    private static String text(byte[] utf8, String where) {
        try {
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(utf8))
                    .toString();
        } catch (CharacterCodingException e) {
            throw new InvalidArtifactException(where + ": not UTF-8 text; convert it", e);
        }
    }

    private static ObjectNode line(String line, String where) {
        try (JsonParser json = READER.createParser(line)) {
            json.nextToken();
            ObjectNode row = object(json, where);
            if (!isAtEnd(json)) {
                throw new InvalidArtifactException(
                        where + ": has more text behind the row's end; write every row on a line of its own");
            }
            return row;
        } catch (JsonEOFException e) {
            throw new InvalidArtifactException(
                    where
                            + ": the line ends within a row; write every row on one line, and see whether "
                            + "the file is whole",
                    e);
        } catch (IOException e) {
            throw notJson(where, e);
        }
    }

    /** One array of objects. */
    static void array(InputStream in, String file, Limits limits, Consumer<Row> each) throws IOException {
        BoundedReader text = new BoundedReader(in, file, limits);
        try (JsonParser json = READER.createParser(text)) {
            json.nextToken();
            while (json.nextToken() != JsonToken.END_ARRAY) {
                String where = file + ", line " + json.currentTokenLocation().getLineNr();
                text.nextRow(where);
                Row row;
                try {
                    row = new Row(object(json, where), where);
                } catch (JsonEOFException e) {
                    throw new InvalidArtifactException(where + ": the file ends within this row; is it whole?", e);
                } catch (JsonProcessingException e) {
                    throw notJson(where, e);
                }
                each.accept(row);
            }
            if (!isAtEnd(json)) {
                throw new InvalidArtifactException(file + ", line "
                        + json.currentTokenLocation().getLineNr() + ": has more text behind the end of the array");
            }
        } catch (JsonProcessingException e) {
            throw notJson(file + ", line " + e.getLocation().getLineNr(), e);
        }
    }

    private static boolean isAtEnd(JsonParser json) throws IOException {
        try {
            return json.nextToken() == null;
        } catch (JsonProcessingException e) {
            return false;
        }
    }

    private static ObjectNode object(JsonParser json, String where) throws IOException {
        if (json.currentToken() != JsonToken.START_OBJECT) {
            JsonNode value = READER.readTree(json);
            throw new InvalidArtifactException(where + ": a row must be a JSON object, not " + Row.kind(value));
        }
        return READER.readTree(json);
    }

    private static InvalidArtifactException notJson(String where, IOException e) {
        String why = e instanceof JsonProcessingException json ? json.getOriginalMessage() : e.getMessage();
        return new InvalidArtifactException(
                where + ": not JSON: "
                        + (why == null ? "" : why.lines().findFirst().orElse("")),
                e);
    }
}
