package io.safelora.method;

import io.safelora.artifacts.checkpoint.ModuleName;
import io.safelora.contract.InvalidInputException;
import io.safelora.contract.SelectionOptions;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.stream.Collectors;

/**
 * Which modules are repaired: those that a {@link Strategy} chooses of those that {@code layers} and {@code modules}
 * allow.
 */
public final class Selection {
    /**
     * Raised whenever the same options and updates choose other modules, or say more of them: results are kept under
     * it.
     */
    public static final int VERSION = 4;

    private Selection() {}

    /**
     * A module that may be chosen.
     *
     * @param cosine null before training, or where it is undefined (V = 0 or dW = 0)
     * @param deltaNorm |V|_F
     */
    public record Candidate(String module, Double cosine, double deltaNorm) {
        /** After training. */
        public static List<Candidate> of(Collection<ModuleMeasure> measures) {
            return measures.stream()
                    .map(m -> new Candidate(m.module(), m.cosine(), m.deltaNorm()))
                    .toList();
        }
    }

    /** Whether choosing needs the trained update, so that it can only happen after training. */
    public static boolean needsUpdate(SelectionOptions options) {
        return options.sweep() != null
                || options.byCosine() && !Repair.of(options).everyModule();
    }

    /**
     * Chooses. Strategies that look at cosines never choose a module without one (V = 0 or dW = 0): projection would
     * change nothing, or drop it.
     *
     * @return names of modules
     * @throws InvalidInputException if layers or modules name nothing that the adapter has
     */
    public static Set<String> select(Collection<Candidate> candidates, SelectionOptions options) {
        List<Candidate> allowed = narrowed(candidates, options).stream()
                .filter(c -> !options.byCosine() || c.cosine() != null)
                .toList();
        return Strategy.of(options).choose(allowed).stream()
                .map(Candidate::module)
                .collect(Collectors.toCollection(TreeSet::new));
    }

    /**
     * The modules that the repair is for: the chosen ones, or all.
     *
     * @param modules those that fine-tuning changed, by name
     */
    static Set<String> affected(Set<String> modules, Set<String> selected, SelectionOptions options) {
        Set<String> affected = new TreeSet<>(modules);
        if (!Repair.of(options).everyModule()) {
            affected.retainAll(selected);
        }
        return affected;
    }

    /** Those that {@code layers} and {@code modules} allow, by name. */
    static List<Candidate> narrowed(Collection<Candidate> candidates, SelectionOptions options) {
        List<Candidate> allowed = new ArrayList<>(candidates);
        if (options.layers() != null) {
            Predicate<Integer> layers = layers(options.layers());
            allowed.removeIf(c -> !layers.test(name(c).layer()));
            if (allowed.isEmpty()) {
                throw new InvalidInputException("selection.layers: no adapted module is in layers "
                        + options.layers() + "; the adapter has "
                        + candidates.stream()
                                .map(Candidate::module)
                                .sorted()
                                .limit(3)
                                .toList() + ", ...");
            }
        }
        if (options.modules() != null) {
            for (String name : options.modules()) {
                if (allowed.stream().noneMatch(c -> name(c).isCalled(name))) {
                    throw new InvalidInputException("selection.modules: no adapted module's name ends with " + name
                            + "; there are "
                            + candidates.stream()
                                    .map(c -> name(c).bare())
                                    .collect(Collectors.toCollection(TreeSet::new)));
                }
            }
            allowed.removeIf(c -> !name(c).isCalledAny(options.modules()));
        }
        allowed.sort(Comparator.comparing(Candidate::module));
        return allowed;
    }

    private static ModuleName name(Candidate candidate) {
        return new ModuleName(candidate.module());
    }

    /** "8-19" or "0,2,4-7"; a module outside of the layers is in none of them. */
    private static Predicate<Integer> layers(String ranges) {
        List<int[]> bounds = new ArrayList<>();
        for (String range : ranges.split(",")) {
            String[] ends = range.split("-");
            bounds.add(new int[] {Integer.parseInt(ends[0]), Integer.parseInt(ends[ends.length - 1])});
        }
        return layer -> layer != null && bounds.stream().anyMatch(b -> b[0] <= layer && layer <= b[1]);
    }
}
