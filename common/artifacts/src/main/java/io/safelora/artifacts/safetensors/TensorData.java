package io.safelora.artifacts.safetensors;

import java.nio.ByteBuffer;
import java.util.function.Supplier;

/**
 * A tensor to be written.
 *
 * @param source gives the elements, little endian and row by row, when the writer comes to them; so a file larger than
 *     memory can be written
 */
public record TensorData(Dtype dtype, long[] shape, Supplier<ByteBuffer> source) {

    public TensorData(Dtype dtype, long[] shape, ByteBuffer data) {
        this(dtype, shape, data::duplicate);
    }

    /** A tensor whose elements are {@code values}, rounded to {@code dtype}. */
    public static TensorData of(Dtype dtype, long[] shape, float[] values) {
        return new TensorData(dtype, shape, Floats.encode(values, dtype));
    }

    /** Size in bytes. */
    long bytes() {
        long bytes = dtype.bytes();
        for (long d : shape) {
            bytes = Math.multiplyExact(bytes, d);
        }
        return bytes;
    }
}
