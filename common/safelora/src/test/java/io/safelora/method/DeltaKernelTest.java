package io.safelora.method;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.torch.KernelTest;
import io.safelora.torch.Matrix;
import io.safelora.torch.Tensors;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Each method of delta.torchscript against plain arithmetic. */
class DeltaKernelTest extends KernelTest {
    private static final int OUT = 5;
    private static final int IN = 7;
    private static final int R = 2;

    private final Matrix base = Matrix.random(OUT, IN, 1);
    private final Matrix aligned = Matrix.random(OUT, IN, 2);
    private final Matrix v = aligned.minus(base);
    private final Matrix a = Matrix.random(R, IN, 3);
    private final Matrix b = Matrix.random(OUT, R, 4);

    DeltaKernelTest() {
        super(DeltaKernels.class, List.of(DeltaKernels.FILE));
    }

    private NDArray zeros(int rows, int columns) {
        return tensor(new Matrix(rows, columns, new double[rows * columns]));
    }

    private NDArray sums() {
        return float64(vector(0, 0));
    }

    private void assertSums(NDArray sums) {
        assertThat(doubles(sums)).containsExactly(new double[] {v.squares(), base.squares()}, within(1e-4));
    }

    @Test
    @Of("difference")
    void differenceAndItsSquares() {
        NDArray sums = sums();
        assertClose(call("difference", tensor(base), tensor(aligned), sums), v);
        assertSums(sums);
    }

    @Test
    @Of("squares")
    void squares() {
        assertThat(doubles(call("squares", tensor(v)))[0]).isCloseTo(v.squares(), within(1e-4));
    }

    @Test
    @Of("first")
    void firstPassInBlocksThatDoNotDivideTheRows() {
        NDArray t = zeros(R, IN);
        NDArray sums = sums();
        results("first", tensor(base), tensor(aligned), 2, tensor(b), t, sums);
        assertClose(t, b.t().times(v));
        assertSums(sums);
    }

    @Test
    @Of("second")
    void secondPass() {
        Matrix t = Matrix.random(R, IN, 5);
        NDArray out = zeros(OUT, R);
        results("second", tensor(base), tensor(aligned), 2, tensor(t), out);
        assertClose(out, v.times(t.t()));
    }

    @Test
    @Of("both")
    void bothPassesOfTransposedWeights() {
        NDArray out = zeros(OUT, R);
        NDArray sums = sums();
        results("both", tensor(base.t()), tensor(aligned.t()), 3, tensor(b), out, sums);
        assertClose(out, v.times(v.t()).times(b), 1e-4);
        assertSums(sums);
    }

    @Test
    @Of("vvt")
    void gramTimesB() {
        NDArray out = zeros(OUT, R);
        results("vvt", tensor(v), tensor(b), out);
        assertClose(out, v.times(v.t()).times(b), 1e-4);
    }

    @Test
    @Of("dense")
    void denseRows() {
        NDArray rows = zeros(OUT, IN);
        NDArray sums = sums();
        results("dense", tensor(base), tensor(aligned), 2, rows, sums);
        assertClose(rows, v);
        assertSums(sums);
    }

    @Test
    @Of("rows")
    void rowsAreAView() {
        NDArray x = tensor(v);
        NDArray rows = call("rows", x, 1, 2);
        assertClose(rows, v.slice(1, 3));
        Tensors.copy(rows, zeros(2, IN));
        assertThat(doubles(x)[IN]).isZero();
    }

    @Test
    @Of("zeros")
    void zerosOfAType() {
        NDArray zeros = call("zeros", vector(1), new long[] {2, 3}, Dtype.F64.number());
        assertThat(zeros.toDoubleArray()).containsOnly(0).hasSize(6);
    }

    @Test
    @Of("transposed")
    void transposed() {
        assertClose(call("transposed", tensor(v)), v.t());
    }

    @Test
    @Of("gram")
    void gramOfTheShorterSide() {
        assertClose(call("gram", tensor(base)), base.times(base.t()), 1e-9);
        assertClose(call("gram", tensor(base.t())), base.times(base.t()), 1e-9);
    }

    @Test
    @Of("cholesky")
    void choleskyTellsWhetherThereIsAFactor() {
        Matrix gram = v.times(v.t());
        NDList factor = results("cholesky", float64(tensor(gram)));
        assertThat(factor.get(1).toIntArray()).containsExactly(0);
        Matrix l = new Matrix(OUT, OUT, doubles(factor.get(0)));
        assertClose(factor.get(0).matMul(factor.get(0).transpose()), gram, 1e-4);
        assertThat(l.at(0, 1)).isZero();
        assertThat(results("cholesky", float64(tensor(gram.by(-1)))).get(1).toIntArray()[0])
                .isPositive();
    }

    @Test
    @Of("power")
    void aStepOfThePowerIteration() {
        Matrix x = Matrix.row(1, 0, 0, 0, 0).t();
        Matrix gram = v.times(v.t());
        Matrix y = gram.times(x);
        NDList step = results("power", tensor(gram), tensor(x));
        assertThat(doubles(step.get(1))[0]).isCloseTo(Math.sqrt(y.squares()), within(1e-4));
        assertClose(step.get(0), y.by(1 / Math.sqrt(y.squares())));
    }

    @Test
    @Of("inverse_power")
    void aStepWithTheInverse() {
        Matrix l = Matrix.of(new double[] {2, 0}, new double[] {1, 3});
        // (L L^T)^-1 = [[10, -2], [-2, 4]] / 36
        Matrix y = Matrix.row(10, -2).t().by(1 / 36.0);
        NDList step = results(
                "inverse_power",
                float64(tensor(l)),
                float64(tensor(Matrix.row(1, 0).t())));
        assertThat(doubles(step.get(1))[0]).isCloseTo(Math.sqrt(y.squares()), within(1e-9));
        assertClose(step.get(0), y.by(1 / Math.sqrt(y.squares())), 1e-9);
    }

    @Test
    @Of("tall")
    void projectionOntoTheRangeOfATallMatrix() {
        Matrix tall = Matrix.of(new double[] {1, 0}, new double[] {0, 2}, new double[] {0, 0});
        Matrix factor = Matrix.of(new double[] {1, 0}, new double[] {0, 2});
        Matrix x = Matrix.random(3, R, 6);
        assertClose(
                call("tall", tensor(tall), float64(tensor(factor)), tensor(x)),
                x.slice(0, 2).above(new Matrix(1, R, new double[R])));
    }

    @Test
    @Of("eigen")
    void eigenvaluesAscend() {
        Matrix gram = Matrix.of(new double[] {2, 1}, new double[] {1, 2});
        NDList eigen = results("eigen", float64(tensor(gram)));
        assertClose(eigen.get(0), Matrix.row(1, 3), 1e-9);
        assertThat(doubles(eigen.get(1).abs()))
                .containsOnly(doubles(eigen.get(1).abs())[0]);
    }

    /** Singular vectors of a matrix that stretches the axes: e_2 by 3, e_0 by 2, e_1 by 1. */
    private static final Matrix AXES =
            Matrix.of(new double[] {2, 0, 0}, new double[] {0, 1, 0}, new double[] {0, 0, 3});

    private NDList eigen(Matrix gram) {
        return results("eigen", float64(tensor(gram)));
    }

    @Test
    @Of("onto")
    void projectionOntoTheLargestDirections() {
        NDList eigen = eigen(AXES.times(AXES.t()));
        Matrix x = Matrix.random(3, R, 7);
        assertClose(
                call("onto", tensor(AXES), eigen.get(0), eigen.get(1), 2, tensor(x)),
                x.by(Matrix.of(new double[] {1, 1}, new double[] {0, 0}, new double[] {1, 1})));
    }

    @Test
    @Of("left")
    void leftSingularVectorsOfWideAndTall() {
        Matrix wide = AXES.beside(new Matrix(3, 1, new double[3]));
        NDList eigen = eigen(wide.times(wide.t()));
        assertClose(
                call("left", tensor(wide), eigen.get(0), eigen.get(1), 1).abs(),
                Matrix.row(0, 0, 1).t(),
                1e-9);
        Matrix tall = wide.t();
        eigen = eigen(tall.t().times(tall));
        assertClose(
                call("left", tensor(tall), eigen.get(0), eigen.get(1), 1).abs(),
                Matrix.row(0, 0, 1, 0).t(),
                1e-9);
    }

    /** Orthonormal columns whose projector keeps what they shall span. */
    private static void assertSpans(NDArray basis, Matrix spanned) {
        int columns = (int) basis.getShape().get(1);
        Matrix q = new Matrix((int) basis.getShape().get(0), columns, doubles(basis));
        assertThat(q.t().times(q).values())
                .containsExactly(
                        Matrix.generate(columns, columns, (i, j) -> i == j ? 1 : 0)
                                .values(),
                        within(1e-5));
        assertThat(q.times(q.t()).times(spanned).values()).containsExactly(spanned.values(), within(1e-4));
    }

    @Test
    @Of("range_of")
    void basisOfTheRange() {
        Matrix x = Matrix.random(IN, R, 8);
        assertSpans(call("range_of", tensor(v), tensor(x)), v.times(x));
    }

    @Test
    @Of("corange")
    void basisOfTheCorange() {
        assertSpans(call("corange", tensor(v), tensor(b)), v.t().times(b));
    }

    @Test
    @Of("orthonormal")
    void orthonormalColumns() {
        assertSpans(call("orthonormal", tensor(b)), b);
    }

    @Test
    @Of("triplets")
    void tripletsInTheRangeOfABasis() {
        Matrix q = Matrix.of(new double[] {0, 1}, new double[] {0, 0}, new double[] {1, 0});
        NDList triplets = results("triplets", tensor(AXES), tensor(q), 1);
        Matrix left = new Matrix(3, 1, doubles(triplets.get(0)));
        Matrix right = new Matrix(1, 3, doubles(triplets.get(1)));
        assertThat(left.times(right).values()).containsExactly(new double[] {0, 0, 0, 0, 0, 0, 0, 0, 3}, within(1e-5));
        assertThat(left.squares()).isCloseTo(3, within(1e-5));
        assertClose(triplets.get(2), Matrix.row(3));
    }

    @Test
    @Of("ritz")
    void largestRitzValue() {
        Matrix x = Matrix.of(new double[] {1, 0}, new double[] {0, 1}, new double[] {0, 0});
        Matrix y = AXES.times(AXES.t()).times(x);
        assertClose(call("ritz", tensor(x), tensor(y)), Matrix.row(4));
    }

    private static double inner(Matrix x, Matrix y) {
        return x.by(y).sum();
    }

    @Test
    @Of("products")
    void productsOfUpdatesThroughSmallMatrices() {
        Matrix projected = Matrix.random(OUT, R, 9);
        Matrix update = b.times(a);
        Matrix after = projected.times(a);
        assertClose(
                call("products", tensor(a), tensor(b), tensor(projected)),
                Matrix.row(
                        inner(after, update),
                        after.squares(),
                        update.squares(),
                        after.minus(update).squares()),
                1e-9);
    }

    @Test
    @Of("inner")
    void traceOfTheProduct() {
        Matrix projected = Matrix.random(OUT, R, 9);
        assertClose(
                call("inner", float64(tensor(projected)), float64(tensor(b)), float64(tensor(a.times(a.t())))),
                Matrix.row(inner(projected.times(a), b.times(a))),
                1e-4);
    }

    @Test
    @Of("dense_products")
    void theSameOfMoreRowsThanABlock() {
        Matrix update = Matrix.random(300, 3, 10);
        Matrix after = Matrix.random(300, 3, 11);
        assertClose(
                call("dense_products", tensor(update), tensor(after)),
                Matrix.row(
                        inner(after, update),
                        after.squares(),
                        update.squares(),
                        after.minus(update).squares()),
                1e-9);
    }

    @Test
    @Of("mix")
    void mixInPlace() {
        NDArray x = tensor(base);
        results("mix", x, 0.25, tensor(aligned), -2.0);
        assertClose(x, base.by(0.25).plus(aligned.by(-2)));
    }

    @Test
    @Of("product")
    void product() {
        assertClose(call("product", tensor(b), tensor(a)), b.times(a));
    }

    @Test
    @Of("updated")
    void updatedInTheTypeAsked() {
        NDArray sum = call("updated", tensor(base), tensor(v), Dtype.F64.number());
        assertThat(sum.toDoubleArray()).containsExactly(aligned.values(), within(1e-6));
    }
}
