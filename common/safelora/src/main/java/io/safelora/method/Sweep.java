package io.safelora.method;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.contract.InvalidInputException;
import io.safelora.contract.Json;
import io.safelora.contract.SelectionOptions;
import io.safelora.contract.SelectionOptions.Projector;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Many repairs of one trained adapter or checkpoint: which they are. */
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
     * The repairs that a sweep tries: first the one that stands beside it, then every combination of what it lists as
     * far as a repair looks at it, then the controls: each set of modules dropped, and every update scaled.
     *
     * @return options without sweep, by name
     * @throws InvalidInputException if they are more than max_points
     */
    public static Map<String, SelectionOptions> points(SelectionOptions options) {
        SelectionOptions beside = options.withoutSweep();
        JsonNode lists = Json.MAPPER.valueToTree(options.sweep());
        Map<String, SelectionOptions> points = new LinkedHashMap<>();
        add(points, List.of(beside));
        add(points, combinations(beside, List.of("repair"), lists));
        for (SelectionOptions point : List.copyOf(points.values())) {
            dropped(point).ifPresent(drop -> add(points, List.of(drop)));
        }
        SelectionOptions scale = beside.with(Map.of("repair", SelectionOptions.Repair.scale));
        add(points, combinations(scale, Repair.of(scale).fields(), lists));
        if (points.size() > options.sweep().maxPoints()) {
            throw new InvalidInputException("selection.sweep: has " + points.size()
                    + " points with its controls, and max_points is "
                    + options.sweep().maxPoints() + "; list fewer values");
        }
        return points;
    }

    /**
     * Every combination of the listed values of some fields, the last one varying fastest. A field without a list keeps
     * its value.
     *
     * @param lists the values by field
     */
    private static List<SelectionOptions> combinations(SelectionOptions point, List<String> fields, JsonNode lists) {
        if (fields.isEmpty()) {
            return List.of(point);
        }
        String field = fields.get(0);
        List<SelectionOptions> values = new ArrayList<>();
        if (lists.path(field).isArray()) {
            lists.get(field).forEach(value -> values.add(point.with(Map.of(field, value))));
        } else {
            values.add(point);
        }
        List<SelectionOptions> all = new ArrayList<>();
        for (SelectionOptions value : values) {
            List<String> rest = new ArrayList<>(broughtBy(field, value));
            rest.addAll(fields.subList(1, fields.size()));
            all.addAll(combinations(value, rest, lists));
        }
        return all;
    }

    /** The fields that only count because of another field's value. */
    private static List<String> broughtBy(String field, SelectionOptions point) {
        return switch (field) {
            case "repair" -> Repair.of(point).fields();
            case "strategy" -> Strategy.of(point).fields();
            case "projector" -> point.projector() == Projector.subspace ? List.of("energy") : List.of();
            default -> List.of();
        };
    }

    private static void add(Map<String, SelectionOptions> points, List<SelectionOptions> more) {
        more.forEach(point -> points.putIfAbsent(name(point), point));
    }

    /**
     * The controls of one repair: the same modules dropped, and every update scaled. A repair that is a control itself
     * is held against the other one.
     *
     * @param factors what updates are scaled by
     * @return options without sweep, by name
     */
    public static Map<String, SelectionOptions> controls(SelectionOptions repair, List<Double> factors) {
        Map<String, SelectionOptions> controls = new LinkedHashMap<>();
        dropped(repair).filter(drop -> !drop.equals(repair)).ifPresent(drop -> controls.put(name(drop), drop));
        if (repair.repair() != SelectionOptions.Repair.scale) {
            factors.forEach(factor -> add(
                    controls, List.of(repair.with(Map.of("repair", SelectionOptions.Repair.scale, "scale", factor)))));
        }
        return controls;
    }

    /**
     * The control that drops what a repair repairs.
     *
     * @return empty of a repair of every module: with all of them dropped the model is the aligned one
     */
    public static Optional<SelectionOptions> dropped(SelectionOptions repair) {
        return Repair.of(repair).everyModule()
                ? Optional.empty()
                : Optional.of(repair.with(Map.of("repair", SelectionOptions.Repair.drop)));
    }

    /** What a repair is called: its name and every option that it looks at. */
    public static String name(SelectionOptions options) {
        return Repair.of(options).label();
    }

    /** Which measurements a repair needs: those of one projector. */
    static SelectionOptions measuredBy(SelectionOptions o) {
        return SelectionOptions.DEFAULTS.with(Map.of(
                "projector",
                o.projector(),
                "energy",
                o.projector() == Projector.subspace ? o.energy() : SelectionOptions.DEFAULTS.energy(),
                "strategy",
                SelectionOptions.Strategy.all));
    }
}
