package io.safelora.training;

import ai.djl.ndarray.NDArray;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.contract.InvalidInputException;
import io.safelora.lm.CausalLm;
import io.safelora.lm.ModelWriter;
import io.safelora.torch.Tensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * Full fine-tuning: every weight is trained, a tied head once. As transformers' Trainer has it, biases and norms do not
 * decay; they are the tensors of one dimension. The result is a checkpoint in the type of the one that it started from.
 */
final class TrainedWeights implements Trainable {
    private final CausalLm model;
    private final FineTuning.Options options;

    /** @param model of {@link CausalLm#loadToTrain} */
    TrainedWeights(CausalLm model, FineTuning.Options options) {
        this.model = model;
        this.options = options;
    }

    /**
     * Refuses what would end badly, before any work.
     *
     * @throws InvalidInputException saying what to change
     */
    static void check(FineTuning.Options options, Path out) throws IOException {
        if (options.initAdapter() != null) {
            throw new InvalidInputException(
                    "init-adapter: is an adapter to go on with, and training.method full trains the weights;"
                            + " merge it into the model first");
        }
        options.training().checkDtype(options.dtype());
        if (Files.exists(out) && Files.isSameFile(out, options.model())) {
            throw new InvalidInputException(
                    out + ": is the model that is trained, and would be overwritten; write into another directory");
        }
        for (String other : List.of("adapter_config.json", "model.safetensors.index.json")) {
            if (Files.exists(out.resolve(other))) {
                throw new InvalidInputException(out + ": holds " + other
                        + ", which a checkpoint written beside it does not go with; write into an empty directory");
            }
        }
    }

    @Override
    public Map<String, NDArray> parameters() {
        return model.weights();
    }

    @Override
    public List<NDArray> decayed() {
        return model.weights().values().stream()
                .filter(w -> w.getShape().dimension() > 1)
                .toList();
    }

    @Override
    public String adapter() {
        return null;
    }

    @Override
    public double dropout() {
        return 0;
    }

    @Override
    public void write(Map<String, NDArray> values, TrainerState state, Path out) throws IOException {
        values.forEach((name, value) -> {
            NDArray weight = model.weights().get(name);
            if (weight != value) {
                Tensors.copy(weight, value);
            }
        });
        Checkpoint from = Checkpoint.open(options.model());
        ModelWriter.write(model, from.config(), options.model(), dtype(from), out);
        Files.writeString(out.resolve("README.md"), ModelCard.of(options, null, state));
    }

    /** What most of a checkpoint is stored in: the type of its matrices. */
    private static Dtype dtype(Checkpoint checkpoint) {
        Dtype stored = checkpoint.names().stream()
                .map(checkpoint::info)
                .filter(info -> info.shape().length > 1)
                .findFirst()
                .orElseThrow()
                .dtype();
        return stored.isWeight() ? stored : Dtype.F32;
    }
}
