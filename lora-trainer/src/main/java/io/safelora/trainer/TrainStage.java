package io.safelora.trainer;

import io.micrometer.core.instrument.MeterRegistry;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.artifacts.store.ContentAddress;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.AdapterTrained;
import io.safelora.contract.JobEvent.LayersSelected;
import io.safelora.contract.JobEvent.LayersSelected.Projection;
import io.safelora.contract.JobEvent.TrainingStep;
import io.safelora.contract.JobRequest;
import io.safelora.contract.JobRequest.Device;
import io.safelora.contract.SelectionOptions.When;
import io.safelora.contract.TrainingOptions;
import io.safelora.method.EveryStep;
import io.safelora.pipeline.Stage;
import io.safelora.pipeline.Workspace;
import io.safelora.training.FineTuning;
import io.safelora.training.ModelCard;
import jakarta.enterprise.context.ApplicationScoped;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * LayersSelected to AdapterTrained or AdapterProjected: trains the adapter (with method full: the checkpoint) if there
 * is none yet, and projects it if it is decided which modules.
 */
@ApplicationScoped
public class TrainStage implements Stage<LayersSelected> {
    private static final Logger LOG = LoggerFactory.getLogger(TrainStage.class);

    private final TrainingMetrics metrics;

    public TrainStage(MeterRegistry registry) {
        metrics = new TrainingMetrics(registry);
    }

    @Override
    public String name() {
        return "lora-trainer";
    }

    @Override
    public Class<LayersSelected> input() {
        return LayersSelected.class;
    }

    @Override
    public JobEvent run(LayersSelected event, Workspace ws) throws Exception {
        ArtifactRef adapter = event.adapter() != null ? event.adapter() : adapter(event, ws);
        if (event.projection() == Projection.deferred) {
            return new AdapterTrained(event.request(), event.alignment(), adapter);
        }
        return new RepairTask(event, adapter, ws).run();
    }

    private ArtifactRef adapter(LayersSelected event, Workspace ws) throws Exception {
        JobRequest request = event.request();
        ArtifactStore store = ws.store();
        if (request.adapter() != null) {
            Map<String, String> inputs = Map.of("adapter", store.digest(request.adapter()));
            return ws.result(
                    "adopt", FineTuning.VERSION, inputs, out -> PeftAdapter.open(store.folder(request.adapter()))
                            .write(out));
        }
        String device = (request.device() == Device.auto ? ws.config().device() : request.device()).name();
        TrainingOptions training = request.training();
        Map<String, Object> inputs = new TreeMap<>(Map.of(
                "model", store.digest(request.aligned()),
                "data", store.digest(training.data()),
                "options", training,
                "dtype", request.dtype(),
                "device", device));
        for (String more : Arrays.asList(training.safetyData(), training.validationData())) {
            if (more != null) {
                inputs.put(more, store.digest(more));
            }
        }
        boolean everyStep = request.selection().when() == When.every_step;
        if (everyStep) {
            inputs.put("base", store.digest(request.base()));
            inputs.put("projection", request.selection());
            inputs.put("selection", event.selection().sha256());
        }
        return ws.result("train", FineTuning.VERSION, inputs, (out, checkpoint) -> {
            Map<String, String> provenance = new TreeMap<>();
            provenance.put("base", request.base());
            provenance.put("model", request.aligned());
            provenance.put("model, digest", inputs.get("model").toString());
            provenance.put("data, digest", inputs.get("data").toString());
            provenance.put(
                    "trainer",
                    "result version " + FineTuning.VERSION + ", device " + device + ", dtype " + request.dtype());
            try (EveryStep projection = everyStep
                            ? new EveryStep(
                                    Checkpoint.open(store.folder(request.base())),
                                    Checkpoint.open(store.folder(request.aligned())),
                                    RepairTask.points(event, store).get(0).selected(),
                                    request.selection())
                            : null;
                    TrainingMetrics.Running running = metrics.begin()) {
                FineTuning.run(
                        new FineTuning.Options(
                                store.download(request.aligned()),
                                store.download(training.data()),
                                training.safetyData() == null ? null : store.download(training.safetyData()),
                                training.validationData() == null ? null : store.download(training.validationData()),
                                training,
                                null,
                                device,
                                request.dtype().name(),
                                new ModelCard.Origin(request.aligned(), ContentAddress.of(inputs), provenance)),
                        out,
                        checkpoint,
                        projection == null ? parameters -> {} : projection::project,
                        progress -> {
                            ws.checkCancelled();
                            running.at(progress);
                            if (progress.note() != null) {
                                LOG.info("job {}: {}", ws.jobId(), progress);
                            }
                            ws.progress(
                                    (double) progress.step() / progress.maxSteps(),
                                    progress.etaSeconds(),
                                    progress.toString(),
                                    new TrainingStep(
                                            progress.step(),
                                            progress.maxSteps(),
                                            progress.loss(),
                                            progress.learningRate(),
                                            progress.tokensPerSecond()));
                        });
            }
        });
    }
}
