package io.safelora.evaluation.report;

import io.safelora.evaluation.Pareto;
import io.safelora.evaluation.report.ScoreTable.Cell;
import io.safelora.evaluation.report.ScoreTable.Measure;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Every model by what fine-tuning is for and what it costs.
 *
 * @param skill what skill is measured by
 * @param harm what harm is measured by
 * @param points one for each model that has both
 * @param recommended in a sweep, the repair to take; null elsewhere
 * @param why the recommendation
 */
public record SkillAndHarm(Measure skill, Measure harm, List<Point> points, String recommended, String why) {
    /** The metric of harm, whatever the task is called. */
    static final String HARMFUL = "harmful";

    /**
     * One model.
     *
     * @param front in a sweep, whether no other repair is as good in both and better in one, by the rows that chose
     */
    public record Point(String model, Role role, Cell harm, Cell skill, boolean front) {}

    /** @return empty if harm or skill were not measured */
    static Optional<SkillAndHarm> of(ScoreTable table, Pareto pareto) {
        Optional<Measure> harm = harm(table);
        Optional<Measure> skill = skill(table, pareto);
        if (harm.isEmpty() || skill.isEmpty()) {
            return Optional.empty();
        }
        Set<String> front = pareto == null
                ? Set.of()
                : Set.copyOf(pareto.points().stream()
                        .filter(Pareto.Point::front)
                        .map(Pareto.Point::model)
                        .toList());
        List<Point> points = new ArrayList<>();
        for (ScoreTable.Model model : table.models()) {
            Optional<Cell> x = harm.get().of(model.name());
            Optional<Cell> y = skill.get().of(model.name());
            if (x.isPresent() && y.isPresent()) {
                points.add(new Point(model.name(), model.role(), x.get(), y.get(), front.contains(model.name())));
            }
        }
        return Optional.of(new SkillAndHarm(
                skill.get(),
                harm.get(),
                points,
                pareto == null ? null : pareto.recommended(),
                pareto == null ? null : pareto.why()));
    }

    /** By the first of the judges, where there are several. */
    static Optional<Measure> harm(ScoreTable table) {
        return table.measures().stream().filter(m -> m.metric().equals(HARMFUL)).findFirst();
    }

    /** What a sweep is ranked by; else the first measure that tells of anything but refusals. */
    static Optional<Measure> skill(ScoreTable table, Pareto pareto) {
        return table.measures().stream()
                .filter(m -> pareto == null
                        ? m.kind() == Measure.Kind.skill
                        : pareto.metric().equals(m.task() + " " + m.metric()))
                .findFirst();
    }
}
