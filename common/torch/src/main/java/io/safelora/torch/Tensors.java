package io.safelora.torch;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.jni.JniUtils;
import io.safelora.artifacts.safetensors.Dtype;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * Tensors from and to Java memory, and their gradients.
 *
 * <p>bfloat16 tensors are fine everywhere in here and in {@link TorchScript}, but must not meet NDArray's own
 * operations: DJL 0.36 ends the JVM where it is to hand their type to native code.
 */
public final class Tensors {
    private Tensors() {}

    /** Loaded with the first use; casts and views know no device. */
    private static final class Kernels {
        static final TorchScript SCRIPT = TorchScript.load(Tensors.class, "tensors.torchscript", Device.cpu());
    }

    /**
     * A tensor of the bytes of {@code data}: on the CPU the same memory if the buffer is direct (a mapped file, say),
     * else a copy. A tensor over a read-only buffer must not be written to: the JVM would end.
     *
     * @param data little endian, row by row, from the position to the limit; kept until {@code manager} is closed
     * @throws IllegalArgumentException if the buffer's size does not fit type and shape
     */
    public static NDArray of(NDManager manager, ByteBuffer data, Dtype type, long... shape) {
        long bytes = Math.multiplyExact(new Shape(shape).size(), type.bytes());
        if (bytes != data.remaining()) {
            throw new IllegalArgumentException("shape " + Arrays.toString(shape) + " of " + type + " needs " + bytes
                    + " bytes, but the buffer has " + data.remaining());
        }
        ByteBuffer direct = data.slice();
        if (!direct.isDirect()) {
            direct = ByteBuffer.allocateDirect(data.remaining()).put(direct).flip();
        }
        NDArray raw = manager.create(direct, new Shape(bytes), DataType.INT8);
        return Kernels.SCRIPT
                .call(manager, "reinterpret", raw, type.number(), shape, bytes / type.bytes())
                .get(0);
    }

    /** A float32 tensor, copied. */
    public static NDArray of(NDManager manager, float[] data, long... shape) {
        return manager.create(data, new Shape(shape));
    }

    /** An int64 tensor, copied. */
    public static NDArray of(NDManager manager, long[] data, long... shape) {
        return manager.create(data, new Shape(shape));
    }

    /** An int64 tensor of one dimension, copied. */
    public static NDArray of(NDManager manager, List<Long> data) {
        return of(manager, data.stream().mapToLong(Long::longValue).toArray(), data.size());
    }

    /** The tensor in another type, detached; the same memory if it has that type and is contiguous. */
    public static NDArray to(NDManager manager, NDArray tensor, Dtype type) {
        return Kernels.SCRIPT.call(manager, "to", tensor, type.number()).get(0);
    }

    /** The tensor in the type of another one, detached; the same memory if it has that type and is contiguous. */
    public static NDArray typeAs(NDManager manager, NDArray tensor, NDArray like) {
        return Kernels.SCRIPT.call(manager, "type_as", tensor, like).get(0);
    }

    /** Whether no element is NaN or infinite. */
    public static boolean isFinite(NDArray tensor) {
        try (NDManager scratch = tensor.getManager().newSubManager()) {
            return Kernels.SCRIPT.call(scratch, "finite", tensor).get(0).getBoolean();
        }
    }

    /** A copy, detached. */
    public static NDArray clone(NDManager manager, NDArray tensor) {
        return Kernels.SCRIPT.call(manager, "clone", tensor).get(0);
    }

    /** Overwrites {@code into} with {@code tensor}, converting the type. */
    public static void copy(NDArray into, NDArray tensor) {
        try (NDManager scratch = into.getManager().newSubManager()) {
            Kernels.SCRIPT.call(scratch, "copy", into, tensor);
        }
    }

    /** The elements as float32, row by row. */
    public static float[] floats(NDArray tensor) {
        try (NDManager scratch = tensor.getManager().newSubManager()) {
            return to(scratch, tensor, Dtype.F32).toFloatArray();
        }
    }

    /** The elements as float64, row by row. */
    public static double[] doubles(NDArray tensor) {
        try (NDManager scratch = tensor.getManager().newSubManager()) {
            return to(scratch, tensor, Dtype.F64).toDoubleArray();
        }
    }

    /** The elements as int64, row by row. */
    public static long[] longs(NDArray tensor) {
        try (NDManager scratch = tensor.getManager().newSubManager()) {
            return to(scratch, tensor, Dtype.I64).toLongArray();
        }
    }

    /** A copy of the elements' bytes, little endian, row by row. */
    public static ByteBuffer bytes(NDArray tensor) {
        try (NDManager scratch = tensor.getManager().newSubManager()) {
            return Kernels.SCRIPT
                    .call(scratch, "bytes", tensor)
                    .get(0)
                    .toByteBuffer()
                    .order(ByteOrder.LITTLE_ENDIAN);
        }
    }

    /** Whether {@link #backward} shall give this tensor a gradient. */
    public static void requiresGrad(NDArray tensor, boolean requiresGrad) {
        JniUtils.attachGradient((PtNDArray) tensor, requiresGrad);
    }

    /**
     * Adds d loss / d x to the gradient of every tensor x that requires one.
     *
     * @param loss a result of {@link TorchScript#callWithGrad} with one element, not bfloat16
     */
    public static void backward(NDArray loss) {
        try (NDManager scratch = loss.getManager().newSubManager()) {
            backward(loss, scratch.ones(loss.getShape(), loss.getDataType()));
        }
    }

    /** The same for a result of any shape, given the loss's gradient with respect to it. */
    public static void backward(NDArray result, NDArray gradient) {
        JniUtils.backward((PtNDArray) result, (PtNDArray) gradient, false, false);
    }

    /**
     * The gradient that {@link #backward} summed up, the same memory: writing zeros to it starts a new sum.
     *
     * @param manager owns the handle, not the memory
     */
    public static Optional<NDArray> gradient(NDManager manager, NDArray tensor) {
        PtNDArray gradient = JniUtils.getGradient((PtNDArray) tensor);
        if (gradient != null) {
            gradient.attach(manager);
        }
        return Optional.ofNullable(gradient);
    }

    /** Sets the gradient to zeros, if there is one. */
    public static void zeroGradient(NDArray tensor) {
        JniUtils.zeroGrad((PtNDArray) tensor);
    }
}
