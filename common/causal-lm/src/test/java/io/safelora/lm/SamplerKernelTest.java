package io.safelora.lm;

import static org.assertj.core.api.Assertions.assertThat;

import io.safelora.torch.KernelTest;
import io.safelora.torch.Matrix;
import java.util.List;
import org.junit.jupiter.api.Test;

class SamplerKernelTest extends KernelTest {
    SamplerKernelTest() {
        super(Sampler.class, List.of(Sampler.FILE));
    }

    @Test
    @Of("likeliest")
    void theLargestLogitOfEveryRow() {
        assertThat(call("likeliest", tensor(Matrix.of(new double[] {1, 3, 2}, new double[] {0, -1, -2})))
                        .toLongArray())
                .containsExactly(1, 0);
    }

    @Test
    @Of("penalize")
    void positiveLogitsAreDividedAndNegativeOnesMultiplied() {
        assertClose(
                call("penalize", tensor(Matrix.row(4, -4, 8)), ids(0, 1, 1).reshape(1, 3), 2.0), Matrix.row(2, -8, 8));
    }

    /** Token 2 has the probability 0.5, token 0 0.3, token 1 0.15, token 3 0.05. */
    private long sampled(double u, double temperature, int topK, double topP, double minP) {
        Matrix logits = Matrix.row(0.3, 0.15, 0.5, 0.05).map(Math::log);
        return call("sample", tensor(logits), vector((float) u), temperature, topK, topP, minP)
                .toLongArray()[0];
    }

    @Test
    @Of("sample")
    void uniformNumbersPickFromTheLikeliestOn() {
        assertThat(sampled(0.49, 1, 0, 1, 0)).isEqualTo(2);
        assertThat(sampled(0.51, 1, 0, 1, 0)).isZero();
        assertThat(sampled(0.81, 1, 0, 1, 0)).isEqualTo(1);
        assertThat(sampled(0.96, 1, 0, 1, 0)).isEqualTo(3);
        // Two are left, with 5 / 8 and 3 / 8: by their number, by their share, by their share of the likeliest's.
        for (double[] options : new double[][] {{2, 1, 0}, {0, 0.7, 0}, {0, 1, 0.5}}) {
            assertThat(sampled(0.62, 1, (int) options[0], options[1], options[2]))
                    .isEqualTo(2);
            assertThat(sampled(0.63, 1, (int) options[0], options[1], options[2]))
                    .isZero();
            assertThat(sampled(0.999, 1, (int) options[0], options[1], options[2]))
                    .isZero();
        }
        // A temperature of 1/2 squares the probabilities: 0.25 of 0.365 is the likeliest's.
        assertThat(sampled(0.68, 0.5, 0, 1, 0)).isEqualTo(2);
        assertThat(sampled(0.69, 0.5, 0, 1, 0)).isZero();
    }
}
