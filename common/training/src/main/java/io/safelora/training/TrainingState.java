package io.safelora.training;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import com.fasterxml.jackson.core.JsonProcessingException;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.ResumePoint;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.SafetensorsFile;
import io.safelora.artifacts.safetensors.SafetensorsWriter;
import io.safelora.artifacts.safetensors.TensorData;
import io.safelora.contract.Json;
import io.safelora.torch.AdamW;
import io.safelora.torch.Tensors;
import io.safelora.training.TrainerState.Entry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * All that changes while one trains, and its way into a checkpoint and back: one safetensors file of the parameters,
 * the optimizer's means and the best parameters so far; what is not a tensor is in its metadata. Learning rate, data
 * order and dropout follow from the step's number.
 */
final class TrainingState {
    private static final Logger LOG = LoggerFactory.getLogger(TrainingState.class);
    private static final String STATE = "state";
    private static final String FINGERPRINT = "fingerprint";

    /** What of a checkpoint is not a tensor. */
    private record Saved(
            int step,
            int optimizerSteps,
            int microBatch,
            Double bestMetric,
            Integer bestStep,
            int worse,
            boolean stopped,
            List<Entry> log) {}

    int step;
    boolean stopped;
    boolean saved;
    final List<Entry> log = new ArrayList<>();

    private final NDManager manager;
    private final Map<String, NDArray> parameters;
    private final AdamW optimizer;
    private final MicroBatches batches;
    private final Map<String, NDArray> best = new LinkedHashMap<>();
    private Double bestMetric;
    private Integer bestStep;
    private int worse;

    TrainingState(NDManager manager, Map<String, NDArray> parameters, AdamW optimizer, MicroBatches batches) {
        this.manager = manager;
        this.parameters = parameters;
        this.optimizer = optimizer;
        this.batches = batches;
    }

    /**
     * Takes note of a measured eval_loss.
     *
     * @param patience after so many without a new lowest the training stops; null: never, and no best is kept
     */
    void measured(double loss, Integer patience) {
        if (bestMetric == null || loss < bestMetric) {
            bestMetric = loss;
            bestStep = step;
            worse = 0;
            if (patience != null) {
                best.values().forEach(NDArray::close);
                parameters.forEach((name, value) -> best.put(name, Tensors.clone(manager, value)));
            }
        } else {
            worse++;
            stopped = patience != null && worse >= patience;
        }
    }

    /** The parameters to keep: with early stopping those of the lowest eval_loss, else the last ones. */
    Map<String, NDArray> chosen(Integer patience) {
        return patience != null && !best.isEmpty() ? best : parameters;
    }

    TrainerState result(double epoch, int maxSteps) {
        return new TrainerState(epoch, step, maxSteps, bestMetric, bestStep, List.copyOf(log));
    }

    void save(ResumePoint checkpoint, String fingerprint) throws IOException {
        Map<String, TensorData> tensors = new LinkedHashMap<>();
        tensors()
                .forEach((name, tensor) -> tensors.put(
                        name, new TensorData(Dtype.F32, tensor.getShape().getShape(), () -> Tensors.bytes(tensor))));
        best.forEach((name, tensor) -> tensors.put(
                "best." + name, new TensorData(Dtype.F32, tensor.getShape().getShape(), () -> Tensors.bytes(tensor))));
        Saved rest = new Saved(step, optimizer.steps(), batches.size(), bestMetric, bestStep, worse, stopped, log);
        Path file = checkpoint.newFile();
        SafetensorsWriter.write(
                file, tensors, Map.of(STATE, Json.MAPPER.writeValueAsString(rest), FINGERPRINT, fingerprint));
        checkpoint.save(file);
        Files.deleteIfExists(file);
        saved = true;
    }

    /**
     * Goes on from the last checkpoint.
     *
     * @return whether there is one, of a training of the same fingerprint
     */
    boolean load(ResumePoint checkpoint, String fingerprint) throws IOException {
        Optional<Path> found = checkpoint.load();
        if (found.isEmpty()) {
            return false;
        }
        try {
            SafetensorsFile file = SafetensorsFile.open(found.get());
            if (!fingerprint.equals(file.metadata().get(FINGERPRINT))) {
                LOG.warn("{} is of another training, by its options or inputs: this one starts over", checkpoint);
                return false;
            }
            Saved rest = Json.MAPPER.readValue(file.metadata().getOrDefault(STATE, ""), Saved.class);
            Map<String, NDArray> all = tensors();
            for (Map.Entry<String, NDArray> entry : all.entrySet()) {
                if (!Arrays.equals(
                        file.info(entry.getKey()).shape(),
                        entry.getValue().getShape().getShape())) {
                    throw new InvalidArtifactException(
                            file.name() + ": tensor " + entry.getKey() + " has another shape");
                }
            }
            boolean hasBest = file.tensors().keySet().stream().anyMatch(name -> name.startsWith("best."));
            try (NDManager scratch = manager.newSubManager()) {
                all.forEach((name, tensor) -> Tensors.copy(tensor, tensor(scratch, file, name)));
                if (hasBest) {
                    parameters
                            .keySet()
                            .forEach(name ->
                                    best.put(name, Tensors.clone(manager, tensor(scratch, file, "best." + name))));
                }
            }
            step = rest.step();
            batches.resume(rest.microBatch());
            bestMetric = rest.bestMetric();
            bestStep = rest.bestStep();
            worse = rest.worse();
            stopped = rest.stopped();
            log.addAll(rest.log());
            optimizer.resume(rest.optimizerSteps());
            saved = true;
            return true;
        } catch (InvalidArtifactException | JsonProcessingException e) {
            LOG.warn("{} cannot be read, this training starts over: {}", checkpoint, e.getMessage());
            return false;
        }
    }

    private static NDArray tensor(NDManager manager, SafetensorsFile file, String name) {
        return Tensors.of(manager, file.map(name), Dtype.F32, file.info(name).shape());
    }

    /** What is trained and its optimizer's means, by the names they have in a checkpoint. */
    private Map<String, NDArray> tensors() {
        Map<String, NDArray> tensors = new LinkedHashMap<>();
        int i = 0;
        for (Map.Entry<String, NDArray> parameter : parameters.entrySet()) {
            tensors.put(parameter.getKey(), parameter.getValue());
            tensors.put("adamw.m." + parameter.getKey(), optimizer.m().get(i));
            tensors.put("adamw.v." + parameter.getKey(), optimizer.v().get(i));
            i++;
        }
        return tensors;
    }
}
