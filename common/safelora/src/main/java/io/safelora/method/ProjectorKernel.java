package io.safelora.method;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.contract.SelectionOptions;
import io.safelora.method.DeltaKernels.Cholesky;
import io.safelora.method.DeltaKernels.Eigen;
import io.safelora.method.DeltaKernels.Power;
import io.safelora.torch.Tensors;
import java.util.Arrays;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * C B for the projectors of {@link SelectionOptions.Projector}, without ever building C (out, out).
 *
 * <p>approximate and normalized differ by a factor only, and cost two passes over V in the order V (V^T B): O(out in
 * r). exact and subspace need V's singular vectors, from the smaller Gram matrix in float64: O(out in min(out, in)).
 */
final class ProjectorKernel {
    /**
     * How far above the rank's threshold all eigenvalues must surely lie for the full rank to be believed without them.
     */
    private static final double SURELY = 1e3;

    /** Power iterations for the extreme eigenvalues: enough to tell a full rank, not to know them to the last digit. */
    private static final int POWER_STEPS = 50;

    /** Relative change of |V|_2 between iterations at which it counts as found. */
    private static final double SPECTRAL_TOLERANCE = 1e-9;

    private ProjectorKernel() {}

    /**
     * @param squares |V|_F^2 and |W_base|_F^2
     * @param projected C B (out, r); null where V = 0
     * @param spectral |V|_2, or null if it was not needed
     * @param rank of C, or null
     * @param identity whether C is the identity
     */
    record Projected(double[] squares, NDArray projected, Double spectral, Integer rank, boolean identity) {
        double deltaNorm() {
            return Math.sqrt(squares[0]);
        }

        double relative() {
            return squares[1] == 0 ? Double.POSITIVE_INFINITY : Math.sqrt(squares[0] / squares[1]);
        }
    }

    /**
     * Projects.
     *
     * @param manager owns the result
     * @param b (out, r), float32
     */
    static Projected project(Delta delta, NDArray b, SelectionOptions options, NDManager manager) {
        return switch (options.projector()) {
            case approximate, normalized -> byProducts(delta, b, options, manager);
            case exact, subspace -> bySingularVectors(delta, b, options, manager);
        };
    }

    private static Projected byProducts(Delta delta, NDArray b, SelectionOptions options, NDManager manager) {
        NDArray out = DeltaKernels.zeros(
                manager, b, Dtype.F32, b.getShape().get(0), b.getShape().get(1));
        double[] squares =
                byGram(delta, b.getShape().get(1)) ? vvtOfWide(delta, b, out, manager) : vvt(delta, b, out, manager);
        if (squares[0] == 0) {
            return new Projected(squares, null, null, null, false);
        }
        if (options.projector() == SelectionOptions.Projector.approximate) {
            return new Projected(squares, out.divi(Math.sqrt(squares[0])), null, null, false);
        }
        double spectral = spectral(delta, manager);
        return new Projected(squares, out.divi(spectral * spectral), spectral, null, false);
    }

    /** Whether (V V^T) B costs less than V (V^T B): never for LoRA, but for a dense update of a wide weight. */
    static boolean byGram(Delta delta, long r) {
        long out = delta.out();
        long in = delta.in();
        return out * (in + r) < 2 * in * r;
    }

    /** (V V^T) B into out; |V|_F^2 and |W_base|_F^2. */
    private static double[] vvtOfWide(Delta delta, NDArray b, NDArray out, NDManager manager) {
        try (NDManager scratch = manager.newSubManager()) {
            Delta.Dense dense = delta.dense(scratch);
            DeltaKernels.vvt(scratch, dense.v(), b, out);
            return dense.squares();
        }
    }

    /** Adds V (V^T B) to out; |V|_F^2 and |W_base|_F^2. */
    private static double[] vvt(Delta delta, NDArray b, NDArray out, NDManager manager) {
        try (NDManager scratch = manager.newSubManager()) {
            NDArray sums = DeltaKernels.zeros(scratch, b, Dtype.F64, 2);
            if (delta.transposed()) {
                delta.forEach(
                        scratch,
                        (local, row, base, aligned) ->
                                DeltaKernels.both(local, base, aligned, delta.block(), b, out, sums));
            } else {
                NDArray t =
                        DeltaKernels.zeros(scratch, b, Dtype.F32, b.getShape().get(1), delta.columns());
                delta.forEach(
                        scratch,
                        (local, row, base, aligned) -> DeltaKernels.first(
                                local,
                                base,
                                aligned,
                                delta.block(),
                                DeltaKernels.rows(local, b, row, base.getShape().get(0)),
                                t,
                                sums));
                delta.forEach(
                        scratch,
                        (local, row, base, aligned) -> DeltaKernels.second(
                                local,
                                base,
                                aligned,
                                delta.block(),
                                t,
                                DeltaKernels.rows(
                                        local, out, row, base.getShape().get(0))));
            }
            double[] squares = sums.toDoubleArray();
            delta.refuseNonFinite(squares);
            return squares;
        }
    }

    /** |V|_2 by power iteration on V V^T, from a block of fixed start vectors. */
    private static double spectral(Delta delta, NDManager manager) {
        long out = delta.out();
        try (NDManager scratch = manager.newSubManager()) {
            NDArray x = SingularTriplets.gaussian(scratch, out, Math.min(8, out), 0);
            double before = 0;
            for (int i = 0; i < 200; i++) {
                x = DeltaKernels.orthonormal(scratch, x);
                NDArray y = DeltaKernels.zeros(
                        scratch, x, Dtype.F32, x.getShape().get(0), x.getShape().get(1));
                vvt(delta, x, y, scratch);
                double square = DeltaKernels.ritz(scratch, x, y);
                x = y;
                if (square - before <= SPECTRAL_TOLERANCE * square) {
                    return Math.sqrt(square);
                }
                before = square;
            }
            return Math.sqrt(before);
        }
    }

    private static Projected bySingularVectors(Delta delta, NDArray b, SelectionOptions options, NDManager manager) {
        try (NDManager scratch = manager.newSubManager()) {
            Delta.Dense dense = delta.dense(scratch);
            if (dense.squares()[0] == 0) {
                return new Projected(dense.squares(), null, null, null, false);
            }
            NDArray v = dense.v();
            long out = v.getShape().get(0);
            long in = v.getShape().get(1);
            NDArray gram = DeltaKernels.gram(scratch, v);
            boolean exact = options.projector() == SelectionOptions.Projector.exact;
            if (exact) {
                // The usual case, a V of full rank, needs no eigenvectors: C is the identity, or comes from a Cholesky
                // factor.
                long n = gram.getShape().get(0);
                double[] ones = IntStream.range(0, (int) n)
                        .mapToDouble(i -> 1 + i % 7 / 7.0)
                        .toArray();
                NDArray start = scratch.create(ones, new Shape(n, 1));
                Cholesky cholesky = DeltaKernels.cholesky(scratch, gram);
                double largest = eigenvalue(start, x -> DeltaKernels.power(scratch, gram, x));
                // A matrix without a Cholesky factor does not have full rank.
                double smallest = Tensors.longs(cholesky.info())[0] == 0
                        ? 1 / eigenvalue(start, x -> DeltaKernels.inversePower(scratch, cholesky.factor(), x))
                        : 0;
                if (smallest > SURELY * threshold(in, largest)) {
                    NDArray projected = out <= in ? b.duplicate() : DeltaKernels.tall(scratch, v, cholesky.factor(), b);
                    projected.attach(manager);
                    return new Projected(dense.squares(), projected, Math.sqrt(largest), (int) n, out <= in);
                }
            }
            Eigen eigen = DeltaKernels.eigen(scratch, gram);
            double[] squares = eigen.values().toDoubleArray();
            double largest = squares[squares.length - 1];
            int rank = exact ? rank(squares, in) : rank(squares, options.energy());
            NDArray projected = DeltaKernels.onto(scratch, v, eigen, rank, b);
            projected.attach(manager);
            return new Projected(dense.squares(), projected, Math.sqrt(largest), rank, rank == out);
        }
    }

    private static double eigenvalue(NDArray start, Function<NDArray, Power> step) {
        Power reached = new Power(start, 0);
        for (int i = 0; i < POWER_STEPS; i++) {
            reached = step.apply(reached.vector());
        }
        return reached.norm();
    }

    /**
     * U_k (out, k) in float32, whose U_k U_k^T is the exact or subspace projector; null where it is the identity or V =
     * 0.
     *
     * @param manager owns the result
     */
    static NDArray basis(Delta delta, SelectionOptions options, NDManager manager) {
        try (NDManager scratch = manager.newSubManager()) {
            Delta.Dense dense = delta.dense(scratch);
            if (dense.squares()[0] == 0) {
                return null;
            }
            NDArray v = dense.v();
            Eigen eigen = DeltaKernels.eigen(scratch, DeltaKernels.gram(scratch, v));
            double[] squares = eigen.values().toDoubleArray();
            int rank = options.projector() == SelectionOptions.Projector.exact
                    ? rank(squares, v.getShape().get(1))
                    : rank(squares, options.energy());
            if (rank == v.getShape().get(0)) {
                return null;
            }
            NDArray basis = DeltaKernels.left(scratch, v, eigen, rank);
            return Tensors.to(manager, basis, Dtype.F32);
        }
    }

    /**
     * The eigenvalue of V^T V up to which pinv takes it for zero: torch.linalg.pinv's convention for (in, in) matrices.
     */
    private static double threshold(long in, double largest) {
        return in * Math.ulp(1.0) * largest;
    }

    private static int rank(double[] squares, long in) {
        double threshold = threshold(in, squares[squares.length - 1]);
        return (int) Arrays.stream(squares).filter(s -> s > threshold).count();
    }

    /** The smallest k whose largest eigenvalues hold the share {@code energy} of their sum. */
    private static int rank(double[] squares, double energy) {
        double total = Arrays.stream(squares).filter(s -> s > 0).sum();
        double held = 0;
        int k = 0;
        while (k < squares.length && held < energy * total) {
            held += squares[squares.length - 1 - k++];
        }
        return Math.max(1, Math.min(k, rank(squares, squares.length)));
    }
}
