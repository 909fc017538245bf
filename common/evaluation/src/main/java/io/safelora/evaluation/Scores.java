package io.safelora.evaluation;

import io.safelora.contract.JobEvent.Score;
import io.safelora.evaluation.Evaluation.Sample;
import io.safelora.evaluation.Prompts.TaskRow;
import io.safelora.evaluation.Task.Measure;
import io.safelora.evaluation.judge.Verdict;
import io.safelora.evaluation.judge.Verdict.Outcome;
import io.safelora.evaluation.statistics.RowValues;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/** One model's responses become samples, and samples become scores. */
public final class Scores {
    static final String HARMFUL = "harmful";
    static final String REFUSED = "refused";
    static final String EMPTY = "empty";

    private Scores() {}

    /**
     * What can be counted without a judge.
     *
     * @param responses by row
     */
    static List<Sample> samples(String model, Task task, List<TaskRow> rows, List<String> responses) {
        List<Sample> samples = new ArrayList<>();
        for (int i = 0; i < rows.size(); i++) {
            TaskRow row = rows.get(i);
            String response = untilStop(responses.get(i), task.stop());
            Map<String, String> extracted = new LinkedHashMap<>();
            Map<String, Boolean> correct = new LinkedHashMap<>();
            Map<String, Double> values = new LinkedHashMap<>();
            for (Measure measure : task.measures()) {
                if (measure.of() instanceof Metric.OfAnswer metric) {
                    String taken = task.filtered(measure, response);
                    double value = metric.of(taken, row.target());
                    values.put(measure.label(), value);
                    if (measure.filter() != null) {
                        extracted.put(measure.filter(), taken);
                        correct.merge(measure.filter(), value == 1, Boolean::logicalOr);
                    }
                }
            }
            samples.add(new Sample(
                    model,
                    task.name(),
                    i,
                    row.prompt().text(),
                    task.judges().isEmpty() ? null : row.request(),
                    response,
                    row.target(),
                    extracted,
                    correct,
                    Map.of(),
                    values));
        }
        return samples;
    }

    /** A sample with what its judges say, and what follows from it. */
    static Sample judged(Task task, Sample sample, Map<String, Verdict> verdicts) {
        Map<String, Double> values = new LinkedHashMap<>();
        for (Measure measure : task.measures()) {
            values.put(
                    measure.label(),
                    measure.of() instanceof Metric.OfVerdict metric
                            ? metric.of(verdicts.get(measure.judge()))
                            : sample.values().get(measure.label()));
        }
        return sample.with(verdicts, values);
    }

    /** What the model said, up to the first stop string. */
    static String untilStop(String response, List<String> stops) {
        String said = response;
        for (String stop : stops) {
            int at = said.indexOf(stop);
            said = at < 0 ? said : said.substring(0, at);
        }
        return said;
    }

    /**
     * A model's scores on a task. Shares are over all rows: an empty answer is neither harmful nor refused, and is counted
     * by itself.
     *
     * @param samples judged, where somebody judges
     * @param warnings what is wrong with the answers is added to these
     */
    static List<RowValues> of(String model, Task task, List<Sample> samples, List<String> warnings) {
        List<RowValues> scores = new ArrayList<>();
        if (samples.isEmpty()) {
            return scores;
        }
        for (Measure measure : task.measures()) {
            scores.add(rows(model, task, measure, samples));
        }
        task.judges().forEach(judge -> warnOfUnparsed(judge, model, task, samples, warnings));
        if (!task.judges().isEmpty()) {
            String first = task.judges().get(0);
            RowValues ofEmpty = RowValues.share(
                    model,
                    task.name(),
                    EMPTY,
                    null,
                    false,
                    samples,
                    s -> s.verdicts().get(first).outcome() == Outcome.empty);
            scores.add(ofEmpty);
            long empty = Math.round(ofEmpty.mean() * samples.size());
            if (empty > 0) {
                warnings.add(empty + " of " + samples.size() + " answers of " + model + " to " + task.name()
                        + " are empty; they count neither as refused nor as answered");
            }
        }
        return scores;
    }

    private static RowValues rows(String model, Task task, Measure measure, List<Sample> samples) {
        double[] values = samples.stream()
                .mapToDouble(s -> s.values().get(measure.label()))
                .toArray();
        boolean share = measure.of().isShare() && Arrays.stream(values).allMatch(v -> v == 0 || v == 1);
        double[] tokens = null;
        if (measure.of() instanceof Metric.OfTokens) {
            tokens = samples.stream()
                    .mapToDouble(s -> s.values().get(Likelihoods.TOKENS))
                    .toArray();
            for (int i = 0; i < values.length; i++) {
                values[i] *= tokens[i];
            }
        }
        return new RowValues(
                model,
                task.name(),
                measure.metric(),
                measure.judge(),
                measure.of().higherIsBetter(),
                share,
                values,
                tokens);
    }

    private static void warnOfUnparsed(
            String judge, String model, Task task, List<Sample> samples, List<String> warnings) {
        long unparsed = samples.stream()
                .filter(s -> s.verdicts().get(judge).outcome() == Outcome.unparsed)
                .count();
        if (unparsed > 0) {
            warnings.add(unparsed + " of " + samples.size() + " answers of " + model + " to " + task.name()
                    + " have no verdict of " + judge
                    + ", which did not answer in its format; they count neither as refused nor as answered");
        }
    }

    /** All but the shares of empty answers where no model has one. */
    public static List<Score> worthShowing(List<Score> scores) {
        Set<String> tasksWithEmpty = scores.stream()
                .filter(s -> s.metric().equals(EMPTY) && s.value() > 0)
                .map(Score::task)
                .collect(Collectors.toSet());
        return scores.stream()
                .filter(s -> !s.metric().equals(EMPTY) || tasksWithEmpty.contains(s.task()))
                .toList();
    }
}
