package io.safelora.method;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.torch.Tensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/**
 * The first singular values of V by random sampling (Halko, Martinsson and Tropp 2011, arXiv 0909.4061): Y = V omega,
 * then P, an orthonormal basis of the range of V^T Y, (columns, l), l = 64 + 8 (below 2^20 elements after two power
 * iterations more), and Rayleigh-Ritz on it: the singular values of V P.
 *
 * <p>The error bound is a posteriori. With E = V (I - P P^T) and P orthonormal, V V^T = V P P^T V^T + E E^T, so the
 * first k singular directions hold at least what was found, and at most min(|E|_F^2, k |E|_2^2) more. |E|_F^2 = |V|_F^2
 * - |V P|_F^2 is known exactly; |E|_2 is estimated from r = 10 Gaussian vectors w that took no part in finding P: with
 * probability 1 - 10^-r
 *
 * <pre>|E|_2 <= (10 sqrt(2 / pi) max |(E E^T)^j E w|)^(1 / (2 j + 1))</pre>
 *
 * (lemma 4.1 there, on (E E^T)^j E; the smallest of j = 0, 1, 2 is taken).
 *
 * <p>Matrices of 2^18 elements or more are multiplied in bfloat16 where the CPU does so natively, three times as fast
 * as float32, sums being float32 in either case. That adds an error of its own, seen to be below 1e-4 of |V|_F^2; the
 * bound allows for 1e-3.
 */
final class Sketch {
    static final long SEED = 0;
    /** The numbers of directions that are told of. */
    static final List<Integer> DIRECTIONS = List.of(1, 2, 4, 8, 16, 32, 64);

    private static final int WIDTH = 72;
    private static final int TESTS = 10;
    private static final int POWERS = 2;
    private static final long TINY = 1 << 16;
    private static final long LARGE = 1 << 18;
    private static final long HUGE = 1 << 20;
    private static final boolean BFLOAT16 = nativeBfloat16();

    private final float[] gaussian;

    /** @param columns the most that any of the matrices has */
    Sketch(long columns) {
        // Random is specified to the bit, nextGaussian by StrictMath: the same numbers everywhere.
        Random random = new Random(SEED);
        gaussian = new float[Math.toIntExact(columns * (WIDTH + TESTS))];
        for (int i = 0; i < gaussian.length; i++) {
            gaussian[i] = (float) random.nextGaussian();
        }
    }

    /** The type in which a matrix of that size is multiplied. */
    static Dtype type(long rows, long columns) {
        return BFLOAT16 && rows * columns >= LARGE ? Dtype.BF16 : Dtype.F32;
    }

    /** The random matrix, (columns, 72 + 10); its first rows are the same for every matrix. */
    private NDArray omega(NDManager manager, long columns, Dtype type) {
        float[] first = Arrays.copyOf(gaussian, Math.toIntExact(columns * (WIDTH + TESTS)));
        return Tensors.to(manager, Tensors.of(manager, first, columns, WIDTH + TESTS), type);
    }

    /**
     * What the sketch says of one V.
     *
     * @param spectral |V|_2
     * @param shares of |V|_F^2, for each of {@link #DIRECTIONS}
     * @param errors at most, of each share
     */
    record Spectrum(double spectral, List<Double> shares, List<Double> errors) {
        static final Spectrum ZERO = new Spectrum(0, List.of(), List.of());
    }

    /**
     * @param v (rows, columns)
     * @param squares |V|_F^2, above 0
     */
    Spectrum of(NDManager manager, NDArray v, double squares) {
        double norm = Math.sqrt(squares);
        boolean tiny = v.getShape().size() < TINY;
        boolean large = v.getShape().size() >= LARGE;
        NDArray omega = omega(
                manager,
                v.getShape().get(1),
                type(v.getShape().get(0), v.getShape().get(1)));
        double[] found = AnalysisKernels.spectrum(
                manager,
                v,
                omega,
                WIDTH,
                v.getShape().size() < HUGE ? POWERS : 0,
                norm,
                tiny ? Dtype.F64 : Dtype.F32,
                tiny ? 1e-10 : 1e-6);
        double held = 0;
        for (int i = 0; i < WIDTH; i++) {
            held += Math.max(0, found[i]);
        }
        double missing = Math.max(0, 1 - held / squares);
        double rest = Double.POSITIVE_INFINITY;
        for (int j = 0; j <= 2; j++) {
            double longest = 10 * Math.sqrt(2 / Math.PI) * found[WIDTH + j] / norm;
            rest = Math.min(rest, Math.pow(longest, 1.0 / (2 * j + 1)));
        }
        double rounding = large ? 1e-3 : 1e-5;
        List<Double> shares = new ArrayList<>();
        List<Double> errors = new ArrayList<>();
        double share = 0;
        for (int k = 1, i = 0; k <= WIDTH && i < DIRECTIONS.size(); k++) {
            share += Math.max(0, found[WIDTH - k]) / squares;
            if (k == DIRECTIONS.get(i)) {
                shares.add(Math.min(1, share));
                errors.add(Math.min(1, Math.min(missing, k * rest * rest) + rounding));
                i++;
            }
        }
        return new Spectrum(Math.sqrt(Math.max(0, found[WIDTH - 1])), shares, errors);
    }

    private static boolean nativeBfloat16() {
        try {
            String cpu = Files.readString(Path.of("/proc/cpuinfo"));
            return cpu.contains("avx512_bf16") || cpu.contains("amx_bf16");
        } catch (IOException notLinux) {
            return false;
        }
    }
}
