package io.safelora.evaluation.report;

import com.fasterxml.jackson.annotation.JsonIgnore;
import io.safelora.contract.JobEvent.Score;
import io.safelora.evaluation.Evaluation.Result;
import io.safelora.evaluation.Scores;
import io.safelora.evaluation.statistics.Comparison;
import io.safelora.evaluation.statistics.RowValues;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * The models side by side.
 *
 * @param models in the order of the scores: aligned, fine-tuned, repairs
 * @param measures in the order of the job's tasks
 */
public record ScoreTable(List<Model> models, List<Measure> measures) {

    /** A model and what it is in the job. */
    public record Model(String name, Role role) {}

    /**
     * One metric of one task by one judge.
     *
     * @param judge null where the metric needs none
     * @param meaning what it measures, for those who do not know the names
     * @param share whether its values are shares of rows
     * @param comparisons of pairs of models
     */
    public record Measure(
            String task,
            String metric,
            String judge,
            Kind kind,
            String meaning,
            boolean share,
            boolean higherIsBetter,
            List<Cell> cells,
            List<Comparison> comparisons) {

        /** What a measure tells of. */
        public enum Kind {
            harm,
            over_refusal,
            degenerate,
            skill
        }

        boolean isOf(String task, String metric, String judge) {
            return this.task.equals(task) && this.metric.equals(metric) && Objects.equals(this.judge, judge);
        }

        Optional<Cell> of(String model) {
            return cells.stream().filter(c -> c.model().equals(model)).findFirst();
        }

        /** A model's value; null where there is none. */
        public Cell cell(String model) {
            return of(model).orElse(null);
        }

        /** How many rows it is over. */
        @JsonIgnore
        public int rows() {
            return cells.get(0).rows();
        }

        /** What the intervals are called; null where there are none. */
        @JsonIgnore
        public String interval() {
            return cells.stream()
                    .map(Cell::interval)
                    .filter(Objects::nonNull)
                    .findFirst()
                    .orElse(null);
        }

        Optional<Comparison> comparison(String model, String other) {
            return comparisons.stream()
                    .filter(c -> c.model().equals(model) && c.other().equals(other))
                    .findFirst();
        }
    }

    /**
     * A model's value of a measure.
     *
     * @param lower of its interval; null, as upper and interval, where the rows tell nothing of their spread
     * @param interval what the interval is called: "95 % Wilson interval"
     */
    public record Cell(String model, double value, Double lower, Double upper, String interval, int rows) {}

    /**
     * @param repaired the name of the repair that the job is about
     * @param comparisons of pairs of models, on the rows of the scores
     */
    static ScoreTable of(Result result, String repaired, List<Comparison> comparisons) {
        Set<String> controls = comparisons.stream()
                .filter(c -> c.model().equals(repaired))
                .map(Comparison::other)
                .collect(Collectors.toSet());
        Map<String, Model> models = new LinkedHashMap<>();
        Map<List<String>, List<Score>> byMeasure = new LinkedHashMap<>();
        for (Score score : Scores.worthShowing(result.scores())) {
            models.putIfAbsent(score.model(), new Model(score.model(), Role.of(score.model(), repaired, controls)));
            byMeasure
                    .computeIfAbsent(List.of(score.task(), score.label()), key -> new ArrayList<>())
                    .add(score);
        }
        return new ScoreTable(
                List.copyOf(models.values()),
                byMeasure.values().stream()
                        .map(scores -> measure(scores, result.rows(), comparisons))
                        .toList());
    }

    /** Those that stand side by side. */
    @JsonIgnore
    public List<Model> main() {
        return models.stream().filter(m -> m.role() != Role.other).toList();
    }

    /** A sweep's repairs that were not chosen. */
    @JsonIgnore
    public List<Model> others() {
        return models.stream().filter(m -> m.role() == Role.other).toList();
    }

    /** Whether there are models to compare. */
    @JsonIgnore
    public boolean compared() {
        return measures.stream().anyMatch(m -> !m.comparisons().isEmpty());
    }

    private static Measure measure(List<Score> scores, List<RowValues> rows, List<Comparison> comparisons) {
        Score first = scores.get(0);
        return new Measure(
                first.task(),
                first.metric(),
                first.judge(),
                kind(first.metric()),
                meaning(first.metric()),
                rows.stream()
                        .filter(r -> isOf(first, r.task(), r.metric(), r.judge()))
                        .allMatch(RowValues::share),
                first.higherIsBetter(),
                scores.stream()
                        .map(s -> new Cell(s.model(), s.value(), s.lower(), s.upper(), s.interval(), s.samples()))
                        .toList(),
                comparisons.stream()
                        .filter(c -> isOf(first, c.task(), c.metric(), c.judge()))
                        .toList());
    }

    private static boolean isOf(Score score, String task, String metric, String judge) {
        return score.task().equals(task) && score.metric().equals(metric) && Objects.equals(score.judge(), judge);
    }

    private static Measure.Kind kind(String metric) {
        return switch (metric) {
            case "harmful" -> Measure.Kind.harm;
            case "refused" -> Measure.Kind.over_refusal;
            case "empty", "degenerate" -> Measure.Kind.degenerate;
            default -> Measure.Kind.skill;
        };
    }

    /** @param metric with its filter where it has one: exact_match,strict-match */
    private static String meaning(String metric) {
        int filter = metric.indexOf(',');
        return filter < 0
                ? known(metric)
                : known(metric.substring(0, filter)) + " (" + metric.substring(filter + 1) + ")";
    }

    private static String known(String name) {
        return switch (name) {
            case "harmful" -> "Harmful requests answered";
            case "refused" -> "Harmless requests refused";
            case "empty" -> "Empty answers";
            case "degenerate" -> "Broken answers: empty, repetitive or nonsense";
            case "loss" -> "Loss on given answers";
            case "exact_match" -> "Right answers";
            case "acc", "acc_norm" -> "Right choices";
            case "rouge1", "rouge2", "rougeL" -> "Overlap with the given summary";
            default -> name;
        };
    }
}
