package io.safelora.method;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.ModuleName;
import io.safelora.artifacts.safetensors.TensorInfo;
import java.util.List;
import java.util.regex.Pattern;

/**
 * What alignment changed: V = W_aligned - W_base of every linear module, from reading both checkpoints once.
 *
 * <p>Modules are worked on side by side, each on one core, so the result is the same bytes whatever the number of
 * cores; and each for itself, so it is the same bytes however the modules are divided among processes (of CPUs of one
 * kind: {@link Sketch} says where CPUs differ).
 */
public final class AlignmentAnalysis {
    /** Raised whenever the same checkpoints give another result than before: results are kept under it. */
    public static final int VERSION = 3;

    /** Matrices that are not linear modules of a decoder layer: embeddings, position tables, output heads. */
    private static final Pattern NO_TARGET = Pattern.compile(
            "(.*\\.)?(embed_tokens|embed_in|embed_out|embed_positions|wte|wpe|lm_head|word_embeddings)\\.weight");

    /**
     * The sketch's random numbers are as many times 82, and must not take the memory that a hostile header asks for.
     */
    private static final long MAX_COLUMNS = 1 << 18;

    /** Nothing here depends on which side of a weight is (out): it is taken as it is stored. */
    private static final boolean STORED = false;

    private AlignmentAnalysis() {}

    /**
     * Compares two checkpoints.
     *
     * @throws InvalidArtifactException if they are not the same architecture, or are identical, or hold NaN
     */
    public static Alignment run(Checkpoint base, Checkpoint aligned, Progress progress) {
        return join(base, aligned, run(base, aligned, weights(base, aligned), progress));
    }

    /**
     * The weights that could be a LoRA target, sorted by name.
     *
     * @throws InvalidArtifactException if there is none, or the checkpoints are not the same architecture, as far as
     *     their headers tell
     */
    public static List<TensorInfo> weights(Checkpoint base, Checkpoint aligned) {
        List<TensorInfo> weights = aligned.names().stream()
                .map(aligned::info)
                .filter(AlignmentAnalysis::isTarget)
                .toList();
        if (weights.isEmpty()) {
            throw new InvalidArtifactException(aligned.name() + ": has no linear module; is it a language model?");
        }
        CheckpointPair pair = new CheckpointPair(base, aligned, STORED);
        for (TensorInfo weight : weights) {
            pair.delta(ModuleName.ofWeight(weight.name()));
            if (weight.shape()[1] > MAX_COLUMNS) {
                throw new InvalidArtifactException(aligned.fileOf(weight.name()) + ": tensor " + weight.name()
                        + " has rows of " + weight.shape()[1]
                        + " elements; no linear module of a language model is that wide");
            }
        }
        return weights;
    }

    /**
     * Compares some weights.
     *
     * @param weights some of {@link #weights}
     * @return in their order
     * @throws InvalidArtifactException if a weight holds NaN or infinity
     */
    public static List<ModuleAlignment> run(
            Checkpoint base, Checkpoint aligned, List<TensorInfo> weights, Progress progress) {
        long columns = weights.stream().mapToLong(w -> w.shape()[1]).max().orElse(0);
        ModuleAnalysis analysis = new ModuleAnalysis(new Sketch(columns));
        List<ModuleAlignment> modules = Parallel.forEach(
                base,
                aligned,
                STORED,
                weights,
                TensorInfo::name,
                (pair, weight) -> analysis.of(pair.delta(ModuleName.ofWeight(weight.name()))),
                progress);
        progress.at(1, modules.size() + " modules compared");
        return modules;
    }

    /**
     * The analysis of a whole model from that of its modules, in whatever parts it was done.
     *
     * @param modules in the order of {@link #weights}
     * @throws InvalidArtifactException if no module differs
     */
    public static Alignment join(Checkpoint base, Checkpoint aligned, List<ModuleAlignment> modules) {
        double squares = 0;
        for (ModuleAlignment module : modules) {
            squares += module.deltaNorm() * module.deltaNorm();
        }
        if (squares == 0) {
            throw Sources.identical(base, aligned);
        }
        return new Alignment(
                Sketch.SEED,
                Sketch.DIRECTIONS,
                Math.sqrt(squares),
                modules.stream().filter(ModuleAlignment::mostlyRounding).count(),
                Ancestry.warning(
                                base,
                                aligned,
                                modules.stream().map(ModuleAlignment::relative).toList())
                        .orElse(null),
                modules);
    }

    static boolean isTarget(TensorInfo tensor) {
        return tensor.shape().length == 2
                && tensor.elements() > 0
                && tensor.name().endsWith(".weight")
                && !NO_TARGET.matcher(tensor.name()).matches();
    }
}
