package io.safelora.evaluation.report;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.checkpoint.ModuleName;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * The modules of the adapter or checkpoint: what selection saw of them, and what it took. All that is in
 * selection.json, and of alignment.json the modules that the adapter has not.
 *
 * @param modules in the order of selection.json, the lowest cosine first
 * @param cosine how the cosines differ; null where there are fewer than two
 * @param energy how the alignment energies differ
 * @param outside share of the update's squared norm that lies where no repair reaches; null where unknown
 */
public record Modules(List<Module> modules, Spread cosine, Spread energy, Double outside) {
    private static final int MAX_NUMBERS = 600;

    /**
     * One module.
     *
     * @param layer null outside of the decoder layers
     * @param kind the name inside of the layer: self_attn.q_proj
     * @param selected whether the repair changed it
     * @param cosine between the fine-tuning's update and its projection; null where there is none
     * @param shrinkage norm of the repaired update over that before the repair; null where there is none
     * @param energy norm of the alignment's change of the weight over the weight's norm; null where unknown
     */
    public record Module(
            String name,
            Integer layer,
            String kind,
            boolean selected,
            Double cosine,
            Double shrinkage,
            Double energy) {}

    /**
     * Where values differ: the shares of their variance that means over the kinds of modules, and over the layers,
     * explain.
     *
     * @param betweenKinds eta squared, 0 to 1; null, as betweenLayers, where all values are alike
     */
    public record Spread(double min, double max, Double betweenKinds, Double betweenLayers) {
        /** Whether the kinds explain more than half, and more than the layers do. */
        @JsonIgnore
        public boolean byKind() {
            return betweenKinds != null && betweenKinds > 0.5 && betweenKinds > betweenLayers;
        }

        static Spread of(List<Module> modules, Function<Module, Double> value) {
            List<Module> known = modules.stream()
                    .filter(m -> m.layer() != null && value.apply(m) != null)
                    .toList();
            if (known.size() < 2) {
                return null;
            }
            double mean = known.stream().mapToDouble(value::apply).average().orElse(0);
            double total = known.stream()
                    .mapToDouble(m -> square(value.apply(m) - mean))
                    .sum();
            return new Spread(
                    known.stream().mapToDouble(value::apply).min().orElse(0),
                    known.stream().mapToDouble(value::apply).max().orElse(0),
                    total == 0 ? null : between(known, Module::kind, value, mean) / total,
                    total == 0 ? null : between(known, Module::layer, value, mean) / total);
        }

        private static double between(
                List<Module> modules, Function<Module, Object> group, Function<Module, Double> value, double mean) {
            Map<Object, List<Double>> groups = modules.stream()
                    .collect(Collectors.groupingBy(
                            group, LinkedHashMap::new, Collectors.mapping(value, Collectors.toList())));
            return groups.values().stream()
                    .mapToDouble(g -> g.size()
                            * square(g.stream()
                                            .mapToDouble(Double::doubleValue)
                                            .average()
                                            .orElse(mean)
                                    - mean))
                    .sum();
        }

        private static double square(double x) {
            return x * x;
        }
    }

    /**
     * @param selection selection.json
     * @param alignment alignment.json
     */
    static Modules of(JsonNode selection, JsonNode alignment) {
        Map<String, Double> energies = new LinkedHashMap<>();
        alignment.path("modules").forEach(m -> energies.put(m.path("module").asText(), number(m.path("relative"))));
        Map<String, Module> modules = new LinkedHashMap<>();
        for (JsonNode module : selection.path("modules")) {
            String name = module.path("module").asText();
            Double energy = number(module.path("relative"));
            modules.put(
                    name,
                    module(
                            name,
                            module.path("selected").asBoolean(),
                            number(module.path("cosine")),
                            number(module.path("shrinkage")),
                            energy == null ? energies.get(name) : energy));
        }
        energies.forEach((name, energy) -> modules.putIfAbsent(name, module(name, false, null, null, energy)));
        List<Module> all = List.copyOf(modules.values());
        return new Modules(
                all,
                Spread.of(all, Module::cosine),
                Spread.of(all, Module::energy),
                number(selection.path("outside").path("share")));
    }

    /** How many the repair changed. */
    @JsonIgnore
    public int selected() {
        return (int) modules.stream().filter(Module::selected).count();
    }

    /** How many the adapter has. */
    @JsonIgnore
    public int adapted() {
        return (int) modules.stream().filter(m -> m.shrinkage() != null).count();
    }

    /** The layers' numbers, each with its modules by kind. */
    Map<Integer, Map<String, Module>> byLayer() {
        Map<Integer, Map<String, Module>> layers = new TreeMap<>();
        modules.stream().filter(m -> m.layer() != null).forEach(m -> layers.computeIfAbsent(
                        m.layer(), layer -> new LinkedHashMap<>())
                .put(m.kind(), m));
        return layers;
    }

    /** Those that the page has the numbers of. */
    @JsonIgnore
    public List<Module> numbers() {
        return modules.subList(0, Math.min(MAX_NUMBERS, modules.size()));
    }

    private static Module module(String name, boolean selected, Double cosine, Double shrinkage, Double energy) {
        ModuleName module = new ModuleName(name);
        return new Module(name, module.layer(), module.inLayer(), selected, cosine, shrinkage, energy);
    }

    private static Double number(JsonNode node) {
        return node.isNumber() && Double.isFinite(node.asDouble()) ? node.asDouble() : null;
    }
}
