package io.safelora.evaluation.statistics;

import com.fasterxml.jackson.annotation.JsonIgnore;
import java.util.Optional;

/**
 * Two models on the same rows. What they have in common on a row cancels, so that a paired interval tells models apart
 * which the intervals of their scores do not.
 *
 * @param model whose score is the first
 * @param other whose score is subtracted
 * @param rows how many rows both were measured on
 * @param difference the score of model minus the score of other, in the metric's own unit
 * @param lower of the difference; null, as upper, where the rows tell nothing of its spread
 * @param interval what the interval is: "95 % Tango score interval" of shares, "95 % paired BCa bootstrap interval" of
 *     means
 * @param p of McNemar's exact test, two-sided; null for a metric that is not a share
 */
public record Comparison(
        String model,
        String other,
        String task,
        String metric,
        String judge,
        boolean higherIsBetter,
        int rows,
        double difference,
        Double lower,
        Double upper,
        String interval,
        Double p) {

    /**
     * Compares two models on the rows that both have a value for.
     *
     * @return empty if there is no such row
     * @throws IllegalArgumentException if they are not of the same metric and data
     */
    public static Optional<Comparison> of(RowValues model, RowValues other, double confidence) {
        if (!model.measuresAs(other)) {
            throw new IllegalArgumentException(model.model() + " and " + other.model() + " are not comparable: "
                    + model.task() + " " + model.metric() + " on " + model.dataRows() + " rows, " + other.task() + " "
                    + other.metric() + " on " + other.dataRows());
        }
        return model.where(other).flatMap(of -> other.where(of).map(also -> ofSameRows(of, also, confidence)));
    }

    private static Comparison ofSameRows(RowValues model, RowValues other, double confidence) {
        Interval interval;
        Double p = null;
        if (model.share()) {
            int onlyModel = 0;
            int onlyOther = 0;
            for (int row = 0; row < model.rows(); row++) {
                onlyModel += model.values()[row] > other.values()[row] ? 1 : 0;
                onlyOther += model.values()[row] < other.values()[row] ? 1 : 0;
            }
            interval = Shares.difference(onlyModel, onlyOther, model.rows(), confidence);
            p = Shares.mcNemar(onlyModel, onlyOther);
        } else {
            interval = Bootstrap.difference(
                            model.values(), model.weightsOrOnes(), other.values(), other.weightsOrOnes(), confidence)
                    .orElse(null);
        }
        return new Comparison(
                model.model(),
                other.model(),
                model.task(),
                model.metric(),
                model.judge(),
                model.higherIsBetter(),
                model.rows(),
                model.mean() - other.mean(),
                interval == null ? null : interval.lower(),
                interval == null ? null : interval.upper(),
                interval == null ? null : interval.name(),
                p);
    }

    /** Whether the model is better than the other, by more than chance. */
    @JsonIgnore
    public boolean better() {
        return lower != null && (higherIsBetter ? lower > 0 : upper < 0);
    }

    /** Whether the model is worse than the other, by more than chance. */
    @JsonIgnore
    public boolean worse() {
        return lower != null && (higherIsBetter ? upper < 0 : lower > 0);
    }
}
