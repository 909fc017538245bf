package io.safelora.method;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import io.safelora.torch.Tensors;
import java.util.Arrays;
import java.util.Random;

/**
 * The k largest singular triplets of V = W_aligned - W_base, by random sampling (Halko, Martinsson and Tropp 2011,
 * arXiv 0909.4061, algorithms 4.4 and 5.1): V's best approximation of rank k, as a LoRA update.
 *
 * @param b U_k sqrt(S_k), shape (out, k), row by row
 * @param a sqrt(S_k) V_k^T, shape (k, in), row by row
 */
record SingularTriplets(int k, float[] b, float[] a) {
    /** Columns beyond k, and power iterations, of the range finder: see section 4.5 there. */
    private static final int OVERSAMPLING = 8;

    private static final int ITERATIONS = 4;

    /** Null where V = 0. k is cut to what the matrix has. */
    static SingularTriplets of(Delta delta, int k, NDManager manager) {
        try (NDManager scratch = manager.newSubManager()) {
            Delta.Dense dense = delta.dense(scratch);
            if (dense.squares()[0] == 0) {
                return null;
            }
            int kept = (int) Math.min(k, Math.min(delta.out(), delta.in()));
            long sketch = Math.min(kept + OVERSAMPLING, Math.min(delta.out(), delta.in()));
            NDArray q = DeltaKernels.range(scratch, dense.v(), gaussian(scratch, delta.in(), sketch, 1));
            for (int i = 0; i < ITERATIONS; i++) {
                NDArray z = DeltaKernels.corange(scratch, dense.v(), q);
                q = DeltaKernels.range(scratch, dense.v(), z);
            }
            NDList triplets = DeltaKernels.triplets(scratch, dense.v(), q, kept);
            return new SingularTriplets(kept, Tensors.floats(triplets.get(0)), Tensors.floats(triplets.get(1)));
        }
    }

    /** The n largest of these, or all if they are fewer. */
    SingularTriplets first(int n) {
        if (n >= k) {
            return this;
        }
        int out = b.length / k;
        float[] columns = new float[out * n];
        for (int row = 0; row < out; row++) {
            System.arraycopy(b, row * k, columns, row * n, n);
        }
        return new SingularTriplets(n, columns, Arrays.copyOf(a, a.length / k * n));
    }

    /** Standard normal numbers, float32, the same everywhere: java.util.Random is specified to the bit. */
    static NDArray gaussian(NDManager manager, long rows, long columns, long seed) {
        Random random = new Random(seed);
        float[] values = new float[Math.toIntExact(rows * columns)];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return Tensors.of(manager, values, rows, columns);
    }
}
