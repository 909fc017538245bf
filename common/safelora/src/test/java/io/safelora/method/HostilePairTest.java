package io.safelora.method;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.SafetensorsWriter;
import io.safelora.artifacts.safetensors.TensorData;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A good base, and an aligned checkpoint that is broken in one way: one line that names file and tensor. */
class HostilePairTest {
    private static final String W = "model.layers.0.self_attn.q_proj.weight";
    private static final String FILE = "model.safetensors";

    @TempDir
    Path dir;

    @BeforeEach
    void goodBase() throws IOException {
        write("base", FILE, W, Dtype.F32, new float[32], 4, 8);
    }

    @Test
    void truncated() throws IOException {
        write("aligned", FILE, W, Dtype.F32, ones(), 4, 8);
        byte[] whole = Files.readAllBytes(aligned(FILE));
        Files.write(aligned(FILE), java.util.Arrays.copyOf(whole, whole.length - 1));
        refused("truncated", aligned(FILE).toString(), W);
    }

    @Test
    void overlappingOffsets() throws IOException {
        header("{'" + W
                + "':{'dtype':'F32','shape':[4,8],'data_offsets':[0,128]},"
                + "'x':{'dtype':'F32','shape':[1],'data_offsets':[124,128]}}");
        refused("inside another tensor", aligned(FILE).toString(), "\"x\"");
    }

    @Test
    void headerOfTwoToTheSixty() throws IOException {
        write("aligned", FILE, W, Dtype.F32, ones(), 4, 8);
        byte[] whole = Files.readAllBytes(aligned(FILE));
        ByteBuffer.wrap(whole).order(ByteOrder.LITTLE_ENDIAN).putLong(1L << 60);
        Files.write(aligned(FILE), whole);
        refused("1152921504606846976 bytes", aligned(FILE).toString());
    }

    @Test
    void integerWeights() throws IOException {
        header("{'" + W + "':{'dtype':'I32','shape':[4,8],'data_offsets':[0,128]}}");
        refused("has type I32", aligned(FILE).toString(), W);
    }

    @Test
    void anUnknownDtype() throws IOException {
        header("{'" + W + "':{'dtype':'F8_E4M3','shape':[16,8],'data_offsets':[0,128]}}");
        refused("F8_E4M3", aligned(FILE).toString(), W);
    }

    @Test
    void aMissingShard() throws IOException {
        write("aligned", "model-00001-of-00002.safetensors", W, Dtype.F32, ones(), 4, 8);
        index("{'" + W + "':'model-00001-of-00002.safetensors','lm_head.weight':'model-00002-of-00002.safetensors'}");
        refused("the shard is missing", "model-00002-of-00002.safetensors", "lm_head.weight");
    }

    @Test
    void aTensorThatTheShardLacks() throws IOException {
        write("aligned", "model-00001-of-00001.safetensors", "other.weight", Dtype.F32, ones(), 4, 8);
        index("{'" + W + "':'model-00001-of-00001.safetensors'}");
        refused("has no tensor", aligned("model-00001-of-00001.safetensors").toString(), W);
    }

    @Test
    void anIndexThatLeavesItsFolder() throws IOException {
        index("{'" + W + "':'../base/model.safetensors'}");
        refused("of the same folder", "model.safetensors.index.json", W);
    }

    @Test
    void differentShapes() throws IOException {
        write("aligned", FILE, W, Dtype.F32, ones(), 8, 4);
        refused(
                "[4, 8]",
                "[8, 4]",
                aligned(FILE).toString(),
                dir.resolve("base").toString(),
                W);
    }

    @Test
    void aWeightThatTheBaseLacks() throws IOException {
        write("aligned", FILE, "model.layers.1.mlp.up_proj.weight", Dtype.F32, ones(), 4, 8);
        refused("has no tensor", dir.resolve("base").toString(), "model.layers.1.mlp.up_proj.weight");
    }

    @Test
    void notANumber() throws IOException {
        float[] values = ones();
        values[31] = Float.NaN;
        write("aligned", FILE, W, Dtype.BF16, values, 4, 8);
        refused("holds NaN or infinity", aligned(FILE).toString(), W);
    }

    @Test
    void infinityInBoth() throws IOException {
        float[] values = ones();
        values[0] = Float.NEGATIVE_INFINITY;
        write("base", FILE, W, Dtype.F16, values, 4, 8);
        write("aligned", FILE, W, Dtype.F16, values, 4, 8);
        refused("holds NaN or infinity", dir.resolve("base").toString(), W);
    }

    @Test
    void rowsThatNoModelHas() throws IOException {
        int columns = (1 << 18) + 1;
        write("base", FILE, W, Dtype.F16, new float[columns], 1, columns);
        write("aligned", FILE, W, Dtype.F16, new float[columns], 1, columns);
        refused("that wide", aligned(FILE).toString(), W);
    }

    @Test
    void identical() throws IOException {
        write("aligned", FILE, W, Dtype.F32, new float[32], 4, 8);
        refused(
                "equal weights",
                dir.resolve("base").toString(),
                dir.resolve("aligned").toString());
    }

    private void refused(String... words) {
        Throwable error = catchThrowable(() -> AlignmentAnalysis.run(
                Checkpoint.open(dir.resolve("base")), Checkpoint.open(dir.resolve("aligned")), Progress.NONE));
        assertThat(error)
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContainingAll(words)
                .hasMessageNotContaining("\n");
    }

    private Path aligned(String file) {
        return dir.resolve("aligned").resolve(file);
    }

    private void header(String json) throws IOException {
        byte[] bytes = json.replace('\'', '"').getBytes(UTF_8);
        Files.createDirectories(dir.resolve("aligned"));
        Files.write(
                aligned(FILE),
                ByteBuffer.allocate(8 + bytes.length + 128)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putLong(bytes.length)
                        .put(bytes)
                        .array());
    }

    private void index(String weightMap) throws IOException {
        Files.createDirectories(dir.resolve("aligned"));
        Files.writeString(
                aligned("model.safetensors.index.json"), "{\"weight_map\":" + weightMap.replace('\'', '"') + "}");
    }

    private void write(String model, String file, String tensor, Dtype dtype, float[] values, int rows, int columns)
            throws IOException {
        SafetensorsWriter.write(
                dir.resolve(model).resolve(file),
                Map.of(tensor, TensorData.of(dtype, new long[] {rows, columns}, values)),
                Map.of());
    }

    private static float[] ones() {
        float[] values = new float[32];
        java.util.Arrays.fill(values, 1);
        return values;
    }
}
