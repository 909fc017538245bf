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
 * @param projectedB C B, shape (out, r), row by row; null where alignment did not change the module
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
        float[] projectedB) {}
