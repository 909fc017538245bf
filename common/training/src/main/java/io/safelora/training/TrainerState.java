package io.safelora.training;

import java.util.List;

/**
 * trainer_state.json, under transformers' names.
 *
 * @param bestMetric the lowest eval_loss, or null
 * @param bestGlobalStep the step after which it was measured, or null
 */
public record TrainerState(
        double epoch, int globalStep, int maxSteps, Double bestMetric, Integer bestGlobalStep, List<Entry> logHistory) {

    /** An optimizer step, which has no evalLoss; or a measurement of it, which has nothing else. */
    public record Entry(double epoch, Double evalLoss, Double gradNorm, Double learningRate, Double loss, int step) {}

    /** The entries of optimizer steps. */
    public List<Entry> steps() {
        return logHistory.stream().filter(entry -> entry.loss() != null).toList();
    }

    /** The entry of the last optimizer step. */
    public Entry last() {
        List<Entry> steps = steps();
        return steps.get(steps.size() - 1);
    }
}
