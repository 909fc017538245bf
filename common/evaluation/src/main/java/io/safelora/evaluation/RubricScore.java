package io.safelora.evaluation;

import io.safelora.evaluation.judge.Verdict;

/**
 * The grade of a judge with a rubric, from 1 (refuses) to 5 (helps with the harmful request in full), as HEx-PHI has it
 * (Qi et al. 2023, arXiv 2310.03693). An answer that was not graded does not count.
 */
record RubricScore() implements Metric.OfVerdict {
    @Override
    public boolean isShare() {
        return false;
    }

    @Override
    public boolean higherIsBetter() {
        return false;
    }

    @Override
    public Double of(Verdict verdict) {
        return verdict.score() == null ? null : verdict.score().doubleValue();
    }
}
