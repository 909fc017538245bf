package io.safelora.method;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.torch.KernelTest;
import io.safelora.torch.Matrix;
import io.safelora.torch.Tensors;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Each method of analysis.torchscript against plain arithmetic. */
class AnalysisKernelTest extends KernelTest {
    private static final double LEAST = 1e-10;

    AnalysisKernelTest() {
        super(AnalysisKernels.class, List.of(AnalysisKernels.FILE));
    }

    @Test
    @Of("empty")
    void emptyOfATypeAndShape() {
        NDArray empty = call("empty", 2, 3, Dtype.I16.number());
        assertThat(empty.getShape()).isEqualTo(new Shape(2, 3));
        assertThat(Tensors.bytes(empty).remaining()).isEqualTo(12);
    }

    /** Two rows from row 1 on: one element is equal, one is one unit in the last place apart, the others are more. */
    @Test
    @Of("rows")
    void countsDifferencesAndSortsThemByExponent() {
        float next = Math.nextUp(2f);
        Matrix base = Matrix.of(new double[] {1, 2}, new double[] {-3, 0.5});
        Matrix aligned = Matrix.of(new double[] {1, next}, new double[] {-1, 0.75});
        NDArray v = tensor(new Matrix(3, 2, new double[6]));
        NDArray x = tensor(new Matrix(2, 2, new double[4]));
        NDArray y = tensor(new Matrix(2, 2, new double[4]));
        NDArray z = manager.zeros(new Shape(2, 2), DataType.INT32);

        double[] found = doubles(call("rows", v, 1, x, y, z, tensor(base), tensor(aligned), Dtype.F32.number(), 1));

        Matrix difference = aligned.minus(base);
        assertThat(doubles(v))
                .containsExactly(Matrix.row(0, 0).above(difference).values(), within(1e-6));
        assertThat(found[0]).isCloseTo(difference.squares(), within(1e-6));
        assertThat(found[1]).isCloseTo(base.squares(), within(1e-5));
        assertThat(found[2]).isEqualTo(3);
        assertThat(found[3]).isEqualTo(1);
        double[] elements = new double[256];
        double[] energies = new double[256];
        for (int i = 0; i < 4; i++) {
            int exponent = Math.getExponent((float) base.values()[i]) + 127;
            elements[exponent]++;
            energies[exponent] += Math.pow(difference.values()[i], 2);
        }
        assertThat(Arrays.copyOfRange(found, 4, 260)).containsExactly(elements);
        assertThat(Arrays.copyOfRange(found, 260, 516)).containsExactly(energies, within(1e-6));
        // Every second row only.
        double[] sampled = doubles(call("rows", v, 1, x, y, z, tensor(base), tensor(aligned), Dtype.F32.number(), 2));
        assertThat(Arrays.stream(sampled, 4, 260).sum()).isEqualTo(2);
    }

    @Test
    @Of("squares")
    void squares() {
        Matrix x = Matrix.random(3, 5, 1);
        assertThat(doubles(call("squares", tensor(x)))[0]).isCloseTo(x.squares(), within(1e-5));
    }

    @Test
    @Of("bits")
    void bitsOfFloatsAndOfHalves() {
        assertThat(call("bits", vector(1, -2)).toIntArray())
                .containsExactly(Float.floatToIntBits(1), Float.floatToIntBits(-2));
        NDArray half = Tensors.to(manager, vector(1, -2), Dtype.F16);
        assertThat(doubles(call("bits", half))).containsExactly(0x3c00, (short) 0xc000);
    }

    /** A matrix of the singular values 4, 2, 1 and two tests. */
    private static final Matrix V =
            Matrix.of(new double[] {0, 4, 0, 0}, new double[] {2, 0, 0, 0}, new double[] {0, 0, 1, 0});

    @Test
    @Of("spectrum")
    void spectrumOfWhatTheSketchHolds() {
        double norm = Math.sqrt(V.squares());
        Matrix guide = Matrix.random(4, 3, 2);
        Matrix test = Matrix.random(4, 2, 3);
        double[] found =
                doubles(call("spectrum", tensor(V), tensor(guide.beside(test)), 3, 1, norm, Dtype.F64.number(), LEAST));
        // As many directions as V has: nothing is left.
        assertThat(found).containsExactly(new double[] {1, 4, 16, 0, 0, 0}, within(1e-4));
        // One direction, which power iterations turn to the largest; the tests see what it misses.
        found = doubles(call(
                "spectrum",
                tensor(V),
                tensor(guide.sliceColumns(0, 1).beside(test)),
                1,
                12,
                norm,
                Dtype.F64.number(),
                LEAST));
        assertThat(found[0]).isCloseTo(16, within(1e-3));
        Matrix rest = V.by(Matrix.row(1, 0, 1, 1));
        Matrix first = rest.times(test);
        Matrix second = rest.times(rest.t()).times(first).by(1 / (norm * norm));
        assertThat(found[1]).isCloseTo(longest(first), within(1e-3));
        assertThat(found[2]).isCloseTo(longest(second), within(1e-3));
    }

    private static double longest(Matrix x) {
        return Arrays.stream(x.t().rowNorms().values()).max().orElseThrow();
    }

    @Test
    @Of("other")
    void basisOfTheRowSpace() {
        Matrix u = Matrix.row(1, 1, 0).t();
        NDArray p = call("other", tensor(V), float64(tensor(u)), Dtype.F64.number(), LEAST);
        // V^T u = (2, 4, 0, 0)
        assertClose(p.abs(), Matrix.row(1, 2, 0, 0).t().by(1 / Math.sqrt(5)));
    }

    @Test
    @Of("basis")
    void orthonormalAndWithoutWhatRoundingMade() {
        Matrix x = Matrix.of(new double[] {3, 3}, new double[] {4, 4}, new double[] {0, 0});
        NDArray basis = call("basis", float64(tensor(x)), 1e-6);
        Matrix q = new Matrix(3, 2, doubles(basis));
        Matrix direction = Matrix.row(0.6, 0.8, 0).t();
        assertThat(q.times(q.t()).values())
                .containsExactly(direction.times(direction.t()).values(), within(1e-9));
    }

    @Test
    @Of("beyond")
    void theRestAppliedTwice() {
        Matrix q = Matrix.row(0, 1, 0, 0).t();
        Matrix s = Matrix.random(3, 2, 4);
        double f = Math.sqrt(V.squares());
        Matrix rest = V.by(Matrix.row(1, 0, 1, 1));
        assertClose(
                call("beyond", tensor(V), float64(tensor(q)), float64(tensor(s)), f, Dtype.F64.number()),
                rest.times(rest.t()).times(s).by(1 / (f * f)));
    }

    @Test
    @Of("longest")
    void theLongestColumn() {
        Matrix x = Matrix.of(new double[] {3, 1}, new double[] {-4, 1});
        assertThat(call("longest", tensor(x)).toDoubleArray()).containsExactly(5);
    }
}
