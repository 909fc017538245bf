package io.safelora.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.djl.ndarray.NDArray;
import java.util.List;
import org.junit.jupiter.api.Test;

class AdamWKernelTest extends KernelTest {
    AdamWKernelTest() {
        super(AdamW.class, List.of("adamw.torchscript"));
    }

    /**
     * Two parameters, of which the first decays, and gradients that are clipped, as the paper's algorithm 2 writes it.
     */
    @Test
    @Of("step")
    void oneStep() {
        double[][] p = {{1, -2}, {0.5}};
        double[][] g = {{3, 0}, {-4}};
        double[][] m = {{0.1, 0.2}, {-0.3}};
        double[][] v = {{0.01, 0.04}, {0.09}};
        List<NDArray> parameters = tensors(p);
        List<NDArray> gradients = tensors(g);
        List<NDArray> first = tensors(m);
        List<NDArray> second = tensors(v);
        double lr = 0.01;
        double decay = 0.1;
        double c1 = 1 - Math.pow(0.9, 3);
        double c2 = 1 - Math.pow(0.999, 3);
        double clip = 1 / 5.0; // the norm is 5, the most is 1

        NDArray norm =
                call("step", parameters, parameters.subList(0, 1), gradients, first, second, lr, c1, c2, decay, 1.0);

        assertThat(doubles(norm)).containsExactly(5);
        for (int i = 0; i < p.length; i++) {
            for (int j = 0; j < p[i].length; j++) {
                double mean = 0.9 * m[i][j] + 0.1 * clip * g[i][j];
                double square = 0.999 * v[i][j] + 0.001 * Math.pow(clip * g[i][j], 2);
                double decayed = i == 0 ? p[i][j] * (1 - lr * decay) : p[i][j];
                double expected = decayed - lr * (mean / c1) / (Math.sqrt(square / c2) + 1e-8);
                assertThat(doubles(first.get(i))[j]).isCloseTo(mean, within(1e-6));
                assertThat(doubles(second.get(i))[j]).isCloseTo(square, within(1e-7));
                assertThat(doubles(parameters.get(i))[j]).isCloseTo(expected, within(1e-6));
                assertThat(doubles(gradients.get(i))[j]).isZero();
            }
        }
    }

    private List<NDArray> tensors(double[][] values) {
        return List.of(vector(Matrix.row(values[0])), vector(Matrix.row(values[1])));
    }
}
