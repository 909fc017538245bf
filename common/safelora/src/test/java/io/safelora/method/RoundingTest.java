package io.safelora.method;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.safelora.artifacts.safetensors.Dtype;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The share of rounding against changes that are really rounded: a multiple of the ulp, random as the class says. */
class RoundingTest {
    /** Of numbers in [1, 2). */
    private static final double ULP = Math.scalb(1.0, -7);

    private static final int N = 400_000;

    @ParameterizedTest
    @ValueSource(doubles = {0.004, 0.05, 0.3, 1, 4})
    void equalsWhatRoundingAddsToANormalChange(double t) {
        Random random = new Random(1);
        double energy = 0;
        double change = 0;
        for (int i = 0; i < N; i++) {
            double d = t * random.nextGaussian();
            double rounded = Math.floor(d) + (random.nextDouble() < d - Math.floor(d) ? 1 : 0);
            energy += rounded * rounded;
            change += d * d;
        }
        double share = share(Dtype.BF16, true, energy * ULP * ULP);
        assertThat(share).isCloseTo(1 - change / energy, within(0.02));
        assertThat(Rounding.mostly(share)).isEqualTo(t < 0.5);
    }

    /** E |d| ulp = t sqrt(2 / pi) ulp^2 is all there is to measure then, and t^2 ulp^2 of it is the change. */
    @Test
    void ofChangesFarBelowAnUlpNearlyAllIsRounding() {
        double mean = 0.01;
        assertThat(share(Dtype.BF16, true, mean * N * ULP * ULP)).isCloseTo(1 - mean * Math.PI / 2, within(1e-9));
    }

    @Test
    void ofOneRoundedCheckpointATwelfthOfAnUlpSquaredIs() {
        assertThat(share(Dtype.BF16, false, 0.5 * N * ULP * ULP)).isCloseTo(1 / 6.0, within(1e-12));
        assertThat(share(Dtype.BF16, false, N * ULP * ULP / 24)).isEqualTo(1);
        assertThat(share(Dtype.BF16, true, 0)).isZero();
    }

    @Test
    void theUlpIsTheTypes() {
        double mean = 0.01;
        double ulp16 = Math.scalb(1.0, -10);
        double ulp32 = Math.scalb(1.0, -23);
        assertThat(share(Dtype.F16, true, mean * N * ulp16 * ulp16)).isCloseTo(1 - mean * Math.PI / 2, within(1e-9));
        assertThat(share(Dtype.F32, true, mean * N * ulp32 * ulp32)).isCloseTo(1 - mean * Math.PI / 2, within(1e-9));
    }

    @Test
    void aHalfIsMostly() {
        assertThat(Rounding.mostly(0.5)).isTrue();
        assertThat(Rounding.mostly(Math.nextDown(0.5))).isFalse();
    }

    /** All elements in [1, 2). */
    private static double share(Dtype type, boolean both, double energy) {
        double[] elements = new double[Rounding.EXPONENTS];
        double[] energies = new double[Rounding.EXPONENTS];
        elements[127] = N;
        energies[127] = energy;
        return Rounding.share(type, both, elements, energies);
    }
}
