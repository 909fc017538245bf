package io.safelora.evaluation;

import java.math.BigDecimal;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Whether the last number of an answer has the value of the target's last number: 1 or 0. Where exact_match compares
 * characters, so that 5.0 is not 5, this compares values. Commas group digits, a point begins decimals; currency signs,
 * units and per cent signs do not count. A text without a number has none, and matches nothing.
 */
record NumericMatch() implements Metric.OfAnswer {
    /** A minus, a currency sign between it and the digits, digits with or without groups, decimals, an exponent. */
    private static final Pattern NUMBER =
            Pattern.compile("((?<![\\p{L}\\p{N}])[-\u2212])?\\p{Sc}?((?:[0-9]++(?:,[0-9]{2,"
                    + "3})*+)?(?:\\.[0-9]++)?)(?:[eE]([-+]?[0-9]{1,3})(?![0-9]))?");

    /** Nobody writes a number of more digits. */
    private static final int MAX_DIGITS = 100;

    @Override
    public boolean higherIsBetter() {
        return true;
    }

    @Override
    public double of(String answer, String target) {
        BigDecimal said = last(answer);
        BigDecimal right = last(target);
        return said != null && right != null && said.compareTo(right) == 0 ? 1 : 0;
    }

    /** The last number of a text; null if it has none. */
    static BigDecimal last(String text) {
        BigDecimal last = null;
        Matcher matcher = NUMBER.matcher(text);
        while (matcher.find()) {
            String digits = matcher.group(2).replace(",", "");
            if (!digits.isEmpty()) {
                String exponent = matcher.group(3) == null ? "" : "e" + matcher.group(3);
                last = digits.length() > MAX_DIGITS ? null : new BigDecimal(digits + exponent);
                last = last != null && matcher.group(1) != null ? last.negate() : last;
            }
        }
        return last;
    }
}
