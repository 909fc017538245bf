package io.safelora.evaluation.statistics;

import com.fasterxml.jackson.annotation.JsonIgnore;
import io.safelora.contract.JobEvent.Score;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Predicate;

/**
 * What one model got by one metric on every row of a task: scores, intervals and comparisons are computed of these.
 *
 * @param model what scores call it
 * @param metric with its filter where it has one
 * @param judge who judged the answers; null where the metric needs no judge
 * @param share whether every value is 0 or 1, so that the score is a share of rows
 * @param values by row, in the order of the task's data, the same rows for every model; finite
 * @param weights by row, above 0; null where all rows weigh the same. Where the values are summed losses, the tokens that they
 *     are summed over: the score is sum(values) / sum(weights)
 */
public record RowValues(
        String model,
        String task,
        String metric,
        String judge,
        boolean higherIsBetter,
        boolean share,
        double[] values,
        double[] weights) {

    /** The confidence of intervals where nobody asks for another one. */
    public static final double CONFIDENCE = 0.95;

    public RowValues {
        if (values.length == 0 || weights != null && weights.length != values.length) {
            throw new IllegalArgumentException(task + " " + metric + " of " + model + " has " + values.length
                    + " values" + (weights == null ? "" : " and " + weights.length + " weights"));
        }
        if (!Arrays.stream(values).allMatch(share ? v -> v == 0 || v == 1 : Double::isFinite)) {
            throw new IllegalArgumentException(task + " " + metric + " of " + model + " has a value that is "
                    + (share ? "neither 0 nor 1, and is called a share" : "not finite"));
        }
    }

    /** A metric that a row has or has not: its score is a share. */
    public static <R> RowValues share(
            String model,
            String task,
            String metric,
            String judge,
            boolean higherIsBetter,
            List<R> rows,
            Predicate<R> counted) {
        double[] values =
                rows.stream().mapToDouble(row -> counted.test(row) ? 1 : 0).toArray();
        return new RowValues(model, task, metric, judge, higherIsBetter, true, values, null);
    }

    /** How many rows there are. */
    @JsonIgnore
    public int rows() {
        return values.length;
    }

    /** The score. */
    @JsonIgnore
    public double mean() {
        return Arrays.stream(values).sum() / Arrays.stream(weightsOrOnes()).sum();
    }

    /** How many rows of a share count. */
    int count() {
        return (int) Arrays.stream(values).sum();
    }

    double[] weightsOrOnes() {
        if (weights != null) {
            return weights;
        }
        double[] ones = new double[values.length];
        Arrays.fill(ones, 1);
        return ones;
    }

    /**
     * Wilson's interval of a share, a bootstrap's of another mean.
     *
     * @return empty where the rows tell nothing of their spread; never for a share
     */
    public Optional<Interval> interval(double confidence) {
        return share
                ? Optional.of(Shares.wilson(count(), rows(), confidence))
                : Bootstrap.mean(values, weightsOrOnes(), confidence);
    }

    /** The score as events have it, with its interval. */
    public Score score(double confidence) {
        Interval interval = interval(confidence).orElse(null);
        return new Score(
                model,
                task,
                metric,
                mean(),
                rows(),
                higherIsBetter,
                judge,
                interval == null ? null : interval.lower(),
                interval == null ? null : interval.upper(),
                interval == null ? null : interval.confidence(),
                interval == null ? null : interval.name());
    }

    /** Of some rows only. */
    public RowValues of(int[] rows) {
        return new RowValues(
                model, task, metric, judge, higherIsBetter, share, picked(values, rows), picked(weights, rows));
    }

    /** The same under another name of the task. */
    public RowValues ofTask(String name) {
        return new RowValues(model, name, metric, judge, higherIsBetter, share, values, weights);
    }

    private static double[] picked(double[] of, int[] rows) {
        return of == null
                ? null
                : Arrays.stream(rows).mapToDouble(row -> of[row]).toArray();
    }

    /** Whether another model's values are of the same metric, judged by the same judge. */
    public boolean measuresAs(RowValues other) {
        return task.equals(other.task) && metric.equals(other.metric) && Objects.equals(judge, other.judge);
    }
}
