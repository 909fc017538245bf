package io.safelora.artifacts.rows;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.NullNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import org.apache.parquet.io.api.Binary;
import org.apache.parquet.io.api.Converter;
import org.apache.parquet.io.api.GroupConverter;
import org.apache.parquet.io.api.PrimitiveConverter;
import org.apache.parquet.io.api.RecordMaterializer;
import org.apache.parquet.schema.GroupType;
import org.apache.parquet.schema.LogicalTypeAnnotation.DecimalLogicalTypeAnnotation;
import org.apache.parquet.schema.LogicalTypeAnnotation.ListLogicalTypeAnnotation;
import org.apache.parquet.schema.LogicalTypeAnnotation.MapLogicalTypeAnnotation;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.PrimitiveType;
import org.apache.parquet.schema.Type;

/**
 * Parquet's records as JSON objects: groups are objects, LIST groups arrays, MAP groups objects. Dates and times stay
 * the numbers that they are; bytes that are not UTF-8 text, INT96 among them, become binary nodes, which no column of
 * text may be.
 */
final class ParquetJson extends RecordMaterializer<ObjectNode> {
    private static final JsonNodeFactory JSON = JsonNodeFactory.withExactBigDecimals(true);

    private final ObjectConverter root;
    private final IntConsumer size;
    private ObjectNode record;

    /** @param size told of the size of every value, so that it can refuse too many */
    ParquetJson(MessageType schema, IntConsumer size) {
        this.size = size;
        this.root = new ObjectConverter(schema, value -> record = (ObjectNode) value);
    }

    @Override
    public ObjectNode getCurrentRecord() {
        return record;
    }

    @Override
    public GroupConverter getRootConverter() {
        return root;
    }

    /** @param type of a field that is not repeated, or of an element of one that is */
    private Converter converter(Type type, Consumer<JsonNode> parent) {
        if (type.isPrimitive()) {
            return new ValueConverter(type.asPrimitiveType(), parent);
        }
        GroupType group = type.asGroupType();
        boolean one = group.getFieldCount() == 1 && group.getType(0).isRepetition(Type.Repetition.REPEATED);
        if (one && group.getLogicalTypeAnnotation() instanceof ListLogicalTypeAnnotation) {
            return new ListConverter(group, parent);
        }
        if (one
                && group.getLogicalTypeAnnotation() instanceof MapLogicalTypeAnnotation
                && !group.getType(0).isPrimitive()
                && group.getType(0).asGroupType().getFieldCount() == 2) {
            return new MapConverter(group, parent);
        }
        return new ObjectConverter(group, parent);
    }

    private final class ObjectConverter extends GroupConverter {
        private final Converter[] fields;
        private final Consumer<JsonNode> parent;
        private ObjectNode object;

        ObjectConverter(GroupType type, Consumer<JsonNode> parent) {
            this.parent = parent;
            fields = new Converter[type.getFieldCount()];
            for (int i = 0; i < fields.length; i++) {
                Type field = type.getType(i);
                String name = field.getName();
                fields[i] = converter(
                        field,
                        field.isRepetition(Type.Repetition.REPEATED)
                                ? value -> object.withArray(
                                                "/" + name.replace("~", "~0").replace("/", "~1"))
                                        .add(value)
                                : value -> object.set(name, value));
            }
        }

        @Override
        public Converter getConverter(int field) {
            return fields[field];
        }

        @Override
        public void start() {
            size.accept(1);
            object = JSON.objectNode();
        }

        @Override
        public void end() {
            parent.accept(object);
        }
    }

    /**
     * A group of one repeated group of one element, which may be null; of old writers a group of one repeated element.
     */
    private final class ListConverter extends GroupConverter {
        private final Converter repeated;
        private final Consumer<JsonNode> parent;
        private ArrayNode array;

        ListConverter(GroupType list, Consumer<JsonNode> parent) {
            this.parent = parent;
            Type type = list.getType(0);
            boolean wrapped = !type.isPrimitive()
                    && type.asGroupType().getFieldCount() == 1
                    && !type.getName().equals("array")
                    && !type.getName().equals(list.getName() + "_tuple");
            repeated = wrapped
                    ? new ElementConverter(type.asGroupType().getType(0), value -> array.add(value))
                    : converter(type, value -> array.add(value));
        }

        @Override
        public Converter getConverter(int field) {
            return repeated;
        }

        @Override
        public void start() {
            size.accept(1);
            array = JSON.arrayNode();
        }

        @Override
        public void end() {
            parent.accept(array);
        }
    }

    private final class ElementConverter extends GroupConverter {
        private final Converter element;
        private final Consumer<JsonNode> parent;
        private JsonNode value;

        ElementConverter(Type type, Consumer<JsonNode> parent) {
            this.parent = parent;
            this.element = converter(type, v -> value = v);
        }

        @Override
        public Converter getConverter(int field) {
            return element;
        }

        @Override
        public void start() {
            size.accept(1);
            value = NullNode.instance;
        }

        @Override
        public void end() {
            parent.accept(value);
        }
    }

    /** A group of one repeated group of a key and a value, which may be null. */
    private final class MapConverter extends GroupConverter {
        private final Consumer<JsonNode> parent;
        private final GroupConverter entry;
        private ObjectNode map;
        private String key;
        private JsonNode value;

        MapConverter(GroupType type, Consumer<JsonNode> parent) {
            this.parent = parent;
            GroupType pair = type.getType(0).asGroupType();
            Converter keys = converter(pair.getType(0), k -> key = k.asText());
            Converter values = converter(pair.getType(1), v -> value = v);
            entry = new GroupConverter() {
                @Override
                public Converter getConverter(int field) {
                    return field == 0 ? keys : values;
                }

                @Override
                public void start() {
                    size.accept(1);
                    key = "";
                    value = NullNode.instance;
                }

                @Override
                public void end() {
                    map.set(key, value);
                }
            };
        }

        @Override
        public Converter getConverter(int field) {
            return entry;
        }

        @Override
        public void start() {
            map = JSON.objectNode();
        }

        @Override
        public void end() {
            parent.accept(map);
        }
    }

    private final class ValueConverter extends PrimitiveConverter {
        private final boolean int96;
        private final DecimalLogicalTypeAnnotation decimal;
        private final Consumer<JsonNode> parent;

        ValueConverter(PrimitiveType type, Consumer<JsonNode> parent) {
            this.parent = parent;
            this.int96 = type.getPrimitiveTypeName() == PrimitiveType.PrimitiveTypeName.INT96;
            this.decimal = type.getLogicalTypeAnnotation() instanceof DecimalLogicalTypeAnnotation d ? d : null;
        }

        private void add(JsonNode value) {
            parent.accept(value);
        }

        @Override
        public void addBinary(Binary binary) {
            size.accept(binary.length() + 1);
            byte[] bytes = binary.getBytes();
            if (decimal != null) {
                add(JSON.numberNode(new BigDecimal(new BigInteger(bytes), decimal.getScale())));
            } else if (int96) {
                add(JSON.binaryNode(bytes));
            } else {
                try {
                    add(JSON.textNode(StandardCharsets.UTF_8
                            .newDecoder()
                            .decode(ByteBuffer.wrap(bytes))
                            .toString()));
                } catch (CharacterCodingException e) {
                    add(JSON.binaryNode(bytes));
                }
            }
        }

        @Override
        public void addBoolean(boolean value) {
            size.accept(1);
            add(JSON.booleanNode(value));
        }

        @Override
        public void addInt(int value) {
            addLong(value);
        }

        @Override
        public void addLong(long value) {
            size.accept(1);
            add(
                    decimal != null
                            ? JSON.numberNode(BigDecimal.valueOf(value, decimal.getScale()))
                            : JSON.numberNode(value));
        }

        @Override
        public void addFloat(float value) {
            size.accept(1);
            add(JSON.numberNode(value));
        }

        @Override
        public void addDouble(double value) {
            size.accept(1);
            add(JSON.numberNode(value));
        }
    }
}
