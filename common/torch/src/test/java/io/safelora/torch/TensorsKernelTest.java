package io.safelora.torch;

import static org.assertj.core.api.Assertions.assertThat;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import io.safelora.artifacts.safetensors.Dtype;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import org.junit.jupiter.api.Test;

class TensorsKernelTest extends KernelTest {
    TensorsKernelTest() {
        super(Tensors.class, List.of("tensors.torchscript"));
    }

    @Test
    @Of("reinterpret")
    void bytesBecomeElementsInTheSameMemory() {
        ByteBuffer bytes = ByteBuffer.allocateDirect(8).order(ByteOrder.LITTLE_ENDIAN);
        bytes.putFloat(1.5f).putFloat(-2).flip();
        NDArray raw = manager.create(bytes, new Shape(8), DataType.INT8);
        NDArray floats = call("reinterpret", raw, Dtype.F32.number(), new long[] {2, 1}, 2);
        assertThat(floats.getShape()).isEqualTo(new Shape(2, 1));
        assertThat(doubles(floats)).containsExactly(1.5, -2);
        Tensors.copy(raw, manager.zeros(new Shape(8), DataType.INT8));
        assertThat(doubles(floats)).containsExactly(0, 0);
    }

    @Test
    @Of("bytes")
    void ofATransposedTensorRowByRow() {
        NDArray x = tensor(Matrix.of(new double[] {1, 2}, new double[] {3, 4})).transpose();
        ByteBuffer bytes = call("bytes", x).toByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
        assertThat(new float[] {bytes.getFloat(), bytes.getFloat(), bytes.getFloat(), bytes.getFloat()})
                .containsExactly(1, 3, 2, 4);
    }

    @Test
    @Of("to")
    void convertsAndKeepsWhatNeedsNoConversion() {
        NDArray x = vector(1.25f, -3);
        assertThat(call("to", x, Dtype.I64.number()).toLongArray()).containsExactly(1, -3);
        Tensors.copy(call("to", x, Dtype.F32.number()), vector(5, 6));
        assertThat(doubles(x)).containsExactly(5, 6);
    }

    @Test
    @Of("clone")
    void aCloneIsMemoryOfItsOwn() {
        NDArray x = vector(1, 2);
        NDArray copy = call("clone", x);
        Tensors.copy(x, vector(0, 0));
        assertThat(doubles(copy)).containsExactly(1, 2);
    }

    @Test
    @Of("copy")
    void copyConverts() {
        NDArray into = vector(0, 0);
        results("copy", into, ids(7, 8));
        assertThat(doubles(into)).containsExactly(7, 8);
    }

    @Test
    @Of("type_as")
    void takesTheTypeOfAnother() {
        assertThat(call("type_as", vector(1.5f), float64(vector(0))).toDoubleArray())
                .containsExactly(1.5);
    }

    @Test
    @Of("finite")
    void infinityAndNanAreNotFinite() {
        assertThat(call("finite", vector(1, -2)).getBoolean()).isTrue();
        assertThat(call("finite", vector(1, Float.POSITIVE_INFINITY)).getBoolean())
                .isFalse();
        assertThat(call("finite", vector(Float.NaN, 1)).getBoolean()).isFalse();
    }
}
