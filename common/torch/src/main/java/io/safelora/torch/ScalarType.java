package io.safelora.torch;

import java.util.Locale;

/** Element types of tensors, with the numbers by which TorchScript source names them ({@code torch.to(x, 15)}). */
public enum ScalarType {
    UINT8(0, 1),
    INT8(1, 1),
    INT16(2, 2),
    INT32(3, 4),
    INT64(4, 8),
    FLOAT16(5, 2),
    FLOAT32(6, 4),
    FLOAT64(7, 8),
    BOOL(11, 1),
    BFLOAT16(15, 2);

    private final int number;
    private final int bytes;

    ScalarType(int number, int bytes) {
        this.number = number;
        this.bytes = bytes;
    }

    /**
     * The type by PyTorch's name for it, {@code bfloat16}: what connects these types with those of files and of options.
     *
     * @throws IllegalArgumentException if there is none of that name
     */
    public static ScalarType of(String torchName) {
        return valueOf(torchName.toUpperCase(Locale.ROOT));
    }

    /** c10::ScalarType, the number that stands for the type in TorchScript source. */
    public int number() {
        return number;
    }

    /** Size of one element in bytes. */
    public int bytes() {
        return bytes;
    }
}
