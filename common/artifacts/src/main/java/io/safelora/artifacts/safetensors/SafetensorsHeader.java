package io.safelora.artifacts.safetensors;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParseException;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import io.safelora.artifacts.InvalidArtifactException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Parses the header of a safetensors file: eight bytes of length, then JSON. Nothing in it is believed: lengths,
 * offsets, shapes and types are checked against each other and against the file's size before anything is allocated by
 * them.
 */
final class SafetensorsHeader {
    /** The limit of Hugging Face's own reader. */
    static final long MAX_BYTES = 100_000_000;

    private static final int MAX_DIMENSIONS = 16;

    private static final JsonFactory FACTORY = JsonFactory.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            // Names come from the file: they would fill the JVM's table of interned strings.
            .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
            .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
            .streamReadConstraints(StreamReadConstraints.builder()
                    .maxNestingDepth(16)
                    .maxNumberLength(20)
                    .maxNameLength(4096)
                    .build())
            .build();

    final Map<String, TensorInfo> tensors = new LinkedHashMap<>();
    final Map<String, String> metadata = new LinkedHashMap<>();
    private final String file;

    private SafetensorsHeader(String file) {
        this.file = file;
    }

    /**
     * @param file what error messages call the file
     * @param json the header without its length
     * @param dataBytes size of the file after the header
     */
    static SafetensorsHeader parse(String file, byte[] json, long dataBytes) {
        SafetensorsHeader header = new SafetensorsHeader(file);
        try (JsonParser parser = FACTORY.createParser(json)) {
            header.document(parser);
        } catch (JsonParseException e) {
            String message = e.getOriginalMessage();
            throw header.invalid(
                    message.startsWith("Duplicate field")
                            ? "the header has a name twice: " + line(message)
                            : "the header is not valid JSON: " + line(message));
        } catch (JsonProcessingException e) {
            throw header.invalid("the header cannot be read: " + line(e.getOriginalMessage()));
        } catch (IOException e) {
            throw header.invalid("the header is not UTF-8: " + line(String.valueOf(e.getMessage())));
        }
        header.checkLayout(dataBytes);
        return header;
    }

    private void document(JsonParser parser) throws IOException {
        expect(parser, parser.nextToken(), JsonToken.START_OBJECT, "the header");
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = parser.currentName();
            JsonToken value = parser.nextToken();
            if (name.equals("__metadata__")) {
                metadata(parser, value);
            } else {
                tensors.put(name, tensor(parser, value, name));
            }
        }
        if (parser.nextToken() != null) {
            throw invalid("the header has more after its JSON object");
        }
    }

    private void metadata(JsonParser parser, JsonToken token) throws IOException {
        if (token == JsonToken.VALUE_NULL) {
            return;
        }
        expect(parser, token, JsonToken.START_OBJECT, "__metadata__");
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String key = parser.currentName();
            expect(parser, parser.nextToken(), JsonToken.VALUE_STRING, "__metadata__." + quoted(key));
            metadata.put(key, parser.getText());
        }
    }

    private TensorInfo tensor(JsonParser parser, JsonToken token, String name) throws IOException {
        expect(parser, token, JsonToken.START_OBJECT, "tensor " + quoted(name));
        Dtype dtype = null;
        long[] shape = null;
        long[] offsets = null;
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String field = parser.currentName();
            JsonToken value = parser.nextToken();
            switch (field) {
                case "dtype" -> {
                    expect(parser, value, JsonToken.VALUE_STRING, "dtype of tensor " + quoted(name));
                    dtype = dtype(parser.getText(), name);
                }
                case "shape" -> shape = numbers(parser, value, "shape of tensor " + quoted(name), MAX_DIMENSIONS);
                case "data_offsets" -> offsets = numbers(parser, value, "data_offsets of tensor " + quoted(name), 2);
                default -> throw invalid("tensor " + quoted(name) + " has an unknown field " + quoted(field));
            }
        }
        if (dtype == null || shape == null || offsets == null || offsets.length != 2) {
            throw invalid("tensor " + quoted(name) + " lacks dtype, shape or both data_offsets");
        }
        long bytes = dtype.bytes();
        try {
            for (long dimension : shape) {
                bytes = Math.multiplyExact(bytes, dimension);
            }
        } catch (ArithmeticException e) {
            throw invalid("tensor " + quoted(name) + " has the impossible shape " + Arrays.toString(shape));
        }
        if (offsets[1] - offsets[0] != bytes) {
            throw invalid("tensor " + quoted(name) + " of type " + dtype + " and shape " + Arrays.toString(shape)
                    + " needs " + bytes + " bytes, but its data_offsets are " + Arrays.toString(offsets));
        }
        return new TensorInfo(name, dtype, shape, offsets[0], offsets[1]);
    }

    private Dtype dtype(String text, String name) {
        try {
            return Dtype.valueOf(text);
        } catch (IllegalArgumentException e) {
            throw invalid("tensor " + quoted(name) + " has dtype " + quoted(text) + "; supported are "
                    + Arrays.toString(Dtype.values()) + ". Convert the checkpoint to bfloat16, float16 or float32");
        }
    }

    private long[] numbers(JsonParser parser, JsonToken token, String what, int max) throws IOException {
        expect(parser, token, JsonToken.START_ARRAY, what);
        long[] numbers = new long[max];
        int n = 0;
        while (parser.nextToken() != JsonToken.END_ARRAY) {
            expect(parser, parser.currentToken(), JsonToken.VALUE_NUMBER_INT, what);
            if (n == max) {
                throw invalid(what + " has more than " + max + " numbers");
            }
            // A number beyond 63 bits raises an InputCoercionException, a JsonProcessingException.
            numbers[n] = parser.getLongValue();
            if (numbers[n++] < 0) {
                throw invalid(what + " has a negative number");
            }
        }
        return Arrays.copyOf(numbers, n);
    }

    /** Tensors must follow each other without a gap and fill the file, as Hugging Face's reader demands. */
    private void checkLayout(long dataBytes) {
        List<TensorInfo> byOffset = new ArrayList<>(tensors.values());
        byOffset.sort(Comparator.comparingLong(TensorInfo::begin).thenComparingLong(TensorInfo::end));
        long end = 0;
        for (TensorInfo t : byOffset) {
            if (t.end() > dataBytes) {
                throw invalid("tensor " + quoted(t.name()) + " ends at byte " + t.end()
                        + " of the data, but the file has " + dataBytes + "; the file is truncated, download it again");
            }
            if (t.begin() < end) {
                throw invalid("tensor " + quoted(t.name()) + " begins at byte " + t.begin()
                        + " of the data, inside another tensor that ends at " + end);
            }
            if (t.begin() > end) {
                throw invalid("there is a gap of " + (t.begin() - end) + " bytes before tensor " + quoted(t.name()));
            }
            end = t.end();
        }
        if (end != dataBytes) {
            throw invalid("there are " + (dataBytes - end) + " bytes after the last tensor");
        }
    }

    private void expect(JsonParser parser, JsonToken found, JsonToken expected, String what) {
        if (found != expected) {
            throw invalid(
                    what + " is " + (found == null ? "missing" : found.name().toLowerCase()) + " in the header, not "
                            + expected.name().toLowerCase());
        }
    }

    private InvalidArtifactException invalid(String problem) {
        return new InvalidArtifactException(file + ": " + problem);
    }

    /** A name from a file, fit for one line of a log. */
    static String quoted(String name) {
        String shown = name.codePoints()
                .limit(200)
                .map(c -> Character.isISOControl(c) ? '?' : c)
                .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
                .toString();
        return "\"" + shown + (shown.length() < name.length() ? "..." : "") + "\"";
    }

    private static String line(String text) {
        String quoted = quoted(text.lines().findFirst().orElse(""));
        return quoted.substring(1, quoted.length() - 1);
    }

    Map<String, TensorInfo> tensors() {
        return Collections.unmodifiableMap(tensors);
    }
}
