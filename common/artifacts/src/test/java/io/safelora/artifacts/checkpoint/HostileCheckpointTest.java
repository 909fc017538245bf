package io.safelora.artifacts.checkpoint;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import io.safelora.artifacts.ByteSource;
import io.safelora.artifacts.Folder;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.Sha256;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/**
 * Headers and indexes are changed in every way; a checkpoint opens or is refused in one line, and memory stays small.
 */
class HostileCheckpointTest {
    private static final int MUTATIONS = 10_000;
    private static final String INDEX = "model.safetensors.index.json";
    private static final String HEADER =
            "{\"__metadata__\":{\"format\":\"pt\"},\"%s.q\":{\"dtype\":\"BF16\",\"shape\":[2,"
                    + "3],\"data_offsets\":[0,12]},"
                    + "\"%s.n\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[12,24]}}";
    private static final String WEIGHT_MAP =
            "{\"metadata\":{\"total_size\":48},\"weight_map\":{\"a.q\":\"a.safetensors\","
                    + "\"a.n\":\"a.safetensors\",\"b.q\":\"b.safetensors\","
                    + "\"b.n\":\"b.safetensors\"}}";

    private static final List<String> NUMBERS = List.of(
            "0",
            "1",
            "-1",
            "4",
            "23",
            "2147483648",
            "4294967296",
            "1152921504606846976",
            "9223372036854775807",
            "9223372036854775808",
            "1e3",
            "1.5",
            "1e999999999",
            "null",
            "true",
            "\"12\"",
            "[]",
            "[0,12]",
            "{}");
    private static final List<String> TEXTS = List.of(
            "F8_E4M3",
            "F64",
            "I64",
            "BOOL",
            "bf16",
            "",
            "a.q",
            "b.n",
            "../../etc/passwd",
            "../a.safetensors",
            "/etc/x.safetensors",
            "c.safetensors",
            "x\\ny.safetensors",
            "\\u0000.safetensors",
            "shape",
            "dtype",
            "data_offsets",
            "weight_map",
            "__metadata__");

    private final Random random = new Random(20261124);

    @Test
    void tenThousandMutationsOpenOrAreRefusedInOneLine() throws IOException {
        ThreadMXBean memory = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long thread = Thread.currentThread().getId();
        // What classes allocate when they are first used is not counted.
        Map<String, byte[]> good = Map.of(
                "a.safetensors",
                safetensors(HEADER.formatted("a", "a")),
                "b.safetensors",
                safetensors(HEADER.formatted("b", "b")),
                INDEX,
                WEIGHT_MAP.getBytes(UTF_8));
        assertThat(Checkpoint.open(new Memory(good)).names()).hasSize(4);
        int opened = 0;
        Set<String> reasons = new HashSet<>();
        for (int i = 0; i < MUTATIONS; i++) {
            Map<String, byte[]> files = new TreeMap<>(good);
            switch (random.nextInt(6)) {
                case 0 -> files.put(INDEX, bytes(files.get(INDEX)));
                case 1, 2 -> files.put(INDEX, json(WEIGHT_MAP).getBytes(UTF_8));
                case 3 -> files.put("b.safetensors", bytes(files.get("b.safetensors")));
                default -> files.put("b.safetensors", safetensors(json(HEADER.formatted("b", "b"))));
            }
            long before = memory.getThreadAllocatedBytes(thread);
            try {
                Checkpoint checkpoint = Checkpoint.open(new Memory(files));
                for (String name : checkpoint.names()) {
                    long size = checkpoint.info(name).bytes();
                    assertThat(size).isBetween(0L, 24L);
                    checkpoint.read(name, 0, ByteBuffer.allocate((int) size));
                    checkpoint.map(name);
                }
                opened++;
            } catch (InvalidArtifactException e) {
                assertThat(e.getMessage()).startsWith("memory").doesNotContain("\n", "\r", "\0");
                reasons.add(e.getMessage().replaceAll("[0-9]+|\".*?\"", "#"));
            }
            assertThat(memory.getThreadAllocatedBytes(thread) - before)
                    .as("bytes allocated for files of 700, mutation %s: %s", i, new String(files.get(INDEX), UTF_8))
                    .isLessThan(2_000_000);
        }
        assertThat(opened).isBetween(300, MUTATIONS / 2);
        assertThat(reasons).hasSizeGreaterThan(30);
    }

    /** Some bytes changed, or the end cut off. */
    private byte[] bytes(byte[] whole) {
        byte[] bytes = random.nextInt(4) == 0 ? Arrays.copyOf(whole, random.nextInt(whole.length)) : whole.clone();
        for (int n = random.nextInt(4); n >= 0 && bytes.length > 0; n--) {
            bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
        }
        return bytes;
    }

    /** Numbers and texts replaced by hostile ones: still JSON, as a rule. */
    private String json(String document) {
        for (int n = random.nextInt(3); n >= 0; n--) {
            boolean number = random.nextBoolean();
            Matcher matcher = Pattern.compile(number ? "\\b\\d+\\b" : "(?<=\")[\\w.]+(?=\")")
                    .matcher(document);
            int which = random.nextInt(Math.max(1, (int) matcher.results().count()));
            matcher.reset();
            for (int i = 0; matcher.find(); i++) {
                if (i == which) {
                    List<String> hostile = number ? NUMBERS : TEXTS;
                    document = document.substring(0, matcher.start())
                            + hostile.get(random.nextInt(hostile.size()))
                            + document.substring(matcher.end());
                    break;
                }
            }
        }
        return document;
    }

    private static byte[] safetensors(String header) {
        byte[] json = header.getBytes(UTF_8);
        return ByteBuffer.allocate(8 + json.length + 24)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(json.length)
                .put(json)
                .array();
    }

    /** A folder in memory, whose files never give more than they have. */
    private record Memory(Map<String, byte[]> content) implements Folder {
        @Override
        public String name() {
            return "memory";
        }

        @Override
        public SortedMap<String, Long> files() {
            SortedMap<String, Long> files = new TreeMap<>();
            content.forEach((name, bytes) -> files.put(name, (long) bytes.length));
            return files;
        }

        @Override
        public ByteSource open(String file) {
            byte[] bytes = content.get(file);
            assertThat(bytes).as(file).isNotNull();
            return new ByteSource() {
                @Override
                public String name() {
                    return "memory/" + file;
                }

                @Override
                public long size() {
                    return bytes.length;
                }

                @Override
                public void read(long offset, ByteBuffer into) {
                    assertThat(offset + into.remaining()).isLessThanOrEqualTo(bytes.length);
                    into.put(bytes, (int) offset, into.remaining());
                }

                @Override
                public String digest() {
                    return Sha256.hex(bytes);
                }
            };
        }

        @Override
        public String digest() {
            return "none";
        }
    }
}
