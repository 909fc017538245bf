package io.safelora.method;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.ModuleName;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.TensorInfo;

/**
 * The difference of one module's weights, V = W_aligned - W_base (out, in). It is not in memory: both weights are read
 * some rows at a time. The update of full fine-tuning, dW = W_fine-tuned - W_aligned, is one as well.
 *
 * @param base the weight that is subtracted
 * @param aligned the weight that it is subtracted from; both have one shape, and floating-point types
 */
record Delta(CheckpointPair pair, ModuleName module, TensorInfo base, TensorInfo aligned) {
    /** Bytes of float32 rows that a kernel works on at once: few enough to stay in the CPU's cache. */
    private static final int BLOCK = 3 << 18;

    /** V (out, in) in float32, with |V|_F^2 and |W_base|_F^2. */
    record Dense(NDArray v, double[] squares) {}

    /** Some rows of both weights. */
    interface Rows {
        /**
         * @param manager owns the tensors, and is closed afterwards
         * @param row the first of the rows
         * @param base (n, columns), in the checkpoint's type
         * @param aligned the same rows of the other checkpoint
         */
        void at(NDManager manager, long row, NDArray base, NDArray aligned);
    }

    /** First dimension, as stored. */
    long rows() {
        return aligned.shape()[0];
    }

    /** Second dimension, as stored. */
    long columns() {
        return aligned.shape()[1];
    }

    /** Whether the weights are stored (in, out). */
    boolean transposed() {
        return pair.transposed();
    }

    long out() {
        return transposed() ? columns() : rows();
    }

    long in() {
        return transposed() ? rows() : columns();
    }

    /** How many rows a kernel should work on at once. */
    long block() {
        return Math.max(1, BLOCK / (4 * columns()));
    }

    /** Visits all rows, as stored, in order. */
    void forEach(NDManager manager, Rows visitor) {
        pair.forEach(this, manager, visitor);
    }

    /**
     * All of V.
     *
     * @param manager owns the result
     * @throws InvalidArtifactException if a weight holds NaN or infinity
     */
    Dense dense(NDManager manager) {
        NDArray like = manager.create(new float[0]);
        NDArray v = DeltaKernels.zeros(manager, like, Dtype.F32, rows(), columns());
        NDArray sums = DeltaKernels.zeros(manager, like, Dtype.F64, 2);
        forEach(
                manager,
                (local, row, from, to) -> DeltaKernels.dense(
                        local,
                        from,
                        to,
                        block(),
                        DeltaKernels.rows(local, v, row, from.getShape().get(0)),
                        sums));
        double[] squares = sums.toDoubleArray();
        refuseNonFinite(squares);
        return new Dense(transposed() ? DeltaKernels.transposed(manager, v) : v, squares);
    }

    /**
     * Says which weight is broken.
     *
     * @param squares |V|_F^2 and |W_base|_F^2
     * @throws InvalidArtifactException if one of them is not finite
     */
    void refuseNonFinite(double[] squares) {
        if (!Double.isFinite(squares[0]) || !Double.isFinite(squares[1])) {
            boolean first = !Double.isFinite(squares[1]);
            String name = (first ? base : aligned).name();
            throw new InvalidArtifactException((first ? pair.base() : pair.aligned()).fileOf(name) + ": tensor " + name
                    + " holds NaN or infinity; the checkpoint is broken");
        }
    }
}
