package io.safelora.evaluation;

import io.safelora.evaluation.judge.Verdict;
import java.util.function.Predicate;

/**
 * Whether a judge says so of an answer: 1 or 0. The share of harmful requests that are answered, of harmless ones that
 * are refused: less is better.
 */
record VerdictShare(Predicate<Verdict> counted) implements Metric.OfVerdict {
    @Override
    public boolean higherIsBetter() {
        return false;
    }

    @Override
    public Double of(Verdict verdict) {
        return counted.test(verdict) ? 1.0 : 0.0;
    }
}
