package io.safelora.standalone.cli;

import io.safelora.contract.JobEvent.Score;
import io.safelora.evaluation.Scores;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/** The models by their scores, as a table for a terminal. */
final class ScoreTable {
    private ScoreTable() {}

    /**
     * One row per model, one column per task and metric. Shares are shown in per cent.
     *
     * @param warnings what a reader of the scores should know, below them; may be null
     */
    static String of(List<Score> scores, List<String> warnings) {
        Map<String, Map<String, Score>> rows = new LinkedHashMap<>();
        Set<String> columns = new LinkedHashSet<>();
        List<Score> shown = Scores.worthShowing(scores);
        for (Score score : shown) {
            String column = column(score, shown);
            columns.add(column);
            rows.computeIfAbsent(score.model(), m -> new LinkedHashMap<>()).put(column, score);
        }
        int first = Math.max(
                5, rows.keySet().stream().mapToInt(String::length).max().orElse(0));
        StringBuilder table = new StringBuilder(String.format("%-" + first + "s", "model"));
        columns.forEach(c -> table.append("  ").append(c));
        rows.forEach((model, cells) -> {
            table.append(String.format("%n%-" + first + "s", model));
            for (String column : columns) {
                String cell = cell(cells.get(column));
                table.append("  ")
                        .append(" ".repeat(Math.max(0, column.length() - cell.length())))
                        .append(cell);
            }
        });
        if (warnings != null) {
            warnings.forEach(warning -> table.append(String.format("%nwarning: %s", warning)));
        }
        return table.toString();
    }

    /** The judge is named where there are several. */
    private static String column(Score score, List<Score> scores) {
        boolean judges = scores.stream()
                        .filter(s -> s.task().equals(score.task()) && s.metric().equals(score.metric()))
                        .map(Score::label)
                        .distinct()
                        .count()
                > 1;
        return score.task() + " " + (judges ? score.label() : score.metric()) + (score.higherIsBetter() ? " ↑" : " ↓");
    }

    private static String cell(Score score) {
        if (score == null) {
            return "-";
        }
        return score.metric().equals("loss")
                ? String.format(Locale.ROOT, "%.4f of %d", score.value(), score.samples())
                : String.format(Locale.ROOT, "%.1f %% of %d", 100 * score.value(), score.samples());
    }
}
