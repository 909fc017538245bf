package io.safelora.artifacts.safetensors;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * Element types of tensors, by their names in the safetensors format and in the order in which Hugging Face's writer
 * lays tensors out in a file.
 */
public enum Dtype {
    I64(8, "int64", 4),
    F64(8, "float64", 7, 52, -1022),
    F32(4, "float32", 6, 23, -126),
    I32(4, "int32", 3),
    BF16(2, "bfloat16", 15, 7, -126),
    F16(2, "float16", 5, 10, -14),
    I16(2, "int16", 2),
    I8(1, "int8", 1),
    U8(1, "uint8", 0),
    BOOL(1, "bool", 11);

    /** The types in which models are stored and adapted. */
    public static final List<Dtype> WEIGHTS = List.of(F32, F16, BF16);

    private final int bytes;
    private final String torchName;
    private final int number;
    private final int mantissaBits;
    private final int minExponent;

    Dtype(int bytes, String torchName, int number) {
        this(bytes, torchName, number, 0, 0);
    }

    Dtype(int bytes, String torchName, int number, int mantissaBits, int minExponent) {
        this.bytes = bytes;
        this.torchName = torchName;
        this.number = number;
        this.mantissaBits = mantissaBits;
        this.minExponent = minExponent;
    }

    /** The type by PyTorch's name for it: {@code bfloat16}. */
    public static Optional<Dtype> of(String torchName) {
        return Arrays.stream(values())
                .filter(dtype -> dtype.torchName.equals(torchName))
                .findFirst();
    }

    /** Size of one element in bytes. */
    public int bytes() {
        return bytes;
    }

    /** What PyTorch, config.json and the dtype options call the type: {@code bfloat16}. */
    public String torchName() {
        return torchName;
    }

    /** c10::ScalarType, the number that TorchScript's operators take for the type: {@code torch.to(x, 15)}. */
    public int number() {
        return number;
    }

    /** Whether elements are floating-point numbers. */
    public boolean isFloat() {
        return mantissaBits > 0;
    }

    /** Whether it is one of {@link #WEIGHTS}. */
    public boolean isWeight() {
        return WEIGHTS.contains(this);
    }

    /** Of a floating-point type, the stored bits behind the leading one. */
    public int mantissaBits() {
        return mantissaBits;
    }

    /** The distance between the numbers of a floating-point type from 2^exponent up to 2^(exponent + 1). */
    public double ulp(int exponent) {
        return Math.scalb(1.0, Math.max(exponent, minExponent) - mantissaBits);
    }
}
