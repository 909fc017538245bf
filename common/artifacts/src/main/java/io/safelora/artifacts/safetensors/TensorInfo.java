package io.safelora.artifacts.safetensors;

import java.util.Arrays;

/**
 * One tensor of a safetensors file.
 *
 * @param begin offset of the first byte, counted from the end of the header
 * @param end offset after the last byte; {@code end - begin} is the product of the shape times the element size
 */
public record TensorInfo(String name, Dtype dtype, long[] shape, long begin, long end) {

    /** Number of elements. */
    public long elements() {
        return bytes() / dtype.bytes();
    }

    /** Number of bytes. */
    public long bytes() {
        return end - begin;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof TensorInfo t
                && name.equals(t.name)
                && dtype == t.dtype
                && Arrays.equals(shape, t.shape)
                && begin == t.begin
                && end == t.end;
    }

    @Override
    public int hashCode() {
        return name.hashCode();
    }

    @Override
    public String toString() {
        return name + " " + dtype + Arrays.toString(shape);
    }
}
