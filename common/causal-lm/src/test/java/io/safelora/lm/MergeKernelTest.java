package io.safelora.lm;

import ai.djl.ndarray.NDArray;
import io.safelora.torch.KernelTest;
import io.safelora.torch.Matrix;
import java.util.List;
import org.junit.jupiter.api.Test;

class MergeKernelTest extends KernelTest {
    private final Matrix w = Matrix.random(3, 4, 1);
    private final Matrix a = Matrix.random(2, 4, 2);
    private final Matrix b = Matrix.random(3, 2, 3);
    private final Matrix merged = w.plus(b.times(a).by(0.5));

    MergeKernelTest() {
        super(Merger.class, List.of("merge.torchscript"));
    }

    @Test
    @Of("merge")
    void loraAndDoraOfBothOrientations() {
        assertClose(call("merge", tensor(w), tensor(a), tensor(b), 0.5, false, List.of()), merged);
        assertClose(call("merge", tensor(w.t()), tensor(a), tensor(b), 0.5, true, List.of()), merged.t());
        Matrix magnitude = Matrix.row(1, 2, 3);
        NDArray dora = call("merge", tensor(w), tensor(a), tensor(b), 0.5, false, List.of(vector(magnitude)));
        assertClose(
                dora,
                merged.t()
                        .with(magnitude, (x, m) -> x * m)
                        .with(merged.rowNorms(), (x, n) -> x / n)
                        .t());
    }

    @Test
    @Of("rows")
    void someRowsAreReplaced() {
        Matrix rows = Matrix.random(2, 4, 4);
        assertClose(
                call("rows", tensor(w), ids(2, 0), tensor(rows)),
                rows.slice(1, 2).above(w.slice(1, 2)).above(rows.slice(0, 1)));
    }

    @Test
    @Of("bias")
    void biasOfTheUpdateIsScaled() {
        assertClose(call("bias", vector(1, 2), vector(4, -2), 0.25), Matrix.row(2, 1.5));
    }
}
