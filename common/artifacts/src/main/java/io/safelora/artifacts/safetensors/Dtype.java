package io.safelora.artifacts.safetensors;

/** Element types of the safetensors format, in the order in which Hugging Face's writer lays tensors out in a file. */
public enum Dtype {
    I64(8),
    F64(8),
    F32(4),
    I32(4),
    BF16(2),
    F16(2),
    I16(2),
    I8(1),
    U8(1),
    BOOL(1);

    private final int bytes;

    Dtype(int bytes) {
        this.bytes = bytes;
    }

    /** Size of one element in bytes. */
    public int bytes() {
        return bytes;
    }

    /** Whether elements are floating-point numbers. */
    public boolean isFloat() {
        return this == F64 || this == F32 || this == BF16 || this == F16;
    }
}
