package io.safelora.method;

import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.contract.Json;
import io.safelora.contract.SelectionOptions;
import io.safelora.contract.SelectionOptions.Projector;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Set;

/**
 * selection.json: what was chosen, by what, and the numbers of every module, the lowest cosine first.
 *
 * @param selected the modules whose updates are repaired, the lowest cosine first
 * @param medianShrinkage median of |C dW|_F / |dW|_F over the selected modules; absent if there are none
 * @param warning what the numbers mean where they are easily misread
 * @param outside how much of the update no repair can touch
 * @param carried what the adapter has beside these modules, which no repair touches; absent if there is nothing
 */
public record SelectionReport(
        SelectionOptions options,
        List<String> selected,
        Double medianShrinkage,
        String warning,
        Outside outside,
        List<String> carried,
        List<Measured> modules) {

    public static final String FILE = "selection.json";

    /** One module; see {@link ModuleMeasure}. */
    public record Measured(
            String module,
            boolean selected,
            Double cosine,
            double shift,
            double shrinkage,
            double deltaNorm,
            double relative,
            Double spectral,
            Integer rank,
            boolean identity) {}

    /**
     * The report of a selection.
     *
     * @param carried see {@link FineTuned#carried}
     * @param outside see {@link FineTuned#outside}
     */
    public static SelectionReport of(
            Checkpoint base,
            Checkpoint aligned,
            List<ModuleMeasure> measures,
            Set<String> selected,
            SelectionOptions options,
            List<String> carried,
            Outside outside) {
        List<Measured> modules = measures.stream()
                .map(m -> new Measured(
                        m.module(),
                        selected.contains(m.module()),
                        m.cosine(),
                        m.shift(),
                        m.shrinkage(),
                        m.deltaNorm(),
                        m.relative(),
                        m.spectral(),
                        m.rank(),
                        m.identity()))
                .sorted(Comparator.comparing(Measured::cosine, Comparator.nullsLast(Comparator.naturalOrder()))
                        .thenComparing(Measured::module))
                .toList();
        List<Double> shrinkages = modules.stream()
                .filter(Measured::selected)
                .map(Measured::shrinkage)
                .sorted()
                .toList();
        Double median = shrinkages.isEmpty() ? null : shrinkages.get(shrinkages.size() / 2);
        List<String> warnings = new ArrayList<>();
        Ancestry.warning(
                        base,
                        aligned,
                        measures.stream().map(ModuleMeasure::relative).toList())
                .ifPresent(warnings::add);
        String note = median == null ? null : Repair.of(options).note(median);
        if (note != null) {
            warnings.add(note);
        }
        long unchanged = modules.stream().filter(m -> m.deltaNorm() == 0).count();
        if (unchanged > 0) {
            warnings.add(unchanged + " of " + modules.size()
                    + " modules are equal in base and aligned: there is nothing to project them onto, and they"
                    + " stay as they are");
        }
        long identities = modules.stream().filter(Measured::identity).count();
        if (identities > 0 && options.projector() == Projector.exact) {
            warnings.add("V has full row rank in " + identities + " of " + modules.size()
                    + " modules, so that the exact projector is the identity there and changes nothing; use projector"
                    + " subspace");
        }
        if (outside.warning() != null) {
            warnings.add(outside.warning());
        }
        if (!carried.isEmpty()) {
            warnings.add("no repair touches what the adapter has beside LoRA of linear modules, and the result has it"
                    + " as it was: "
                    + String.join(", ", carried)
                    + "; to repair the whole update, merge the adapter and give the merged model in its place"
                    + " (project: --fine-tuned)");
        }
        return new SelectionReport(
                options,
                modules.stream()
                        .filter(Measured::selected)
                        .map(Measured::module)
                        .toList(),
                median,
                warnings.isEmpty() ? null : String.join("; ", warnings),
                outside,
                carried.isEmpty() ? null : carried,
                modules);
    }

    /** Writes selection.json into a directory. */
    public void write(Path directory) throws IOException {
        Files.write(directory.resolve(FILE), Json.pretty(this));
    }
}
