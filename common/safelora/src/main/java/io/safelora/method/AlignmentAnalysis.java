package io.safelora.method;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.safetensors.TensorInfo;
import java.util.ArrayList;
import java.util.Arrays;
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
        WeightPair pair = new WeightPair(base, aligned);
        List<ModuleAlignment> modules = new ArrayList<>();
        for (String weight : weights) {
            progress.at((double) modules.size() / weights.size(), weight);
            WeightPair.Delta delta = pair.read(weight, null);
            modules.add(new ModuleAlignment(
                    weight.substring(0, weight.length() - ".weight".length()),
                    Arrays.stream(delta.shape()).boxed().toList(),
                    delta.deltaNorm(),
                    delta.baseNorm(),
                    delta.relative(),
                    delta.equalShare()));
        }
        if (modules.stream().allMatch(m -> m.deltaNorm() == 0)) {
            throw SafeLora.identical(base, aligned);
        }
        progress.at(1, modules.size() + " modules compared");
        return modules;
    }

    private static boolean isTarget(TensorInfo tensor) {
        return tensor.shape().length == 2
                && tensor.elements() > 0
                && tensor.name().endsWith(".weight")
                && !NO_TARGET.matcher(tensor.name()).matches();
    }
}
