package io.safelora.method;

import io.safelora.contract.SelectionOptions;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Which modules are repaired.
 *
 * <ul>
 *   <li>{@code number}, {@code threshold}: the K modules of lowest cosine, all below T (SafeLoRA, arXiv 2405.16833, section
 *       3.3).
 *   <li>{@code auto}: of an update's energy |dW|_F^2 the share 1 - cosine^2 lies outside of what alignment spans; chosen are
 *       the fewest modules, lowest cosine first, that hold {@value #MISALIGNED} of the sum of these shares. K follows from the
 *       cosines alone: it grows with the number of modules and leaves out only those that stand out by a high cosine, where a
 *       fixed K leaves out all beyond the K-th however misaligned. A cut between two groups (Otsu 1979) was tried and is
 *       worse: cosines form one broad group, and half a group left unrepaired keeps the harm.
 *   <li>{@code energy}: the fewest modules whose |V|_F^2 reach a share of all modules': where alignment changed most, it has
 *       most to lose. Looks at V alone, so it can choose before training.
 *   <li>{@code random}: a control.
 *   <li>{@code all}, narrowed down by {@code layers} and {@code modules}: a layer range, or names.
 * </ul>
 */
public final class Selection {
    /** How much of the modules' misaligned shares strategy auto repairs. */
    static final double MISALIGNED = 0.9;

    private static final Pattern LAYER = Pattern.compile("(?:^|\\.)(?:layers|h|blocks?)\\.(\\d{1,5})\\.");

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

    /** Lowest cosine first, ties by name; modules without a cosine last. */
    private static final Comparator<Candidate> BY_COSINE = Comparator.comparing(
                    Candidate::cosine, Comparator.nullsLast(Comparator.naturalOrder()))
            .thenComparing(Candidate::module);

    /**
     * Chooses. Strategies that look at cosines never choose a module without one (V = 0 or dW = 0): projection would change
     * nothing, or drop it.
     *
     * @return names of modules
     * @throws IllegalArgumentException if layers or modules name nothing that the adapter has
     */
    public static Set<String> select(Collection<Candidate> candidates, SelectionOptions options) {
        List<Candidate> allowed = narrowed(candidates, options);
        List<Candidate> ordered = allowed.stream()
                .filter(c -> !options.byCosine() || c.cosine() != null)
                .sorted(BY_COSINE)
                .toList();
        List<Candidate> chosen =
                switch (options.strategy()) {
                    case number -> ordered.subList(0, Math.min(options.number(), ordered.size()));
                    case threshold ->
                        ordered.stream()
                                .filter(c -> c.cosine() < options.threshold())
                                .toList();
                    case auto -> ordered.subList(0, mostMisaligned(ordered));
                    case energy -> mostEnergy(allowed, options.share());
                    case random -> random(allowed, options);
                    case all -> allowed;
                };
        return chosen.stream().map(Candidate::module).collect(Collectors.toCollection(TreeSet::new));
    }

    /** Those that {@code layers} and {@code modules} allow, by name. */
    static List<Candidate> narrowed(Collection<Candidate> candidates, SelectionOptions options) {
        List<Candidate> allowed = new ArrayList<>(candidates);
        if (options.layers() != null) {
            Predicate<String> layers = layers(options.layers());
            allowed.removeIf(c -> !layers.test(c.module()));
            if (allowed.isEmpty()) {
                throw new IllegalArgumentException("selection.layers: no adapted module is in layers "
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
                if (allowed.stream().noneMatch(c -> isCalled(c.module(), name))) {
                    throw new IllegalArgumentException("selection.modules: no adapted module's name ends with " + name
                            + "; there are "
                            + candidates.stream()
                                    .map(c -> c.module().substring(c.module().lastIndexOf('.') + 1))
                                    .collect(Collectors.toCollection(TreeSet::new)));
                }
            }
            allowed.removeIf(c -> options.modules().stream().noneMatch(name -> isCalled(c.module(), name)));
        }
        allowed.sort(Comparator.comparing(Candidate::module));
        return allowed;
    }

    private static boolean isCalled(String module, String name) {
        return module.equals(name) || module.endsWith("." + name);
    }

    /** "8-19" or "0,2,4-7" against the layer number in a module's name ({@code model.layers.7.mlp.up_proj}). */
    private static Predicate<String> layers(String ranges) {
        List<int[]> bounds = new ArrayList<>();
        for (String range : ranges.split(",")) {
            String[] ends = range.split("-");
            bounds.add(new int[] {Integer.parseInt(ends[0]), Integer.parseInt(ends[ends.length - 1])});
        }
        return module -> {
            Matcher matcher = LAYER.matcher(module);
            if (!matcher.find()) {
                return false;
            }
            int layer = Integer.parseInt(matcher.group(1));
            return bounds.stream().anyMatch(b -> b[0] <= layer && layer <= b[1]);
        };
    }

    /** How many of the lowest hold enough of all modules' misaligned shares. */
    private static int mostMisaligned(List<Candidate> ordered) {
        double total = ordered.stream().mapToDouble(Selection::misaligned).sum();
        double held = 0;
        int k = 0;
        while (k < ordered.size() && held < MISALIGNED * total) {
            held += misaligned(ordered.get(k++));
        }
        return k;
    }

    private static double misaligned(Candidate c) {
        return 1 - c.cosine() * c.cosine();
    }

    private static List<Candidate> mostEnergy(List<Candidate> allowed, double share) {
        List<Candidate> ordered = new ArrayList<>(allowed);
        ordered.sort(Comparator.comparingDouble((Candidate c) -> -c.deltaNorm()).thenComparing(Candidate::module));
        double total = ordered.stream().mapToDouble(Selection::energy).sum();
        double held = 0;
        int k = 0;
        while (k < ordered.size() && held < share * total) {
            held += energy(ordered.get(k++));
        }
        return ordered.subList(0, k);
    }

    private static double energy(Candidate c) {
        return c.deltaNorm() * c.deltaNorm();
    }

    private static List<Candidate> random(List<Candidate> allowed, SelectionOptions options) {
        List<Candidate> shuffled = new ArrayList<>(allowed);
        Collections.shuffle(shuffled, new Random(options.seed()));
        return shuffled.subList(0, Math.min(options.number(), shuffled.size()));
    }
}
