package io.safelora.method;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.torch.TorchScript;

/**
 * The methods of delta.torchscript, whose comments give shapes and formulas. {@code base} and {@code aligned} are some
 * rows of both weights, {@code block} is how many of them are worked on at once. Results belong to the manager.
 */
final class DeltaKernels {
    static final String FILE = "delta.torchscript";

    private static final TorchScript SCRIPT = TorchScript.load(DeltaKernels.class, FILE, Device.cpu());

    /** Eigenvalues, ascending, and eigenvectors of a Gram matrix. */
    record Eigen(NDArray values, NDArray vectors) {}

    /**
     * A Cholesky factor.
     *
     * @param info 0 if the matrix has one
     */
    record Cholesky(NDArray factor, NDArray info) {}

    /** A step of a power iteration: the next vector, and the norm from which it was scaled to 1. */
    record Power(NDArray vector, double norm) {}

    private DeltaKernels() {}

    private static NDArray one(NDManager manager, String method, Object... arguments) {
        return SCRIPT.call(manager, method, arguments).get(0);
    }

    static void first(
            NDManager manager, NDArray base, NDArray aligned, long block, NDArray b, NDArray t, NDArray sums) {
        SCRIPT.call(manager, "first", base, aligned, block, b, t, sums);
    }

    static void second(NDManager manager, NDArray base, NDArray aligned, long block, NDArray t, NDArray out) {
        SCRIPT.call(manager, "second", base, aligned, block, t, out);
    }

    static void both(
            NDManager manager, NDArray base, NDArray aligned, long block, NDArray b, NDArray out, NDArray sums) {
        SCRIPT.call(manager, "both", base, aligned, block, b, out, sums);
    }

    static void vvt(NDManager manager, NDArray v, NDArray b, NDArray out) {
        SCRIPT.call(manager, "vvt", v, b, out);
    }

    static void dense(NDManager manager, NDArray base, NDArray aligned, long block, NDArray v, NDArray sums) {
        SCRIPT.call(manager, "dense", base, aligned, block, v, sums);
    }

    static NDArray rows(NDManager manager, NDArray of, long row, long n) {
        return one(manager, "rows", of, row, n);
    }

    /** Zeros on the device of {@code like}. */
    static NDArray zeros(NDManager manager, NDArray like, Dtype type, long... shape) {
        return one(manager, "zeros", like, shape, type.number());
    }

    static NDArray transposed(NDManager manager, NDArray v) {
        return one(manager, "transposed", v);
    }

    static NDArray gram(NDManager manager, NDArray v) {
        return one(manager, "gram", v);
    }

    static Cholesky cholesky(NDManager manager, NDArray gram) {
        NDList result = SCRIPT.call(manager, "cholesky", gram);
        return new Cholesky(result.get(0), result.get(1));
    }

    static Power power(NDManager manager, NDArray gram, NDArray x) {
        NDList result = SCRIPT.call(manager, "power", gram, x);
        return new Power(result.get(0), result.get(1).getDouble());
    }

    static Power inversePower(NDManager manager, NDArray factor, NDArray x) {
        NDList result = SCRIPT.call(manager, "inverse_power", factor, x);
        return new Power(result.get(0), result.get(1).getDouble());
    }

    static NDArray tall(NDManager manager, NDArray v, NDArray factor, NDArray b) {
        return one(manager, "tall", v, factor, b);
    }

    static Eigen eigen(NDManager manager, NDArray gram) {
        NDList result = SCRIPT.call(manager, "eigen", gram);
        return new Eigen(result.get(0), result.get(1));
    }

    static NDArray onto(NDManager manager, NDArray v, Eigen eigen, int k, NDArray b) {
        return one(manager, "onto", v, eigen.values(), eigen.vectors(), k, b);
    }

    static NDArray left(NDManager manager, NDArray v, Eigen eigen, int k) {
        return one(manager, "left", v, eigen.values(), eigen.vectors(), k);
    }

    static NDArray range(NDManager manager, NDArray v, NDArray x) {
        return one(manager, "range_of", v, x);
    }

    static NDArray corange(NDManager manager, NDArray v, NDArray x) {
        return one(manager, "corange", v, x);
    }

    /** U sqrt(S), sqrt(S) V^T, S. */
    static NDList triplets(NDManager manager, NDArray v, NDArray q, int k) {
        return SCRIPT.call(manager, "triplets", v, q, k);
    }

    static NDArray orthonormal(NDManager manager, NDArray x) {
        return one(manager, "orthonormal", x);
    }

    static double ritz(NDManager manager, NDArray x, NDArray y) {
        return one(manager, "ritz", x, y).toDoubleArray()[0];
    }

    /** The four products of {@link ModuleMeasure#of}, of a LoRA update. */
    static double[] products(NDManager manager, NDArray a, NDArray b, NDArray projected) {
        return one(manager, "products", a, b, projected).toDoubleArray();
    }

    /** The same of a dense update. */
    static double[] denseProducts(NDManager manager, NDArray update, NDArray projected) {
        return one(manager, "dense_products", update, projected).toDoubleArray();
    }

    static NDArray mix(NDManager manager, NDArray update, double x, NDArray p, double y) {
        return one(manager, "mix", update, x, p, y);
    }

    static NDArray product(NDManager manager, NDArray b, NDArray a) {
        return one(manager, "product", b, a);
    }

    static NDArray updated(NDManager manager, NDArray aligned, NDArray update, Dtype type) {
        return one(manager, "updated", aligned, update, type.number());
    }
}
