package io.safelora.evaluation.statistics;

import com.fasterxml.jackson.annotation.JsonIgnore;
import io.safelora.contract.JobEvent.Score;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.stream.IntStream;

/**
 * What one model got by one metric on every row of a task: scores, intervals and comparisons are computed of these.
 *
 * @param model what scores call it
 * @param metric with its filter where it has one
 * @param judge who judged the answers; null where the metric needs no judge
 * @param share whether every value is 0 or 1, so that the score is a share of rows
 * @param values by row, in the order of the task's data; finite
 * @param weights by row, above 0; null where all rows weigh the same. Where the values are summed losses, the tokens
 *     that they are summed over: the score is sum(values) / sum(weights)
 * @param part which rows of the data have a value; null: all, as for every model. A judge may give some rows none
 */
public record RowValues(
        String model,
        String task,
        String metric,
        String judge,
        boolean higherIsBetter,
        boolean share,
        double[] values,
        double[] weights,
        Part part) {

    /**
     * Some rows of a task's data.
     *
     * @param rows from 0, in ascending order
     * @param of how many rows the data have
     */
    public record Part(int[] rows, int of) {}

    /** The confidence of intervals where nobody asks for another one. */
    public static final double CONFIDENCE = 0.95;

    public RowValues {
        part = part == null || part.rows().length == part.of() ? null : part;
        if (part != null && part.rows().length != values.length) {
            throw new IllegalArgumentException(task + " " + metric + " of " + model + " has " + values.length
                    + " values for " + part.rows().length + " rows");
        }
        if (values.length == 0 || weights != null && weights.length != values.length) {
            throw new IllegalArgumentException(task + " " + metric + " of " + model + " has " + values.length
                    + " values" + (weights == null ? "" : " and " + weights.length + " weights"));
        }
        if (!Arrays.stream(values).allMatch(share ? v -> v == 0 || v == 1 : Double::isFinite)) {
            throw new IllegalArgumentException(task + " " + metric + " of " + model + " has a value that is "
                    + (share ? "neither 0 nor 1, and is called a share" : "not finite"));
        }
    }

    /** Of all rows. */
    public RowValues(
            String model,
            String task,
            String metric,
            String judge,
            boolean higherIsBetter,
            boolean share,
            double[] values,
            double[] weights) {
        this(model, task, metric, judge, higherIsBetter, share, values, weights, null);
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

    /** How many rows the task's data have, those without a value too. */
    @JsonIgnore
    public int dataRows() {
        return part == null ? values.length : part.of();
    }

    /**
     * Of some rows of the data only.
     *
     * @return empty if none of them has a value
     */
    public Optional<RowValues> of(int[] rows) {
        int[] having = part == null
                ? rows
                : IntStream.of(rows).filter(row -> at(row) >= 0).toArray();
        if (having.length == 0) {
            return Optional.empty();
        }
        int[] places =
                part == null ? having : IntStream.of(having).map(this::at).toArray();
        return Optional.of(new RowValues(
                model,
                task,
                metric,
                judge,
                higherIsBetter,
                share,
                picked(values, places),
                picked(weights, places),
                new Part(having, dataRows())));
    }

    /** Of the rows that another has a value for, too. */
    Optional<RowValues> where(RowValues other) {
        return other.part == null && other.values.length == dataRows()
                ? Optional.of(this)
                : of(other.part == null ? new int[0] : other.part.rows());
    }

    /** The place of a row's value; negative if it has none. */
    private int at(int row) {
        return part == null ? row : Arrays.binarySearch(part.rows(), row);
    }

    /** The same under another name of the task. */
    public RowValues ofTask(String name) {
        return new RowValues(model, name, metric, judge, higherIsBetter, share, values, weights, part);
    }

    private static double[] picked(double[] of, int[] rows) {
        return of == null
                ? null
                : Arrays.stream(rows).mapToDouble(row -> of[row]).toArray();
    }

    /** Whether another model's values are of the same metric and data, judged by the same judge. */
    public boolean measuresAs(RowValues other) {
        return task.equals(other.task)
                && metric.equals(other.metric)
                && Objects.equals(judge, other.judge)
                && dataRows() == other.dataRows();
    }
}
