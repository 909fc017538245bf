package io.safelora.method;

import ai.djl.ndarray.NDArray;
import io.safelora.torch.KernelTest;
import io.safelora.torch.Matrix;
import java.util.List;
import org.junit.jupiter.api.Test;

class EveryStepKernelTest extends KernelTest {
    EveryStepKernelTest() {
        super(EveryStep.class, List.of("everystep.torchscript"));
    }

    @Test
    @Of("project")
    void bIsProjectedInPlace() {
        Matrix u = Matrix.row(0.6, 0.8, 0).t();
        Matrix b = Matrix.random(3, 2, 1);
        NDArray projected = tensor(b);
        results("project", tensor(u), projected);
        assertClose(projected, u.times(u.t()).times(b));
    }
}
