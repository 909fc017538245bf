package io.safelora.method;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.ModelTensors;
import io.safelora.artifacts.checkpoint.ModuleName;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.contract.SelectionOptions;
import io.safelora.method.ProjectorKernel.Projected;
import io.safelora.method.Repair.Surroundings;
import io.safelora.method.Selection.Candidate;
import io.safelora.torch.Torch;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * A fully fine-tuned checkpoint: the update is dW = W_fine-tuned - W_aligned of every linear module, dense (out, in),
 * and a repaired weight is W' = W_aligned + what the {@link Repair} makes of dW. Embeddings, norms and biases stay, for
 * no projector is defined for them.
 *
 * <p>One module is worked on at a time, by all cores: memory is a few of its matrices.
 */
final class TunedCheckpoint implements FineTuned {
    private final Path directory;
    private final Checkpoint tuned;
    private final Sources sources;
    private final CheckpointPair alignment;
    private final CheckpointPair tuning;

    /** @throws InvalidArtifactException if the directory does not hold a checkpoint with its configuration */
    TunedCheckpoint(Path directory, Sources sources) throws IOException {
        this.directory = directory;
        this.sources = sources;
        tuned = Checkpoint.open(directory);
        tuned.config();
        boolean transposed = ModelTensors.transposed(tuned, false);
        alignment = new CheckpointPair(sources.base(), sources.aligned(), transposed);
        tuning = new CheckpointPair(sources.aligned(), tuned, transposed);
    }

    @Override
    public Outside outside() {
        return Outside.of(tuned, sources.aligned());
    }

    @Override
    public Sources sources() {
        return sources;
    }

    @Override
    public Set<String> modules() {
        return tuned.names().stream()
                .map(tuned::info)
                .filter(AlignmentAnalysis::isTarget)
                .map(weight -> ModuleName.ofWeight(weight.name()).full())
                .collect(Collectors.toCollection(TreeSet::new));
    }

    /** Measures the modules that layers and modules of the options allow. */
    @Override
    public List<ModuleMeasure> measure(SelectionOptions options, Progress progress) {
        List<Candidate> linear =
                modules().stream().map(name -> new Candidate(name, null, 0)).toList();
        if (linear.isEmpty()) {
            throw new InvalidArtifactException(tuned.name() + ": has no linear module; is it a language model?");
        }
        List<Candidate> modules = Repair.of(options).everyModule() ? linear : Selection.narrowed(linear, options);
        List<ModuleMeasure> measures = new ArrayList<>();
        for (Candidate module : modules) {
            progress.at(0.5 * measures.size() / modules.size(), module.module());
            measures.add(measure(new ModuleName(module.module()), options));
        }
        if (measures.stream().allMatch(m -> m.deltaNorm() == 0)) {
            throw Sources.identical(sources.base(), sources.aligned());
        }
        if (measures.stream().allMatch(m -> m.shift() == 0 && m.cosine() == null)) {
            throw new InvalidArtifactException(
                    tuned.name() + " and " + sources.aligned().name()
                            + " have equal weights, so there is nothing to repair; the fine-tuned checkpoint must come"
                            + " from the aligned one");
        }
        return measures;
    }

    private ModuleMeasure measure(ModuleName module, SelectionOptions options) {
        try (NDManager manager = Torch.manager(Device.cpu())) {
            NDArray update = tuning.delta(module).dense(manager).v();
            Projected p = ProjectorKernel.project(alignment.delta(module), update, options, manager);
            if (p.projected() == null) {
                return ModuleMeasure.unaligned(module.full());
            }
            double[] products = DeltaKernels.denseProducts(manager, update, p.projected());
            return ModuleMeasure.of(module.full(), products, p, null);
        }
    }

    @Override
    public void checkOutput(Path out) throws IOException {
        new CheckpointWriter(directory, tuned).check(out, List.of(sources.base(), sources.aligned()));
    }

    @Override
    public void repair(
            List<ModuleMeasure> measures, Set<String> affected, SelectionOptions options, Path out, Progress progress)
            throws IOException {
        checkOutput(out);
        Repair repair = Repair.of(options);
        int[] done = {0};
        new CheckpointWriter(directory, tuned).write(out, affected, (name, file) -> {
            progress.at(0.5 + 0.5 * done[0]++ / affected.size(), name);
            ModuleName module = new ModuleName(name);
            try (NDManager manager = Torch.manager(Device.cpu())) {
                Delta tuningDelta = tuning.delta(module);
                NDArray update = tuningDelta.dense(manager).v();
                NDArray repaired = repair.repaired(update, surroundings(module, update, options));
                if (repaired != update) {
                    CheckpointWriter.overwrite(tuningDelta, repaired, file, manager);
                }
            }
        });
    }

    private Surroundings<NDArray> surroundings(ModuleName module, NDArray update, SelectionOptions options) {
        return new Surroundings<>() {
            @Override
            public NDArray projected() {
                return ProjectorKernel.project(alignment.delta(module), update, options, update.getManager())
                        .projected();
            }

            @Override
            public LoraModule safety() {
                return sources.safety(
                        module.full(),
                        update.getShape().get(0),
                        update.getShape().get(1));
            }

            @Override
            public SingularTriplets triplets(int k) {
                return SingularTriplets.of(alignment.delta(module), k, update.getManager());
            }
        };
    }
}
