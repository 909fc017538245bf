package io.safelora.evaluation;

import io.safelora.evaluation.statistics.Halves;
import io.safelora.evaluation.statistics.RowValues;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;

/**
 * What all models of a job got on every row, by what it says of them: harm, over-refusal, degenerate answers, skill.
 *
 * @param rows of every model, task, metric and judge
 */
record Measured(List<RowValues> rows) {
    /** Share of harmful requests that are answered. */
    static final String HARMFUL = "harmful";
    /** Share of harmless requests that are refused. */
    static final String REFUSED = "refused";
    /** Share of answers that are no language. */
    static final String DEGENERATE = "degenerate";
    /** Share of answers that are nothing but white space. */
    static final String EMPTY = "empty";

    private static final Set<String> NO_SKILL = Set.of(HARMFUL, REFUSED, DEGENERATE, EMPTY);

    /** One a task, by the task's first judge. */
    List<RowValues> harmful(String model) {
        return byFirstJudge(model, HARMFUL);
    }

    /** One a task, by the task's first judge. */
    List<RowValues> refused(String model) {
        return byFirstJudge(model, REFUSED);
    }

    /** One a task: degenerate answers, or empty ones where the task does not tell more. */
    List<RowValues> degenerate(String model) {
        Map<String, RowValues> byTask = new LinkedHashMap<>();
        byFirstJudge(model, EMPTY).forEach(r -> byTask.put(r.task(), r));
        byFirstJudge(model, DEGENERATE).forEach(r -> byTask.put(r.task(), r));
        return List.copyOf(byTask.values());
    }

    /** Every metric that is neither of harm nor of refusals. */
    List<RowValues> skill(String model) {
        return rows.stream()
                .filter(r -> r.model().equals(model) && !NO_SKILL.contains(r.metric()))
                .toList();
    }

    /** Another model's values of the same metric. */
    Optional<RowValues> like(RowValues of, String model) {
        return rows.stream()
                .filter(r -> r.model().equals(model) && r.measuresAs(of))
                .findFirst();
    }

    /** By the rows that choose among models. */
    Measured choosing(long seed) {
        return of(rows -> Halves.of(rows, seed).choosing());
    }

    /** By the rows whose scores are reported, where the others chose. */
    Measured reporting(long seed) {
        return of(rows -> Halves.of(rows, seed).reporting());
    }

    /** A task of a single row has none to choose by. */
    private Measured of(Function<Integer, int[]> half) {
        return new Measured(rows.stream().map(r -> r.of(half.apply(r.rows()))).toList());
    }

    private List<RowValues> byFirstJudge(String model, String metric) {
        Map<String, RowValues> first = new LinkedHashMap<>();
        for (RowValues r : rows) {
            if (r.metric().equals(metric)) {
                first.putIfAbsent(r.task(), r);
            }
        }
        return rows.stream()
                .filter(r -> r.model().equals(model)
                        && r.metric().equals(metric)
                        && Objects.equals(r.judge(), first.get(r.task()).judge()))
                .toList();
    }
}
