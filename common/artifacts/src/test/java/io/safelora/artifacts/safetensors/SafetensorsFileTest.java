package io.safelora.artifacts.safetensors;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.safelora.artifacts.ByteSource;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.Sha256;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SafetensorsFileTest {
    @TempDir
    Path dir;

    @Test
    void whatIsWrittenIsRead() throws IOException {
        Map<String, TensorData> tensors = new LinkedHashMap<>();
        tensors.put("b", TensorData.of(Dtype.BF16, new long[] {2, 2}, new float[] {1, -2, 0.5f, 3}));
        tensors.put("scalar", TensorData.of(Dtype.F32, new long[0], new float[] {7}));
        tensors.put("empty", TensorData.of(Dtype.F16, new long[] {0, 5}, new float[0]));
        tensors.put("a", TensorData.of(Dtype.BF16, new long[] {1}, new float[] {9}));
        Path path = dir.resolve("x.safetensors");
        SafetensorsWriter.write(path, tensors, Map.of("format", "pt"));

        SafetensorsFile file = SafetensorsFile.open(path);
        assertThat(file.tensors().keySet()).as("by type, then name").containsExactly("scalar", "a", "b", "empty");
        assertThat(file.metadata()).containsExactly(Map.entry("format", "pt"));
        ByteBuffer b = file.map("b");
        assertThat(b.isDirect() && b.isReadOnly() && b.order() == ByteOrder.LITTLE_ENDIAN)
                .isTrue();
        assertThat(Floats.decode(b, Dtype.BF16)).containsExactly(1, -2, 0.5f, 3);
        assertThat(file.map("empty").remaining()).isZero();
        ByteBuffer part = ByteBuffer.allocate(2);
        file.read("b", 2, part);
        assertThat(Floats.decode(part.flip(), Dtype.BF16)).containsExactly(-2);
        assertThat(Files.readAllBytes(path)[8]).isEqualTo((byte) '{');
        assertThat((8
                                + ByteBuffer.wrap(Files.readAllBytes(path))
                                        .order(ByteOrder.LITTLE_ENDIAN)
                                        .getLong())
                        % 8)
                .isZero();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{'a':{'dtype':'F32','shape':[3],'data_offsets':[0,8]}} | tensor \"a\" of type F32 and "
                        + "shape [3] needs 12",
                "{'a':{'dtype':'F99','shape':[2],'data_offsets':[0,8]}} | dtype \"F99\"",
                "{'a':{'dtype':'F32','shape':[-2],'data_offsets':[0,8]}} | negative",
                "{'a':{'dtype':'F32','shape':[4611686018427387904,4],'data_offsets':[0,8]}} | impossible shape",
                "{'a':{'dtype':'F32','shape':[99999999999999999999999],'data_offsets':[0,8]}} | header",
                "{'a':{'dtype':'F32','shape':[2],'data_offsets':[8,16]}} | truncated",
                "{'a':{'dtype':'F32','shape':[1],'data_offsets':[4,8]}} | gap of 4 bytes before tensor \"a\"",
                "{'a':{'dtype':'F32','shape':[1],'data_offsets':[0,4]}} | 4 bytes after the last tensor",
                "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]},'b':{'dtype':'F32',"
                        + "'shape':[1],'data_offsets':[4,8]}} "
                        + "| inside another",
                "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]},'a':{'dtype':'F32',"
                        + "'shape':[2],'data_offsets':[0,8]}} "
                        + "| twice",
                "{'a':{'dtype':'F32','shape':[2]}} | lacks",
                "{'a':[]} | tensor \"a\" is start_array",
                "{'a':{'dtype':'F32','shape':[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2],'data_offsets':[0,8]}} | more than 16",
                "{'__metadata__':{'a':1}} | __metadata__",
                "[] | the header is start_array",
                "{'a' | not valid JSON",
                "{}{} | more after",
            })
    void brokenHeadersAreNamed(String json, String message) throws IOException {
        Path file = file(json.replace('\'', '"').getBytes(UTF_8), 8);
        assertThatThrownBy(() -> SafetensorsFile.open(file))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining(file.toString())
                .hasMessageContaining(message)
                .hasMessageNotContaining("\n");
    }

    @Test
    void deepJsonIsRefused() throws IOException {
        Path file = file(("{\"a\":" + "[".repeat(500_000)).getBytes(UTF_8), 8);
        assertThatThrownBy(() -> SafetensorsFile.open(file)).isInstanceOf(InvalidArtifactException.class);
    }

    @ParameterizedTest
    @ValueSource(longs = {1L << 60, -1, 0, 1, 100_000_001, Long.MIN_VALUE})
    void impossibleHeaderLengthsAreRefused(long length) throws IOException {
        Path file = dir.resolve("x.safetensors");
        Files.write(
                file,
                ByteBuffer.allocate(20)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putLong(length)
                        .array());
        assertThatThrownBy(() -> SafetensorsFile.open(file))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining(file.toString());
    }

    @Test
    void tenThousandMutationsOpenOrAreRefused() throws IOException {
        Path path = dir.resolve("x.safetensors");
        SafetensorsWriter.write(
                path,
                Map.of(
                        "w", TensorData.of(Dtype.F32, new long[] {2, 3}, new float[6]),
                        "v", TensorData.of(Dtype.BF16, new long[] {4}, new float[4])),
                Map.of("format", "pt"));
        byte[] whole = Files.readAllBytes(path);
        Random random = new Random(1);
        int refused = 0;
        for (int i = 0; i < 10_000; i++) {
            byte[] bytes = random.nextInt(5) == 0
                    ? java.util.Arrays.copyOf(whole, random.nextInt(whole.length))
                    : whole.clone();
            for (int n = random.nextInt(4); n >= 0 && bytes.length > 0; n--) {
                bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
            }
            try {
                SafetensorsFile file = SafetensorsFile.open(new Memory(bytes));
                file.tensors().values().forEach(t -> file.map(t.name()));
            } catch (InvalidArtifactException e) {
                refused++;
                assertThat(e.getMessage()).startsWith("memory: ").doesNotContain("\n");
            }
        }
        assertThat(refused).isGreaterThan(5000);
    }

    @Test
    void halvesRoundAsPyTorchDoes() {
        for (int bits = 0; bits < 1 << 16; bits++) {
            float half = Floats.float16((short) bits);
            float brain = Floats.bfloat16((short) bits);
            if (!Float.isNaN(half)) {
                assertThat(Floats.toFloat16(half)).isEqualTo((short) bits);
            }
            if (!Float.isNaN(brain)) {
                assertThat(Floats.toBfloat16(brain)).isEqualTo((short) bits);
            }
        }
        // Ties go to even; torch.tensor([...]).half() and .bfloat16() give the same bits.
        assertThat(Floats.toFloat16(1 + 0x1p-11f)).isEqualTo((short) 0x3c00);
        assertThat(Floats.toFloat16(1 + 3 * 0x1p-11f)).isEqualTo((short) 0x3c02);
        assertThat(Floats.toFloat16(65519)).isEqualTo((short) 0x7bff);
        assertThat(Floats.toFloat16(65520)).isEqualTo((short) 0x7c00);
        assertThat(Floats.toFloat16(0x1p-25f)).isZero();
        assertThat(Floats.toFloat16(1.5f * 0x1p-24f)).isEqualTo((short) 2);
        assertThat(Floats.toBfloat16(1 + 0x1p-8f)).isEqualTo((short) 0x3f80);
        assertThat(Floats.toBfloat16(1 + 3 * 0x1p-8f)).isEqualTo((short) 0x3f82);
        assertThat(Floats.toBfloat16(Float.MAX_VALUE)).isEqualTo((short) 0x7f80);
    }

    private Path file(byte[] header, int dataBytes) throws IOException {
        Path file = dir.resolve("x.safetensors");
        Files.write(
                file,
                ByteBuffer.allocate(8 + header.length + dataBytes)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putLong(header.length)
                        .put(header)
                        .array());
        return file;
    }

    /** A file in memory that never gives more than it has. */
    private record Memory(byte[] bytes) implements ByteSource {
        @Override
        public String name() {
            return "memory";
        }

        @Override
        public long size() {
            return bytes.length;
        }

        @Override
        public void read(long offset, ByteBuffer into) {
            assertThat(into.remaining()).isLessThanOrEqualTo(bytes.length);
            into.put(bytes, (int) offset, into.remaining());
        }

        @Override
        public String digest() {
            return Sha256.hex(bytes);
        }
    }
}
