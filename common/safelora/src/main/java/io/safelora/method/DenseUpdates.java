package io.safelora.method;

import ai.djl.ndarray.NDArray;
import io.safelora.torch.Tensors;

/** What repairs do with a dense update dW (out, in), float32. Results belong to its manager. */
final class DenseUpdates {
    private DenseUpdates() {}

    /** dW := x dW + y P, in place; P (out, in) */
    static NDArray mix(NDArray update, double x, NDArray p, double y) {
        return DeltaKernels.mix(update.getManager(), update, x, p, y);
    }

    /**
     * B A (out, in)
     *
     * @param update whose shape it has
     * @param b (out, r), row by row
     * @param a (r, in), row by row
     */
    static NDArray product(NDArray update, float[] b, float[] a, int r) {
        var manager = update.getManager();
        NDArray left = Tensors.of(manager, b, update.getShape().get(0), r);
        NDArray right = Tensors.of(manager, a, r, update.getShape().get(1));
        return DeltaKernels.product(manager, left, right);
    }
}
