package io.safelora.method;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.safetensors.TensorInfo;
import io.safelora.torch.ScalarType;
import io.safelora.torch.Tensors;
import io.safelora.torch.Torch;
import java.util.List;
import java.util.regex.Pattern;

/** What alignment changed: V = W_aligned - W_base of every linear module, from reading both checkpoints once. */
public final class AlignmentAnalysis {
    /** Matrices that are no linear module of a decoder layer: embeddings, position tables, output heads. */
    private static final Pattern NO_TARGET = Pattern.compile(
            "(.*\\.)?(embed_tokens|embed_in|embed_out|embed_positions|wte|wpe|lm_head|word_embeddings)\\.weight");

    private AlignmentAnalysis() {}

    /**
     * Compares two checkpoints.
     *
     * @return one entry for every matrix that could be a LoRA target, by name
     * @throws InvalidArtifactException if they are not the same architecture, or are identical, or hold NaN
     */
    public static List<ModuleAlignment> run(Checkpoint base, Checkpoint aligned, Progress progress) {
        List<String> weights = aligned.names().stream()
                .filter(name -> isTarget(aligned.info(name)))
                .toList();
        if (weights.isEmpty()) {
            throw new InvalidArtifactException(aligned.name() + ": has no linear module; is it a language model?");
        }
        List<ModuleAlignment> modules =
                SafeLora.forEachModule(base, aligned, weights, name -> name, AlignmentAnalysis::measure, progress);
        if (modules.stream().allMatch(m -> m.deltaNorm() == 0)) {
            throw SafeLora.identical(base, aligned);
        }
        progress.at(1, modules.size() + " modules compared");
        return modules;
    }

    private static ModuleAlignment measure(WeightPair pair, String name) {
        WeightPair.Weight weight = pair.weight(name);
        try (NDManager manager = Torch.manager(Device.cpu())) {
            NDArray sums = Tensors.of(manager, java.nio.ByteBuffer.allocateDirect(24), ScalarType.FLOAT64, 3);
            pair.forEach(weight, manager, (local, row, b, a) -> WeightPair.SCRIPT.call(local, "compare", b, a, sums));
            double[] squares = sums.toDoubleArray();
            pair.refuseNonFinite(weight, squares);
            double norm = Math.sqrt(squares[0]);
            double baseNorm = Math.sqrt(squares[1]);
            return new ModuleAlignment(
                    name.substring(0, name.length() - ".weight".length()),
                    List.of(weight.rows(), weight.columns()),
                    norm,
                    baseNorm,
                    baseNorm == 0 ? Double.POSITIVE_INFINITY : norm / baseNorm,
                    squares[2] / (weight.rows() * weight.columns()));
        }
    }

    static boolean isTarget(TensorInfo tensor) {
        return tensor.shape().length == 2
                && tensor.elements() > 0
                && tensor.name().endsWith(".weight")
                && !NO_TARGET.matcher(tensor.name()).matches();
    }
}
