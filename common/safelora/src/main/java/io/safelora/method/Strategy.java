package io.safelora.method;

import io.safelora.contract.SelectionOptions;
import io.safelora.method.Selection.Candidate;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.function.ToDoubleFunction;

/** How modules are chosen for repair, one record a strategy. */
sealed interface Strategy {
    /** The strategy that a job's selection names, with its options. */
    static Strategy of(SelectionOptions selection) {
        return switch (selection.strategy()) {
            case number -> new Lowest(selection.number());
            case threshold -> new Below(selection.threshold());
            case auto -> new Misaligned();
            case energy -> new Energy(selection.share());
            case random -> new AtRandom(selection.number(), selection.seed());
            case all -> new All();
        };
    }

    /** What tables call it, with its options. */
    String label();

    /** The fields of a job's selection that it looks at: what a sweep varies, in this order. */
    List<String> fields();

    /** @param candidates sorted by name; where the strategy looks at cosines, all have one */
    List<Candidate> choose(List<Candidate> candidates);

    /** {@code number}: the K modules of lowest cosine (SafeLoRA, arXiv 2405.16833, section 3.3). */
    record Lowest(int k) implements Strategy {
        @Override
        public String label() {
            return "lowest " + k;
        }

        @Override
        public List<String> fields() {
            return List.of("number");
        }

        @Override
        public List<Candidate> choose(List<Candidate> candidates) {
            return byCosine(candidates).subList(0, Math.min(k, candidates.size()));
        }
    }

    /** {@code threshold}: all modules whose cosine is below T (section 3.3 there). */
    record Below(double threshold) implements Strategy {
        @Override
        public String label() {
            return "below " + Labels.number(threshold);
        }

        @Override
        public List<String> fields() {
            return List.of("threshold");
        }

        @Override
        public List<Candidate> choose(List<Candidate> candidates) {
            return candidates.stream().filter(c -> c.cosine() < threshold).toList();
        }
    }

    /**
     * {@code auto}: of an update's energy |dW|_F^2 the share 1 - cosine^2 lies outside of what alignment spans; chosen are the fewest
     * modules, lowest cosine first, that hold {@value #SHARE} of the sum of these shares. So K follows from the cosines alone: it grows
     * with the number of modules, and leaves out only those that stand out by a high cosine. Cosines form one broad group, so a cut
     * between two groups (Otsu 1979) leaves half of it unrepaired, and the harm with it.
     */
    record Misaligned() implements Strategy {
        static final double SHARE = 0.9;

        @Override
        public String label() {
            return "auto";
        }

        @Override
        public List<String> fields() {
            return List.of();
        }

        @Override
        public List<Candidate> choose(List<Candidate> candidates) {
            return fewest(byCosine(candidates), c -> 1 - c.cosine() * c.cosine(), SHARE);
        }
    }

    /**
     * {@code energy}: the fewest modules whose |V|_F^2 reach a share of all modules': where alignment changed most, it has most to lose.
     * Looks at V alone, so it can choose before training.
     */
    record Energy(double share) implements Strategy {
        @Override
        public String label() {
            return "energy " + Labels.number(share);
        }

        @Override
        public List<String> fields() {
            return List.of("share");
        }

        @Override
        public List<Candidate> choose(List<Candidate> candidates) {
            List<Candidate> ordered = new ArrayList<>(candidates);
            ordered.sort(
                    Comparator.comparingDouble((Candidate c) -> -c.deltaNorm()).thenComparing(Candidate::module));
            return fewest(ordered, c -> c.deltaNorm() * c.deltaNorm(), share);
        }
    }

    /** {@code random}: a control. */
    record AtRandom(int k, long seed) implements Strategy {
        @Override
        public String label() {
            return "random " + k + " seed " + seed;
        }

        @Override
        public List<String> fields() {
            return List.of("number", "seed");
        }

        @Override
        public List<Candidate> choose(List<Candidate> candidates) {
            List<Candidate> shuffled = new ArrayList<>(candidates);
            Collections.shuffle(shuffled, new Random(seed));
            return shuffled.subList(0, Math.min(k, shuffled.size()));
        }
    }

    /** {@code all} that layers and modules allow. */
    record All() implements Strategy {
        @Override
        public String label() {
            return "all";
        }

        @Override
        public List<String> fields() {
            return List.of();
        }

        @Override
        public List<Candidate> choose(List<Candidate> candidates) {
            return candidates;
        }
    }

    /** Lowest cosine first, ties by name. */
    private static List<Candidate> byCosine(List<Candidate> candidates) {
        List<Candidate> ordered = new ArrayList<>(candidates);
        ordered.sort(Comparator.comparing(Candidate::cosine).thenComparing(Candidate::module));
        return ordered;
    }

    /** The first of {@code ordered} that together hold {@code share} of the sum. */
    private static List<Candidate> fewest(List<Candidate> ordered, ToDoubleFunction<Candidate> of, double share) {
        double total = ordered.stream().mapToDouble(of).sum();
        double held = 0;
        int k = 0;
        while (k < ordered.size() && held < share * total) {
            held += of.applyAsDouble(ordered.get(k++));
        }
        return ordered.subList(0, k);
    }
}
