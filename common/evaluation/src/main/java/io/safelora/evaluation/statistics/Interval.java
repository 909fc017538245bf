package io.safelora.evaluation.statistics;

import java.math.BigDecimal;
import java.math.RoundingMode;

/**
 * A confidence interval.
 *
 * @param lower in the unit of what was estimated
 * @param upper not below lower
 * @param confidence how often such intervals hold the true value, such as 0.95
 */
public record Interval(double lower, double upper, double confidence, Method method) {
    /** How an interval was computed; {@link #name} says all of it. */
    public enum Method {
        wilson("Wilson"),
        tango("Tango score"),
        bootstrap("BCa bootstrap"),
        paired_bootstrap("paired BCa bootstrap");

        private final String words;

        Method(String words) {
            this.words = words;
        }
    }

    /** "95 % Wilson interval": wherever an interval is printed, it is called by this. */
    public String name() {
        // 100 * 0.999 is not 99.9 in binary.
        BigDecimal percent = BigDecimal.valueOf(100 * confidence)
                .setScale(4, RoundingMode.HALF_UP)
                .stripTrailingZeros();
        return percent.toPlainString() + " % " + method.words + " interval";
    }

    /** The same of what is measured the other way round: the interval of -x. */
    public Interval negated() {
        return new Interval(-upper, -lower, confidence, method);
    }
}
