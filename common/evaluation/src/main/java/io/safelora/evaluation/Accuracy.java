package io.safelora.evaluation;

import java.util.List;

/**
 * Whether the likeliest choice is the right one: 1 or 0.
 *
 * @param normalized whether a choice's log p is divided by its characters (lm-evaluation-harness's acc_norm), so that a
 *     long one has no disadvantage
 */
record Accuracy(boolean normalized) implements Metric.OfChoice {
    @Override
    public boolean higherIsBetter() {
        return true;
    }

    @Override
    public double of(double[] logprobs, List<String> choices, int gold) {
        int best = 0;
        for (int i = 1; i < logprobs.length; i++) {
            best = value(i, logprobs, choices) > value(best, logprobs, choices) ? i : best;
        }
        return best == gold ? 1 : 0;
    }

    private double value(int i, double[] logprobs, List<String> choices) {
        String choice = choices.get(i);
        return normalized ? logprobs[i] / choice.codePointCount(0, choice.length()) : logprobs[i];
    }
}
