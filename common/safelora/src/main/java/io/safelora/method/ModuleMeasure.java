package io.safelora.method;

/**
 * One module's update dW = B A (without the factor lora_alpha / r) against its projection C dW.
 *
 * @param cosine <C dW, dW>_F / (|C dW|_F |dW|_F); null where it is undefined: alignment did not change the module (V = 0) or
 *     training did not (dW = 0)
 * @param shift |C dW - dW|_F
 * @param shrinkage |C dW|_F / |dW|_F: C is no orthogonal projection, and may shrink an update to almost nothing; 1 where
 *     dW = 0
 * @param deltaNorm |V|_F, V = W_aligned - W_base
 * @param relative |V|_F / |W_base|_F
 * @param spectral |V|_2; null where the projector does not need it
 * @param rank rank of the projector; null for approximate and normalized
 * @param identity whether C is the identity, so that C dW = dW: an exact projector of a V with full row rank
 * @param projectedB C B, shape (out, r), row by row; null where alignment did not change the module, and where the
 *     update is dense
 */
public record ModuleMeasure(
        String module,
        Double cosine,
        double shift,
        double shrinkage,
        double deltaNorm,
        double relative,
        Double spectral,
        Integer rank,
        boolean identity,
        float[] projectedB) {

    /** Of a module that alignment did not change. */
    static ModuleMeasure unaligned(String module) {
        return new ModuleMeasure(module, null, 0, 1, 0, 0, null, null, false, null);
    }

    /** @param products <C dW, dW>, |C dW|^2, |dW|^2 and |C dW - dW|^2 */
    static ModuleMeasure of(String module, double[] products, ProjectorKernel.Projected p, float[] projectedB) {
        double projectedNorm = Math.sqrt(products[1]);
        double norm = Math.sqrt(products[2]);
        return new ModuleMeasure(
                module,
                norm == 0 || projectedNorm == 0 ? null : products[0] / (projectedNorm * norm),
                Math.sqrt(products[3]),
                norm == 0 ? 1 : projectedNorm / norm,
                p.deltaNorm(),
                p.relative(),
                p.spectral(),
                p.rank(),
                p.identity(),
                projectedB);
    }
}
