package io.safelora.method;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.contract.Json;
import io.safelora.contract.SelectionOptions;
import io.safelora.contract.SelectionOptions.Projector;
import io.safelora.torch.Tensors;
import io.safelora.torch.Torch;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * SafeLoRA (Hsu et al., NeurIPS 2024, arXiv 2405.16833): per module, V = W_aligned - W_base spans what alignment changed, and
 * a LoRA update dW = B A that points away from it is replaced by C dW.
 *
 * <p>Neither C (out, out) nor dW (out, in) is ever built: C B costs O(out in r), and cosine and norms come from r x r matrices.
 * V is streamed module by module, so memory is one matrix whatever the model's size.
 */
public final class SafeLora {
    public static final String SELECTION = "selection.json";

    /** Below this median shrinkage, projecting is little else than dropping, and the result says so. */
    private static final double SHRINKS = 0.1;

    private SafeLora() {}

    /**
     * Measures every module of an adapter.
     *
     * @param options projector and energy are read: approximate, C = V V^T / |V|_F (the paper's default); exact, C = V (V^T
     *     V)^+ V^T; subspace, C = U_k U_k^T with the k left singular vectors that hold {@code energy} of |V|_F^2
     * @return by module name
     * @throws InvalidArtifactException if checkpoints and adapter do not fit each other, hold NaN, or are identical
     */
    public static List<ModuleMeasure> measure(
            Checkpoint base, Checkpoint aligned, PeftAdapter adapter, SelectionOptions options, Progress progress) {
        WeightPair pair = new WeightPair(base, aligned);
        boolean transposed = adapter.config().fanInFanOut();
        List<ModuleMeasure> measures = new ArrayList<>();
        for (LoraModule module : adapter.modules().values()) {
            progress.at((double) measures.size() / adapter.modules().size(), module.name());
            measures.add(measure(pair, module, transposed, options));
        }
        if (measures.stream().allMatch(m -> m.deltaNorm() == 0)) {
            throw identical(base, aligned);
        }
        progress.at(1, measures.size() + " modules measured");
        return measures;
    }

    private static ModuleMeasure measure(
            WeightPair pair, LoraModule module, boolean transposed, SelectionOptions options) {
        try (NDManager manager = Torch.manager(Device.cpu())) {
            String weight = pair.weightOf(module.name());
            WeightPair.Delta delta = pair.read(weight, manager);
            long out = delta.shape()[transposed ? 1 : 0];
            long in = delta.shape()[transposed ? 0 : 1];
            if (out != module.out() || in != module.in()) {
                throw new InvalidArtifactException("tensor " + weight + " has shape " + Arrays.toString(delta.shape())
                        + ", but the adapter's module " + module.name() + " is for (out, in) = (" + module.out() + ", "
                        + module.in() + ")" + (transposed ? " with fan_in_fan_out" : "")
                        + "; the adapter belongs to another model");
            }
            if (delta.deltaNorm() == 0) {
                return new ModuleMeasure(module.name(), null, 0, 1, 0, 0, null, null, null);
            }
            NDArray v = transposed
                    ? WeightPair.SCRIPT.call(manager, "transposed", delta.v()).get(0)
                    : delta.v();
            NDArray a = Tensors.of(manager, module.a(), module.r(), module.in());
            NDArray b = Tensors.of(manager, module.b(), module.out(), module.r());
            NDArray projected;
            Double spectral = null;
            Integer rank = null;
            if (options.projector() == Projector.approximate) {
                projected = WeightPair.SCRIPT
                        .call(manager, "approximate", v, b, delta.deltaNorm())
                        .get(0);
            } else {
                NDList eigen = WeightPair.SCRIPT.call(manager, "eigen", v);
                double[] squares = eigen.get(0).toDoubleArray();
                spectral = Math.sqrt(squares[squares.length - 1]);
                rank = options.projector() == Projector.exact ? rank(squares, in) : rank(squares, options.energy());
                projected = WeightPair.SCRIPT
                        .call(manager, "onto", v, eigen.get(0), eigen.get(1), rank, b)
                        .get(0);
            }
            double[] products = WeightPair.SCRIPT
                    .call(manager, "products", a, b, projected)
                    .get(0)
                    .toDoubleArray();
            double projectedNorm = Math.sqrt(products[1]);
            double norm = Math.sqrt(products[2]);
            return new ModuleMeasure(
                    module.name(),
                    norm == 0 || projectedNorm == 0 ? null : products[0] / (projectedNorm * norm),
                    Math.sqrt(products[3]),
                    norm == 0 ? 1 : projectedNorm / norm,
                    delta.deltaNorm(),
                    delta.relative(),
                    spectral,
                    rank,
                    Tensors.floats(projected));
        }
    }

    /** How many eigenvalues of V^T V count as above zero, by the convention of torch.linalg.pinv for (in, in) matrices. */
    private static int rank(double[] squares, long in) {
        double threshold = in * Math.ulp(1.0) * squares[squares.length - 1];
        return (int) Arrays.stream(squares).filter(s -> s > threshold).count();
    }

    /** The smallest k whose largest eigenvalues hold the share {@code energy} of their sum. */
    private static int rank(double[] squares, double energy) {
        double total = Arrays.stream(squares).filter(s -> s > 0).sum();
        double held = 0;
        int k = 0;
        while (k < squares.length && held < energy * total) {
            held += squares[squares.length - 1 - k++];
        }
        return Math.max(1, Math.min(k, rank(squares, squares.length)));
    }

    /**
     * Writes the adapter with B replaced by C B in the selected modules, everything else bit for bit, and {@code
     * selection.json}.
     *
     * @param selected names of modules, as {@link Selection#select} gives them
     */
    public static void write(
            PeftAdapter adapter, List<ModuleMeasure> measures, Set<String> selected, SelectionOptions options, Path out)
            throws IOException {
        Map<String, float[]> projected = new HashMap<>();
        measures.stream()
                .filter(m -> selected.contains(m.module()) && m.projectedB() != null)
                .forEach(m -> projected.put(m.module(), m.projectedB()));
        adapter.withB(projected).write(out);
        Files.write(out.resolve(SELECTION), Json.pretty(report(measures, selected, options)));
    }

    /** One module in selection.json. */
    public record Measured(
            String module,
            boolean selected,
            Double cosine,
            double shift,
            double shrinkage,
            double deltaNorm,
            double relative,
            Double spectral,
            Integer rank) {}

    /**
     * selection.json: what was chosen, by what, and the numbers of every module, the lowest cosine first.
     *
     * @param medianShrinkage median of |C dW|_F / |dW|_F over the selected modules; absent if there are none
     * @param warning what the numbers mean where they are easily misread
     */
    public record Report(
            SelectionOptions options,
            List<String> selected,
            Double medianShrinkage,
            String warning,
            List<Measured> modules) {}

    /** The content of selection.json. */
    public static Report report(List<ModuleMeasure> measures, Set<String> selected, SelectionOptions options) {
        List<Measured> modules = measures.stream()
                .sorted(Selection.BY_COSINE)
                .map(m -> new Measured(
                        m.module(),
                        selected.contains(m.module()),
                        m.cosine(),
                        m.shift(),
                        m.shrinkage(),
                        m.deltaNorm(),
                        m.relative(),
                        m.spectral(),
                        m.rank()))
                .toList();
        List<Double> shrinkages = modules.stream()
                .filter(Measured::selected)
                .map(Measured::shrinkage)
                .sorted(Comparator.naturalOrder())
                .toList();
        Double median = shrinkages.isEmpty() ? null : shrinkages.get(shrinkages.size() / 2);
        List<String> warnings = new ArrayList<>();
        if (median != null && median < SHRINKS) {
            warnings.add(String.format(
                    java.util.Locale.ROOT,
                    "the projector shrinks the selected updates to %.2g of their norm (median): this is nearly the same as"
                            + " dropping them; compare with dropping, or use projector subspace",
                    median));
        }
        long unchanged = measures.stream().filter(m -> m.deltaNorm() == 0).count();
        if (unchanged > 0) {
            warnings.add(
                    unchanged + " of " + measures.size()
                            + " modules are equal in base and aligned: there is nothing to project them onto, and they stay as they are");
        }
        return new Report(
                options,
                modules.stream()
                        .filter(Measured::selected)
                        .map(Measured::module)
                        .toList(),
                median,
                warnings.isEmpty() ? null : String.join("; ", warnings),
                modules);
    }

    static InvalidArtifactException identical(Checkpoint base, Checkpoint aligned) {
        return new InvalidArtifactException(base.name() + " and " + aligned.name()
                + " have equal weights, so there is no alignment to keep; base must be the model before alignment");
    }
}
