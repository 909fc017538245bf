package io.safelora.standalone.cli;

import io.safelora.contract.JobEvent.Score;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/** The models by their scores, as a table for a terminal. */
final class ScoreTable {
    private ScoreTable() {}

    /** One row per model, one column per task and metric. Shares are shown in per cent. */
    static String of(List<Score> scores) {
        Map<String, Map<String, Score>> rows = new LinkedHashMap<>();
        Set<String> columns = new LinkedHashSet<>();
        for (Score score : scores) {
            String column = score.task() + " " + score.metric() + (score.higherIsBetter() ? " ↑" : " ↓");
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
                Score score = cells.get(column);
                String cell = score == null
                        ? "-"
                        : score.metric().equals("loss")
                                ? String.format(Locale.ROOT, "%.4f of %d", score.value(), score.samples())
                                : String.format(Locale.ROOT, "%.1f %% of %d", 100 * score.value(), score.samples());
                table.append("  ")
                        .append(" ".repeat(Math.max(0, column.length() - cell.length())))
                        .append(cell);
            }
        });
        return table.toString();
    }
}
