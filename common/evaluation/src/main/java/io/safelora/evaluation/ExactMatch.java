package io.safelora.evaluation;

import io.safelora.contract.InvalidJobException;
import io.safelora.contract.TaskFile.MetricOptions;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;

/**
 * Whether an answer is the target, to the character: 1 or 0. What the options ignore is taken out of both before, in
 * lm-evaluation-harness's order.
 */
record ExactMatch(
        List<PythonRegex> regexesToIgnore, boolean ignoreCase, boolean ignorePunctuation, boolean ignoreNumbers)
        implements Metric.OfAnswer {
    /** Python's string.punctuation. */
    private static final Pattern PUNCTUATION = Pattern.compile("\\p{Punct}");

    private static final Pattern DIGITS = Pattern.compile("[0-9]");

    static ExactMatch of(MetricOptions options) {
        List<PythonRegex> ignored = new ArrayList<>();
        List<String> given = options.regexesToIgnore() == null ? List.of() : options.regexesToIgnore();
        for (int i = 0; i < given.size(); i++) {
            try {
                ignored.add(PythonRegex.of(given.get(i)));
            } catch (InvalidJobException e) {
                throw new InvalidJobException("regexes_to_ignore[" + i + "]: " + e.getMessage(), e);
            }
        }
        return new ExactMatch(
                ignored,
                Boolean.TRUE.equals(options.ignoreCase()),
                Boolean.TRUE.equals(options.ignorePunctuation()),
                Boolean.TRUE.equals(options.ignoreNumbers()));
    }

    @Override
    public boolean higherIsBetter() {
        return true;
    }

    @Override
    public double of(String answer, String target) {
        return compared(answer).equals(compared(target)) ? 1 : 0;
    }

    private String compared(String text) {
        String left = text;
        for (PythonRegex regex : regexesToIgnore) {
            left = regex.cutFrom(left);
        }
        left = ignoreCase ? left.toLowerCase(Locale.ROOT) : left;
        left = ignorePunctuation ? PUNCTUATION.matcher(left).replaceAll("") : left;
        return ignoreNumbers ? DIGITS.matcher(left).replaceAll("") : left;
    }
}
