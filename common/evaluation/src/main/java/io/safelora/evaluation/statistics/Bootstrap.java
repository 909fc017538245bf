package io.safelora.evaluation.statistics;

import io.safelora.evaluation.statistics.Interval.Method;
import java.util.Arrays;
import java.util.Optional;
import java.util.Random;
import org.apache.commons.statistics.distribution.NormalDistribution;

/**
 * The bias-corrected and accelerated bootstrap (Efron 1987) of a mean over rows: the rows are drawn with replacement,
 * some thousand times. The draws are those of {@link Random}, whose numbers Java specifies, so that the interval is the
 * same everywhere.
 */
public final class Bootstrap {
    static final int RESAMPLES = 5000;

    /** So few rows have hardly any resamples that differ, and the interval would be too narrow. */
    static final int MIN_ROWS = 8;

    private static final long SEED = 42;
    private static final NormalDistribution NORMAL = NormalDistribution.of(0, 1);

    private Bootstrap() {}

    /**
     * The interval of sum(values) / sum(weights).
     *
     * @param values by row
     * @param weights by row, above 0; the tokens of a row's answer where the value is their summed loss
     * @return empty where rows tell nothing of their spread: they are fewer than 8, or all alike
     */
    public static Optional<Interval> mean(double[] values, double[] weights, double confidence) {
        return interval(new double[][] {values}, new double[][] {weights}, confidence, Method.bootstrap);
    }

    /**
     * The interval of the first mean minus the second, of the same rows: both are computed of the same resamples.
     *
     * @return empty as for {@link #mean}
     */
    public static Optional<Interval> difference(
            double[] first, double[] firstWeights, double[] second, double[] secondWeights, double confidence) {
        return interval(
                new double[][] {first, second},
                new double[][] {firstWeights, secondWeights},
                confidence,
                Method.paired_bootstrap);
    }

    private static Optional<Interval> interval(
            double[][] values, double[][] weights, double confidence, Method method) {
        int n = values[0].length;
        if (n < MIN_ROWS) {
            return Optional.empty();
        }
        int models = values.length;
        double[] sums = new double[models];
        double[] totals = new double[models];
        for (int m = 0; m < models; m++) {
            sums[m] = Arrays.stream(values[m]).sum();
            totals[m] = Arrays.stream(weights[m]).sum();
        }
        double estimate = statistic(sums, totals);
        double[] distribution = new double[RESAMPLES];
        Random random = new Random(SEED);
        for (int i = 0; i < RESAMPLES; i++) {
            double[] sum = new double[models];
            double[] total = new double[models];
            for (int k = 0; k < n; k++) {
                int row = random.nextInt(n);
                for (int m = 0; m < models; m++) {
                    sum[m] += values[m][row];
                    total[m] += weights[m][row];
                }
            }
            distribution[i] = statistic(sum, total);
        }
        Arrays.sort(distribution);
        double z = NORMAL.inverseSurvivalProbability((1 - confidence) / 2);
        double bias = bias(distribution, estimate);
        double acceleration = acceleration(values, weights, sums, totals);
        double lower = quantile(distribution, NORMAL.cumulativeProbability(adjusted(bias, acceleration, -z)));
        double upper = quantile(distribution, NORMAL.cumulativeProbability(adjusted(bias, acceleration, z)));
        return lower < upper ? Optional.of(new Interval(lower, upper, confidence, method)) : Optional.empty();
    }

    /** The mean, or the difference of two. */
    private static double statistic(double[] sums, double[] totals) {
        double first = sums[0] / totals[0];
        return sums.length == 1 ? first : first - sums[1] / totals[1];
    }

    /** The normal quantile of the share of resamples below the estimate, those equal to it counted half. */
    private static double bias(double[] sorted, double estimate) {
        long below = Arrays.stream(sorted).filter(x -> x < estimate).count();
        long notAbove = Arrays.stream(sorted).filter(x -> x <= estimate).count();
        return NORMAL.inverseCumulativeProbability((below + notAbove) / (2.0 * sorted.length));
    }

    /** Of the jackknife: a sixth of the skewness of what the statistic is without one row each. */
    private static double acceleration(double[][] values, double[][] weights, double[] sums, double[] totals) {
        int n = values[0].length;
        double[] without = new double[n];
        for (int row = 0; row < n; row++) {
            double[] sum = sums.clone();
            double[] total = totals.clone();
            for (int m = 0; m < sum.length; m++) {
                sum[m] -= values[m][row];
                total[m] -= weights[m][row];
            }
            without[row] = statistic(sum, total);
        }
        double mean = Arrays.stream(without).sum() / n;
        double squares = 0;
        double cubes = 0;
        for (double x : without) {
            squares += (mean - x) * (mean - x);
            cubes += (mean - x) * (mean - x) * (mean - x);
        }
        return squares == 0 ? 0 : cubes / (6 * Math.pow(squares, 1.5));
    }

    private static double adjusted(double bias, double acceleration, double z) {
        return bias + (bias + z) / (1 - acceleration * (bias + z));
    }

    /** Linear between two resamples, as numpy.percentile. */
    private static double quantile(double[] sorted, double p) {
        double at = p * (sorted.length - 1);
        // Where all resamples lie on one side of the estimate, p is not a number.
        if (!(at >= 0 && at <= sorted.length - 1)) {
            return Double.NaN;
        }
        int below = (int) at;
        double above = sorted[Math.min(below + 1, sorted.length - 1)];
        return sorted[below] + (at - below) * (above - sorted[below]);
    }
}
