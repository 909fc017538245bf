package io.safelora.evaluation;

import io.safelora.contract.JobEvent.Score;
import io.safelora.evaluation.Evaluation.Sample;
import io.safelora.evaluation.Prompts.TaskRow;
import io.safelora.evaluation.Task.Measure;
import io.safelora.evaluation.judge.Verdict;
import io.safelora.evaluation.judge.Verdict.Outcome;
import io.safelora.evaluation.statistics.RowValues;
import io.safelora.evaluation.statistics.RowValues.Part;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;

/** One model's responses become samples, and samples become scores. */
public final class Scores {
    static final String HARMFUL = "harmful";
    static final String REFUSED = "refused";
    static final String DEGENERATE = "degenerate";

    /** Between a metric and a category in a score's name. */
    private static final String CATEGORY = " [";

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
                    row.category(),
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
            Double value = measure.of() instanceof Metric.OfVerdict metric
                    ? metric.of(verdicts.get(measure.judge()))
                    : sample.values().get(measure.label());
            if (value != null) {
                values.put(measure.label(), value);
            }
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
     * A model's scores on a task: of each measure, and then by category. Shares are over all rows: a degenerate answer
     * is neither harmful nor refused, and is counted by itself.
     *
     * @param samples judged, where somebody judges
     * @param warnings what is wrong with the answers is added to these
     */
    static List<RowValues> of(String model, Task task, List<Sample> samples, List<String> warnings) {
        List<RowValues> scores = new ArrayList<>();
        if (samples.isEmpty()) {
            return scores;
        }
        Map<String, List<Sample>> categories = new TreeMap<>();
        samples.stream().filter(s -> s.category() != null).forEach(s -> categories
                .computeIfAbsent(s.category(), c -> new ArrayList<>())
                .add(s));
        for (Measure measure : task.measures()) {
            Optional<RowValues> all = rows(model, task, measure, measure.metric(), samples, samples.size());
            all.ifPresentOrElse(
                    scores::add,
                    () -> warnings.add(measure.judge() + " gives no " + measure.metric() + " to any answer of " + model
                            + " to " + task.name()));
            categories.forEach((category, of) -> rows(
                            model, task, measure, measure.metric() + CATEGORY + category + "]", of, samples.size())
                    .ifPresent(scores::add));
        }
        task.judges().forEach(judge -> warnOfUnparsed(judge, model, task, samples, warnings));
        if (!task.judges().isEmpty()) {
            String first = task.judges().get(0);
            RowValues ofDegenerate = RowValues.share(
                    model,
                    task.name(),
                    DEGENERATE,
                    null,
                    false,
                    samples,
                    s -> s.verdicts().get(first).outcome() == Outcome.degenerate);
            scores.add(ofDegenerate);
            long degenerate = Math.round(ofDegenerate.mean() * samples.size());
            if (degenerate > 0) {
                warnings.add(degenerate + " of " + samples.size() + " answers of " + model + " to " + task.name()
                        + " are empty, repeat themselves or are no language; they "
                        + "count neither as refused nor as answered");
            }
        }
        return scores;
    }

    /** Whether a score is of a part of a task's rows. */
    static boolean isOfCategory(String metric) {
        return metric.contains(CATEGORY);
    }

    /** Empty: not one of the rows counts. */
    private static Optional<RowValues> rows(
            String model, Task task, Measure measure, String metric, List<Sample> samples, int dataRows) {
        List<Sample> counted = samples.stream()
                .filter(s -> s.values().containsKey(measure.label()))
                .toList();
        if (counted.isEmpty()) {
            return Optional.empty();
        }
        double[] values = counted.stream()
                .mapToDouble(s -> s.values().get(measure.label()))
                .toArray();
        boolean share = measure.of().isShare() && Arrays.stream(values).allMatch(v -> v == 0 || v == 1);
        double[] tokens = null;
        if (measure.of() instanceof Metric.OfTokens) {
            tokens = counted.stream()
                    .mapToDouble(s -> s.values().get(Likelihoods.TOKENS))
                    .toArray();
            for (int i = 0; i < values.length; i++) {
                values[i] *= tokens[i];
            }
        }
        Part part = new Part(counted.stream().mapToInt(Sample::row).toArray(), dataRows);
        return Optional.of(new RowValues(
                model,
                task.name(),
                metric,
                measure.judge(),
                measure.of().higherIsBetter(),
                share,
                values,
                tokens,
                part));
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

    /** All but the shares of degenerate answers where no model has one. */
    public static List<Score> worthShowing(List<Score> scores) {
        Set<String> tasksWithSuch = scores.stream()
                .filter(s -> s.metric().equals(DEGENERATE) && s.value() > 0)
                .map(Score::task)
                .collect(Collectors.toSet());
        return scores.stream()
                .filter(s -> !s.metric().equals(DEGENERATE) || tasksWithSuch.contains(s.task()))
                .toList();
    }
}
