package io.safelora.artifacts.safetensors;

import com.fasterxml.jackson.core.JsonGenerator;
import io.safelora.contract.Json;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Writes safetensors files with the layout of Hugging Face's writer: by element type, then by name; aligned to 8. */
public final class SafetensorsWriter {
    private SafetensorsWriter() {}

    /**
     * Writes one tensor after the other, and puts the file at {@code path} when it is whole. Equal input gives equal
     * bytes.
     *
     * @param metadata the header's {@code __metadata__}; PyTorch's loaders want {@code format: pt}
     */
    public static void write(Path path, Map<String, TensorData> tensors, Map<String, String> metadata)
            throws IOException {
        List<Map.Entry<String, TensorData>> order = tensors.entrySet().stream()
                .sorted(Comparator.comparing((Map.Entry<String, TensorData> e) ->
                                e.getValue().dtype())
                        .thenComparing(Map.Entry::getKey))
                .toList();
        Path parent = path.toAbsolutePath().getParent();
        Files.createDirectories(parent);
        Path part = Files.createTempFile(parent, path.getFileName().toString(), ".part");
        try {
            try (FileChannel channel = FileChannel.open(part, StandardOpenOption.WRITE)) {
                writeFully(channel, header(order, metadata));
                for (var entry : order) {
                    ByteBuffer data = entry.getValue().source().get();
                    if (data.remaining() != entry.getValue().bytes()) {
                        throw new IllegalArgumentException("tensor " + entry.getKey() + " has shape "
                                + Arrays.toString(entry.getValue().shape()) + " and type "
                                + entry.getValue().dtype() + ", but " + data.remaining() + " bytes");
                    }
                    writeFully(channel, data);
                }
            }
            Files.move(part, path, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(part);
        }
    }

    private static ByteBuffer header(List<Map.Entry<String, TensorData>> order, Map<String, String> metadata)
            throws IOException {
        ByteArrayOutputStream json = new ByteArrayOutputStream();
        long offset = 0;
        try (JsonGenerator out = Json.MAPPER.getFactory().createGenerator(json)) {
            out.writeStartObject();
            if (!metadata.isEmpty()) {
                out.writePOJOField("__metadata__", new TreeMap<>(metadata));
            }
            for (var entry : order) {
                TensorData tensor = entry.getValue();
                out.writeObjectFieldStart(entry.getKey());
                out.writeStringField("dtype", tensor.dtype().name());
                out.writeFieldName("shape");
                out.writeArray(tensor.shape(), 0, tensor.shape().length);
                long end = offset + tensor.bytes();
                out.writeFieldName("data_offsets");
                out.writeArray(new long[] {offset, end}, 0, 2);
                out.writeEndObject();
                offset = end;
            }
            out.writeEndObject();
        }
        while (json.size() % 8 != 0) {
            json.write(' ');
        }
        return ByteBuffer.allocate(8 + json.size())
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(json.size())
                .put(json.toByteArray())
                .flip();
    }

    private static void writeFully(FileChannel channel, ByteBuffer data) throws IOException {
        while (data.hasRemaining()) {
            channel.write(data);
        }
    }
}
