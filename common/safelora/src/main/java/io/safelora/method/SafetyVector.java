package io.safelora.method;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import io.safelora.method.WeightPair.Weight;
import io.safelora.torch.Tensors;
import java.util.Random;

/**
 * The k largest singular triplets of V = W_aligned - W_base: what alignment changed, as a LoRA update. Added to a fine-tuned
 * one it is the safety vector of RESTA (Bhardwaj et al., arXiv 2402.11746), in low rank as LoX does (Perin et al., arXiv
 * 2506.15606).
 *
 * @param b U_k sqrt(S_k), shape (out, k), row by row
 * @param a sqrt(S_k) V_k^T, shape (k, in), row by row
 * @param share of |V|_F^2 that the triplets hold
 */
record SafetyVector(int k, float[] b, float[] a, double share) {
    /** Columns beyond k, and power iterations, of the range finder: see Halko, Martinsson, Tropp, arXiv 0909.4061, section 4.5. */
    private static final int OVERSAMPLING = 8;

    private static final int ITERATIONS = 4;

    /** Null where V = 0. k is cut to what the matrix has. */
    static SafetyVector of(WeightPair pair, Weight weight, boolean transposed, int k, NDManager manager) {
        try (NDManager scratch = manager.newSubManager()) {
            ProjectorKernel.Dense dense = ProjectorKernel.dense(pair, weight, transposed, scratch);
            if (dense.squares()[0] == 0) {
                return null;
            }
            long out = dense.v().getShape().get(0);
            long in = dense.v().getShape().get(1);
            int kept = (int) Math.min(k, Math.min(out, in));
            long sketch = Math.min(kept + OVERSAMPLING, Math.min(out, in));
            NDArray q = WeightPair.SCRIPT
                    .call(scratch, "ranged", dense.v(), gaussian(scratch, in, sketch, 1))
                    .get(0);
            for (int i = 0; i < ITERATIONS; i++) {
                NDArray z =
                        WeightPair.SCRIPT.call(scratch, "corange", dense.v(), q).get(0);
                q = WeightPair.SCRIPT.call(scratch, "ranged", dense.v(), z).get(0);
            }
            NDList triplets = WeightPair.SCRIPT.call(scratch, "triplets", dense.v(), q, kept);
            double held = 0;
            for (float s : triplets.get(2).toFloatArray()) {
                held += (double) s * s;
            }
            return new SafetyVector(
                    kept, Tensors.floats(triplets.get(0)), Tensors.floats(triplets.get(1)), held / dense.squares()[0]);
        }
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
