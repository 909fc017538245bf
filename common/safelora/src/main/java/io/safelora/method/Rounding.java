package io.safelora.method;

import io.safelora.artifacts.safetensors.Dtype;

/**
 * How much of V = W_aligned - W_base is rounding, as far as the rounded checkpoints tell.
 *
 * <p>Checkpoints are written rounded to nearest. An element that alignment changed by d, in a place where the numbers
 * of the format are one ulp (unit in the last place) apart, comes out changed by a multiple of the ulp: by the one
 * below d or the one above, with frac(d / ulp) as the probability of the latter, because where between two numbers of
 * the format the element lay before it was rounded is as good as random. So its change is d on average, with the
 * variance
 *
 * <pre>ulp^2 frac (1 - frac),</pre>
 *
 * whose mean is ulp^2 / 6 (both roundings' ulp^2 / 12) if d is many ulps, and |d| ulp if it is a small part of one:
 * then most elements come out equal, and some change by a whole ulp. With d normally distributed among the elements of
 * one exponent, for which ulp is the same, with standard deviation t ulp, the change has the mean square
 *
 * <pre>ulp^2 (t^2 + g(t)),     g(t) = 1/6 - sum over k >= 1 of exp(-2 (pi k t)^2) / (pi k)^2,</pre>
 *
 * t^2 being the change itself and g(t) its rounding (from the Fourier series of frac (1 - frac)). The mean square is
 * measured for every exponent and gives t and g(t); the energy of the rounding over all exponents, divided by |V|_F^2,
 * is the share. The cosine between V and the unrounded change is then sqrt(1 - share). On a real pair of 135 million
 * parameters, of whose elements two thirds come out equal, modules have shares of 0.42 to 0.49, and the cosine was
 * known to be 0.74.
 *
 * <p>If only one checkpoint has the coarser type, its rounding alone counts, ulp^2 / 12. Where the base was no rounded
 * number before it was stored (the aligned model was trained from the stored base) rounding is not random, and hides
 * changes below half an ulp rather than adding to them; the share is then too low for changes far below an ulp, where
 * next to all elements come out equal.
 *
 * <p>V is called mostly rounding if the share is a half or more: a cosine of 0.71 or less.
 */
final class Rounding {
    /** As many as a float32 can have. */
    static final int EXPONENTS = 256;

    private static final double MOSTLY = 0.5;

    private Rounding() {}

    /**
     * The share of |V|_F^2 that is rounding.
     *
     * @param coarse the coarser of the checkpoints' types
     * @param both whether both have that type
     * @param elements by biased float32 exponent of the base's element, how many there are
     * @param energies |V|_F^2 of these
     */
    static double share(Dtype coarse, boolean both, double[] elements, double[] energies) {
        double rounding = 0;
        double total = 0;
        for (int e = 0; e < EXPONENTS; e++) {
            if (energies[e] > 0) {
                double square = Math.pow(coarse.ulp(e - 127), 2);
                double mean = energies[e] / elements[e] / square;
                double variance = both ? variance(mean) : Math.min(mean, 1 / 12.0);
                rounding += variance * elements[e] * square;
                total += energies[e];
            }
        }
        return total == 0 ? 0 : rounding / total;
    }

    static boolean mostly(double share) {
        return share >= MOSTLY;
    }

    /** g(t) for the t with t^2 + g(t) = mean, by bisection, for the left side grows with t. */
    private static double variance(double mean) {
        double low = 0;
        double high = Math.sqrt(mean);
        for (int i = 0; i < 60; i++) {
            double t = (low + high) / 2;
            if (t * t + g(t) < mean) {
                low = t;
            } else {
                high = t;
            }
        }
        return g((low + high) / 2);
    }

    private static double g(double t) {
        if (t < 0.1) {
            // E |d| ulp - d^2: no change is a whole ulp. The series would need many terms here.
            return t * Math.sqrt(2 / Math.PI) - t * t;
        }
        double sum = 0;
        for (int k = 1; k <= 20; k++) {
            double pi = Math.PI * k;
            sum += StrictMath.exp(-2 * pi * pi * t * t) / (pi * pi);
        }
        return 1 / 6.0 - sum;
    }
}
