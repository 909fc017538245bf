package io.safelora.artifacts.safetensors;

/** Element types of the safetensors format, in the order in which Hugging Face's writer lays tensors out in a file. */
public enum Dtype {
    I64(8, "int64"),
    F64(8, "float64"),
    F32(4, "float32"),
    I32(4, "int32"),
    BF16(2, "bfloat16"),
    F16(2, "float16"),
    I16(2, "int16"),
    I8(1, "int8"),
    U8(1, "uint8"),
    BOOL(1, "bool");

    private final int bytes;
    private final String torchName;

    Dtype(int bytes, String torchName) {
        this.bytes = bytes;
        this.torchName = torchName;
    }

    /** Size of one element in bytes. */
    public int bytes() {
        return bytes;
    }

    /** What PyTorch, and config.json, call the type: {@code bfloat16}. */
    public String torchName() {
        return torchName;
    }

    /** Whether elements are floating-point numbers. */
    public boolean isFloat() {
        return this == F64 || this == F32 || this == BF16 || this == F16;
    }
}
