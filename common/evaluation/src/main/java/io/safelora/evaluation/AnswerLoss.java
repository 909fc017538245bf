package io.safelora.evaluation;

import java.util.stream.DoubleStream;

/**
 * The mean of -log p over the tokens of given answers and their end token, in nats: what fine-tuning minimises, on
 * held-out rows. It moves where hardly any question is solved, and so ranks what exact match cannot tell apart.
 */
record AnswerLoss() implements Metric.OfTokens {
    static final String METRIC = "loss";

    @Override
    public boolean higherIsBetter() {
        return false;
    }

    @Override
    public boolean isShare() {
        return false;
    }

    @Override
    public double of(double[] logprobs) {
        return -DoubleStream.of(logprobs).sum() / logprobs.length;
    }
}
