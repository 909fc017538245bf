package io.safelora.training;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.contract.Json;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.BiConsumer;
import org.apache.parquet.column.page.PageReadStore;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.example.data.simple.convert.GroupRecordConverter;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.io.ColumnIOFactory;
import org.apache.parquet.io.LocalInputFile;
import org.apache.parquet.io.MessageColumnIO;
import org.apache.parquet.io.RecordReader;
import org.apache.parquet.schema.GroupType;
import org.apache.parquet.schema.LogicalTypeAnnotation;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.Type;

/** The rows of a data file as JSON objects: JSON Lines, or Parquet where the file begins with its magic. */
final class Rows {
    private static final byte[] PARQUET = "PAR1".getBytes(StandardCharsets.US_ASCII);
    private static final ObjectReader ROW = Json.MAPPER.reader().with(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    private Rows() {}

    /**
     * Reads a file.
     *
     * @param row takes a row, and where it stands, for messages
     * @throws InvalidArtifactException if it is not there, or is neither of both formats; the message names the line
     */
    static void read(Path file, BiConsumer<JsonNode, String> row) throws IOException {
        byte[] magic;
        try (InputStream in = Files.newInputStream(file)) {
            magic = in.readNBytes(PARQUET.length);
        } catch (NoSuchFileException e) {
            throw new InvalidArtifactException(file + ": there is no such file; give a JSON Lines or Parquet file", e);
        }
        if (Arrays.equals(magic, PARQUET)) {
            parquet(file, row);
        } else {
            jsonLines(file, row);
        }
    }

    private static void jsonLines(Path file, BiConsumer<JsonNode, String> row) throws IOException {
        try (BufferedReader lines = Files.newBufferedReader(file)) {
            int number = 0;
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                number++;
                if (!line.isBlank()) {
                    String where = file.getFileName() + ", line " + number;
                    row.accept(parse(line, where), where);
                }
            }
        } catch (CharacterCodingException e) {
            throw new InvalidArtifactException(file.getFileName() + ": is not UTF-8 text", e);
        }
    }

    private static JsonNode parse(String line, String where) {
        try {
            return ROW.readTree(line);
        } catch (JsonProcessingException e) {
            throw new InvalidArtifactException(
                    where + ": is no JSON: "
                            + e.getOriginalMessage().lines().findFirst().orElse(""),
                    e);
        }
    }

    private static void parquet(Path file, BiConsumer<JsonNode, String> row) throws IOException {
        int number = 0;
        try (ParquetFileReader reader = ParquetFileReader.open(new LocalInputFile(file))) {
            MessageType schema = reader.getFooter().getFileMetaData().getSchema();
            MessageColumnIO columns = new ColumnIOFactory().getColumnIO(schema);
            for (PageReadStore pages = reader.readNextRowGroup(); pages != null; pages = reader.readNextRowGroup()) {
                RecordReader<Group> records = columns.getRecordReader(pages, new GroupRecordConverter(schema));
                for (long i = 0; i < pages.getRowCount(); i++) {
                    number++;
                    row.accept(object(records.read()), file.getFileName() + ", row " + number);
                }
            }
        } catch (IllegalArgumentException e) {
            throw e; // what the row's reader says of it
        } catch (IOException | RuntimeException e) {
            String why = e.getMessage() == null
                    ? e.toString()
                    : e.getMessage().lines().findFirst().orElse("");
            throw new InvalidArtifactException(
                    file.getFileName() + ": is no Parquet file that can be read, after row " + number + ": " + why, e);
        }
    }

    private static ObjectNode object(Group group) {
        ObjectNode object = Json.MAPPER.createObjectNode();
        GroupType type = group.getType();
        for (int field = 0; field < type.getFieldCount(); field++) {
            if (type.getType(field).isRepetition(Type.Repetition.REPEATED)) {
                ArrayNode list = object.putArray(type.getFieldName(field));
                for (int i = 0; i < group.getFieldRepetitionCount(field); i++) {
                    list.add(value(group, field, i));
                }
            } else if (group.getFieldRepetitionCount(field) > 0) {
                object.set(type.getFieldName(field), value(group, field, 0));
            }
        }
        return object;
    }

    private static JsonNode value(Group group, int field, int index) {
        Type type = group.getType().getType(field);
        if (!type.isPrimitive()) {
            Group inner = group.getGroup(field, index);
            return type.getLogicalTypeAnnotation() instanceof LogicalTypeAnnotation.ListLogicalTypeAnnotation
                    ? list(inner)
                    : object(inner);
        }
        var nodes = Json.MAPPER.getNodeFactory();
        return switch (type.asPrimitiveType().getPrimitiveTypeName()) {
            case BINARY -> nodes.textNode(group.getString(field, index));
            case INT32 -> nodes.numberNode(group.getInteger(field, index));
            case INT64 -> nodes.numberNode(group.getLong(field, index));
            case FLOAT -> nodes.numberNode(group.getFloat(field, index));
            case DOUBLE -> nodes.numberNode(group.getDouble(field, index));
            case BOOLEAN -> nodes.booleanNode(group.getBoolean(field, index));
            default -> nodes.nullNode();
        };
    }

    /** A list is a group of one repeated group of one element. */
    private static ArrayNode list(Group group) {
        ArrayNode list = Json.MAPPER.createArrayNode();
        for (int i = 0; i < group.getFieldRepetitionCount(0); i++) {
            if (group.getType().getType(0).isPrimitive()) {
                list.add(value(group, 0, i)); // as Parquet 1.0 wrote lists
            } else {
                Group element = group.getGroup(0, i);
                list.add(
                        element.getType().getFieldCount() == 1
                                ? element.getFieldRepetitionCount(0) > 0 ? value(element, 0, 0) : Json.MAPPER.nullNode()
                                : object(element));
            }
        }
        return list;
    }
}
