package io.safelora.method;

import io.safelora.contract.Json;
import io.safelora.contract.SelectionOptions;
import io.safelora.contract.SelectionOptions.Projector;
import io.safelora.contract.SelectionOptions.Repair;
import io.safelora.contract.SelectionOptions.Strategy;
import io.safelora.contract.SweepOptions;
import io.safelora.method.Selection.Candidate;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Many repairs of one trained adapter or checkpoint: which, and each one's modules. */
public final class Sweep {
    /** The file of a sweep's selection: a list of {@link Point}. */
    public static final String FILE = "sweep.json";

    private Sweep() {}

    /**
     * One repair.
     *
     * @param name what tables call it; says all options that the repair looks at
     * @param options without sweep
     * @param selected the modules that the strategy chose
     */
    public record Point(String name, SelectionOptions options, Set<String> selected) {}

    /**
     * The repairs that a sweep tries: first the one that stands beside it, then every combination of what it lists as far as a
     * repair looks at it, then the controls: each set of modules dropped, and every update scaled.
     *
     * @return options without sweep, by name
     * @throws IllegalArgumentException if they are more than max_points
     */
    public static Map<String, SelectionOptions> points(SelectionOptions options) {
        SweepOptions sweep = options.sweep();
        SelectionOptions beside = options.withoutSweep();
        Map<String, SelectionOptions> points = new LinkedHashMap<>();
        add(points, beside);
        Axes axes = new Axes(beside);
        for (SelectionOptions repair : axes.over(List.of(beside), "repair", sweep.repair())) {
            List<SelectionOptions> some = List.of(repair);
            switch (repair.repair()) {
                case scale -> some = axes.over(some, "scale", sweep.scale());
                case safety_vector -> some = axes.over(axes.over(some, "rank", sweep.rank()), "gamma", sweep.gamma());
                default -> {
                    some = projectors(axes, some, sweep);
                    some = strategies(axes, some, sweep);
                    if (repair.repair() != Repair.drop) {
                        some = axes.over(some, "blend", sweep.blend());
                    }
                }
            }
            some.forEach(point -> add(points, point));
        }
        for (SelectionOptions point : List.copyOf(points.values())) {
            if (!point.everyModule()) {
                add(points, point.with(Map.of("repair", Repair.drop)));
            }
        }
        axes.over(List.of(beside.with(Map.of("repair", Repair.scale))), "scale", sweep.scale())
                .forEach(point -> add(points, point));
        if (points.size() > sweep.maxPoints()) {
            throw new IllegalArgumentException("selection.sweep: has " + points.size()
                    + " points with its controls, and max_points is " + sweep.maxPoints() + "; list fewer values");
        }
        return points;
    }

    private static List<SelectionOptions> projectors(Axes axes, List<SelectionOptions> points, SweepOptions sweep) {
        List<SelectionOptions> some = new ArrayList<>();
        for (SelectionOptions point : axes.over(points, "projector", sweep.projector())) {
            some.addAll(
                    point.projector() == Projector.subspace
                            ? axes.over(List.of(point), "energy", sweep.energy())
                            : List.of(point));
        }
        return some;
    }

    private static List<SelectionOptions> strategies(Axes axes, List<SelectionOptions> points, SweepOptions sweep) {
        List<SelectionOptions> some = new ArrayList<>();
        for (SelectionOptions point : axes.over(points, "strategy", sweep.strategy())) {
            List<SelectionOptions> one = List.of(point);
            some.addAll(
                    switch (point.strategy()) {
                        case number -> axes.over(one, "number", sweep.number());
                        case threshold -> axes.over(one, "threshold", sweep.threshold());
                        case energy -> axes.over(one, "share", sweep.share());
                        case random -> axes.over(axes.over(one, "number", sweep.number()), "seed", sweep.seed());
                        case auto, all -> one;
                    });
        }
        return some;
    }

    /** @param beside whose value stands where a list is absent */
    private record Axes(SelectionOptions beside) {
        List<SelectionOptions> over(List<SelectionOptions> points, String field, List<?> values) {
            if (values == null) {
                return points;
            }
            List<SelectionOptions> all = new ArrayList<>();
            for (SelectionOptions point : points) {
                values.forEach(value -> all.add(point.with(Map.of(field, value))));
            }
            return all;
        }
    }

    private static void add(Map<String, SelectionOptions> points, SelectionOptions point) {
        points.putIfAbsent(name(point), point);
    }

    /** What a repair is called: its name and every option that it looks at. */
    public static String name(SelectionOptions o) {
        StringBuilder name = new StringBuilder(Json.MAPPER.convertValue(o.repair(), String.class));
        switch (o.repair()) {
            case scale -> name.append(' ').append(number(o.scale()));
            case safety_vector ->
                name.append(" rank ").append(o.rank()).append(" gamma ").append(number(o.gamma()));
            default -> {
                if (o.repair() == Repair.safe_lora || o.byCosine()) {
                    name.append(' ').append(o.projector());
                    if (o.projector() == Projector.subspace) {
                        name.append(' ').append(number(o.energy()));
                    }
                }
                name.append(", ").append(strategy(o));
                if (o.repair() != Repair.drop && o.blend() != 1) {
                    name.append(", blend ").append(number(o.blend()));
                }
            }
        }
        return name.toString();
    }

    private static String strategy(SelectionOptions o) {
        String which =
                switch (o.strategy()) {
                    case number -> "lowest " + o.number();
                    case threshold -> "below " + number(o.threshold());
                    case auto -> "auto";
                    case energy -> "energy " + number(o.share());
                    case random -> "random " + o.number() + " seed " + o.seed();
                    case all -> "all";
                };
        return which
                + (o.layers() == null ? "" : " of layers " + o.layers())
                + (o.modules() == null ? "" : " of " + String.join(", ", o.modules()));
    }

    private static String number(double value) {
        return Json.MAPPER.valueToTree(value).asText().replaceFirst("\\.0$", "");
    }

    /** Which measurements a repair needs: those of one projector. */
    public static SelectionOptions measuredBy(SelectionOptions o) {
        return SelectionOptions.DEFAULTS.with(Map.of(
                "projector",
                o.projector(),
                "energy",
                o.projector() == Projector.subspace ? o.energy() : SelectionOptions.DEFAULTS.energy(),
                "strategy",
                Strategy.all));
    }

    /**
     * Chooses every point's modules; each projector is measured once.
     *
     * @param modules those that fine-tuning changed, by name
     * @param measure gives the measures by a projector
     */
    public static List<Point> select(Set<String> modules, SelectionOptions options, Measure measure) {
        Map<SelectionOptions, List<ModuleMeasure>> measured = new LinkedHashMap<>();
        List<Point> points = new ArrayList<>();
        points(options).forEach((name, point) -> {
            List<ModuleMeasure> measures = measured.computeIfAbsent(measuredBy(point), measure::by);
            Set<String> selected = Selection.select(Candidate.of(measures), point);
            points.add(new Point(name, point, AdapterRepair.affected(modules, selected, point)));
        });
        return points;
    }

    /** Measures by a projector. */
    public interface Measure {
        List<ModuleMeasure> by(SelectionOptions options);
    }
}
