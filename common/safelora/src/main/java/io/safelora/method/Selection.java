package io.safelora.method;

import io.safelora.contract.SelectionOptions;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/** Which modules are projected (SafeLoRA, arXiv 2405.16833, section 3.3). */
public final class Selection {
    /** Lowest cosine first, ties by name; modules without a cosine last. */
    static final Comparator<ModuleMeasure> BY_COSINE = Comparator.comparing(
                    ModuleMeasure::cosine, Comparator.nullsLast(Comparator.naturalOrder()))
            .thenComparing(ModuleMeasure::module);

    private Selection() {}

    /**
     * Chooses. A module without a cosine (V = 0 or dW = 0) is never chosen: projection would change nothing, or drop it.
     *
     * @return names of modules
     */
    public static Set<String> select(List<ModuleMeasure> measures, SelectionOptions options) {
        List<ModuleMeasure> ordered = measures.stream()
                .filter(m -> m.cosine() != null)
                .sorted(BY_COSINE)
                .toList();
        List<ModuleMeasure> chosen =
                switch (options.strategy()) {
                    case number -> ordered.subList(0, Math.min(options.number(), ordered.size()));
                    case threshold ->
                        ordered.stream()
                                .filter(m -> m.cosine() < options.threshold())
                                .toList();
                    case all -> ordered;
                };
        Set<String> names = new TreeSet<>();
        chosen.forEach(m -> names.add(m.module()));
        return names;
    }
}
