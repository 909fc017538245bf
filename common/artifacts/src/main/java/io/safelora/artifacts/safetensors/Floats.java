package io.safelora.artifacts.safetensors;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** float32 to and from the floating-point types of checkpoints. Rounding is to nearest, ties to even, as in PyTorch. */
public final class Floats {
    private Floats() {}

    /** The remaining elements of {@code data}, little endian, as float32. */
    public static float[] decode(ByteBuffer data, Dtype dtype) {
        ByteBuffer in = data.duplicate().order(ByteOrder.LITTLE_ENDIAN);
        float[] out = new float[in.remaining() / dtype.bytes()];
        switch (dtype) {
            case F32 -> in.asFloatBuffer().get(out);
            case F64 -> {
                for (int i = 0; i < out.length; i++) {
                    out[i] = (float) in.getDouble();
                }
            }
            case BF16 -> {
                for (int i = 0; i < out.length; i++) {
                    out[i] = bfloat16(in.getShort());
                }
            }
            case F16 -> {
                for (int i = 0; i < out.length; i++) {
                    out[i] = float16(in.getShort());
                }
            }
            default -> throw new IllegalArgumentException(dtype + " is not a floating-point type");
        }
        return out;
    }

    /** {@code values} as {@code dtype}, little endian, in a direct buffer. */
    public static ByteBuffer encode(float[] values, Dtype dtype) {
        ByteBuffer out = ByteBuffer.allocateDirect(Math.multiplyExact(values.length, dtype.bytes()))
                .order(ByteOrder.LITTLE_ENDIAN);
        switch (dtype) {
            case F32 -> out.asFloatBuffer().put(values);
            case F64 -> {
                for (float v : values) {
                    out.putDouble(v);
                }
            }
            case BF16 -> {
                for (float v : values) {
                    out.putShort(toBfloat16(v));
                }
            }
            case F16 -> {
                for (float v : values) {
                    out.putShort(toFloat16(v));
                }
            }
            default -> throw new IllegalArgumentException(dtype + " is not a floating-point type");
        }
        return out.clear();
    }

    /** The value of bfloat16 bits: the upper half of a float32. */
    public static float bfloat16(short bits) {
        return Float.intBitsToFloat(bits << 16);
    }

    /** {@code value} as bfloat16 bits. */
    public static short toBfloat16(float value) {
        if (Float.isNaN(value)) {
            return (short) 0x7fc0;
        }
        int bits = Float.floatToRawIntBits(value);
        return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
    }

    /** The value of IEEE 754 binary16 bits. */
    public static float float16(short bits) {
        int sign = (bits & 0x8000) << 16;
        int exponent = (bits >>> 10) & 0x1f;
        int mantissa = bits & 0x3ff;
        if (exponent == 0) {
            float subnormal = mantissa * 0x1p-24f;
            return sign == 0 ? subnormal : -subnormal;
        }
        int wide = exponent == 31 ? 0xff : exponent + 112;
        return Float.intBitsToFloat(sign | wide << 23 | mantissa << 13);
    }

    /** {@code value} as IEEE 754 binary16 bits; what is too large becomes infinite. */
    public static short toFloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        int sign = (bits >>> 16) & 0x8000;
        if (Float.isNaN(value)) {
            return (short) (sign | 0x7e00);
        }
        float magnitude = Math.abs(value);
        if (magnitude >= 65520f) {
            return (short) (sign | 0x7c00);
        }
        if (magnitude < 0x1p-14f) {
            // rint rounds ties to even, and 1024 units are the bits of the smallest normal number.
            return (short) (sign | (int) Math.rint(magnitude * 0x1p24));
        }
        int rounded = (bits & 0x7fffffff) + 0xfff + ((bits >>> 13) & 1);
        return (short) (sign | (rounded - (112 << 23)) >>> 13);
    }
}
