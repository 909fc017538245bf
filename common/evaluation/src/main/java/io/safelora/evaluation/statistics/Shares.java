package io.safelora.evaluation.statistics;

import io.safelora.evaluation.statistics.Interval.Method;
import java.util.function.DoubleUnaryOperator;
import org.apache.commons.statistics.distribution.BinomialDistribution;
import org.apache.commons.statistics.distribution.NormalDistribution;

/** Statistics of shares: how many of n rows have something. */
public final class Shares {
    private Shares() {}

    /**
     * Wilson's score interval of a share. Unlike the standard error it is not empty at 0 of n, where its upper end is
     * z^2 / (n + z^2).
     *
     * @param successes how many rows have it
     * @param rows n, at least 1
     * @param confidence above 0 and below 1
     */
    public static Interval wilson(int successes, int rows, double confidence) {
        if (rows < 1 || successes < 0 || successes > rows) {
            throw new IllegalArgumentException(successes + " of " + rows + " is not a share");
        }
        double z = z(confidence);
        double n = rows;
        double p = successes / n;
        double centre = (p + z * z / (2 * n)) / (1 + z * z / n);
        double half = z / (1 + z * z / n) * Math.sqrt(p * (1 - p) / n + z * z / (4 * n * n));
        return new Interval(
                successes == 0 ? 0 : Math.max(0, centre - half),
                successes == rows ? 1 : Math.min(1, centre + half),
                confidence,
                Method.wilson);
    }

    /**
     * Tango's score interval of the difference of two shares of the same rows, p1 - p2: all differences that the score
     * test does not reject.
     *
     * @param onlyFirst rows that the first has and the second has not
     * @param onlySecond the other way round
     * @param rows all rows, with those that both or neither have; at least 1
     */
    public static Interval difference(int onlyFirst, int onlySecond, int rows, double confidence) {
        if (rows < 1 || onlyFirst < 0 || onlySecond < 0 || onlyFirst + onlySecond > rows) {
            throw new IllegalArgumentException(
                    onlyFirst + " and " + onlySecond + " of " + rows + " are not discordant rows");
        }
        double z = z(confidence);
        double estimate = (onlyFirst - onlySecond) / (double) rows;
        DoubleUnaryOperator score = difference -> score(onlyFirst, onlySecond, rows, difference);
        return new Interval(
                onlySecond == rows ? -1 : root(d -> score.applyAsDouble(d) - z, -1, estimate),
                onlyFirst == rows ? 1 : root(d -> score.applyAsDouble(d) + z, estimate, 1),
                confidence,
                Method.tango);
    }

    /** Tango's statistic: (b - c - n d) over its standard deviation where the difference is d. It falls with d. */
    private static double score(double b, double c, double n, double d) {
        // The share of onlySecond that is most likely if the difference is d: a root of a quadratic equation.
        double linear = -b - c + (2 * n - b + c) * d;
        double constant = -c * d * (1 - d);
        double q = (Math.sqrt(Math.max(0, linear * linear - 8 * n * constant)) - linear) / (4 * n);
        double variance = n * (2 * q + d * (1 - d));
        double distance = b - c - n * d;
        return distance == 0 ? 0 : distance / Math.sqrt(Math.max(0, variance));
    }

    /** Where a falling function is 0, between two ends. */
    private static double root(DoubleUnaryOperator falling, double low, double high) {
        // 60 halvings of at most 2 are below the last bit of what they find.
        for (int i = 0; i < 60; i++) {
            double middle = (low + high) / 2;
            if (falling.applyAsDouble(middle) > 0) {
                low = middle;
            } else {
                high = middle;
            }
        }
        return (low + high) / 2;
    }

    /**
     * McNemar's exact test, two-sided: how likely discordant rows are divided at least as unevenly if the two shares
     * are equal.
     *
     * @param onlyFirst rows that the first has and the second has not
     * @param onlySecond the other way round
     * @return p; 1 if no row is discordant
     */
    public static double mcNemar(int onlyFirst, int onlySecond) {
        int discordant = onlyFirst + onlySecond;
        if (discordant == 0) {
            return 1;
        }
        double tail = BinomialDistribution.of(discordant, 0.5).cumulativeProbability(Math.min(onlyFirst, onlySecond));
        return Math.min(1, 2 * tail);
    }

    /** The normal quantile that leaves half of what is not covered on either side: 1.96 for 0.95. */
    private static double z(double confidence) {
        if (!(confidence > 0 && confidence < 1)) {
            throw new IllegalArgumentException("a confidence of " + confidence + " is not between 0 and 1");
        }
        return NormalDistribution.of(0, 1).inverseSurvivalProbability((1 - confidence) / 2);
    }
}
