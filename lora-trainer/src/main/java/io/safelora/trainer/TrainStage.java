package io.safelora.trainer;

import com.fasterxml.jackson.databind.JsonNode;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.artifacts.store.ContentAddress;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.AdapterProjected;
import io.safelora.contract.JobEvent.AdapterTrained;
import io.safelora.contract.JobEvent.LayersSelected;
import io.safelora.contract.JobEvent.LayersSelected.Projection;
import io.safelora.contract.JobEvent.TrainingStep;
import io.safelora.contract.JobRequest;
import io.safelora.contract.JobRequest.Device;
import io.safelora.contract.Json;
import io.safelora.contract.TrainingOptions;
import io.safelora.method.AdapterRepair;
import io.safelora.method.ModuleMeasure;
import io.safelora.method.Progress;
import io.safelora.method.SafeLora;
import io.safelora.method.Selection;
import io.safelora.method.Selection.Candidate;
import io.safelora.method.SelectionReport;
import io.safelora.pipeline.Stage;
import io.safelora.pipeline.Workspace;
import jakarta.enterprise.context.ApplicationScoped;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.ToDoubleFunction;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * LayersSelected to AdapterTrained or AdapterProjected: trains the adapter if there is none yet, and projects it if it is
 * decided which modules.
 */
@ApplicationScoped
public class TrainStage implements Stage<LayersSelected> {
    private static final int PROJECT_VERSION = 2;
    private static final Logger LOG = LoggerFactory.getLogger(TrainStage.class);
    private static final int TRAIN_VERSION = 2;
    private static final int MAX_SELECTION_BYTES = 64 << 20;

    private final Counter steps;
    private volatile LoraTraining.Progress latest =
            new LoraTraining.Progress(0, 0, Double.NaN, Double.NaN, Double.NaN, Double.NaN, null);
    // Tasks of a service run one after another.
    private int counted;

    TrainStage(MeterRegistry registry) {
        steps = Counter.builder("safelora.training.steps").register(registry);
        gauge(registry, "safelora.training.loss", LoraTraining.Progress::loss);
        gauge(registry, "safelora.training.learning.rate", LoraTraining.Progress::learningRate);
        gauge(registry, "safelora.training.tokens.per.second", LoraTraining.Progress::tokensPerSecond);
        gauge(registry, "safelora.training.eta.seconds", LoraTraining.Progress::etaSeconds);
    }

    private void gauge(MeterRegistry registry, String name, ToDoubleFunction<LoraTraining.Progress> figure) {
        Gauge.builder(name, this, s -> figure.applyAsDouble(s.latest)).register(registry);
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
        ArtifactRef adapter = event.adapter() != null ? event.adapter() : adapter(event.request(), ws);
        if (event.projection() == Projection.deferred) {
            return new AdapterTrained(event.request(), event.alignment(), adapter);
        }
        return new AdapterProjected(event.request(), event.alignment(), adapter, projected(event, adapter, ws));
    }

    private ArtifactRef adapter(JobRequest request, Workspace ws) throws Exception {
        ArtifactStore store = ws.store();
        if (request.adapter() != null) {
            Map<String, String> inputs = Map.of("adapter", store.digest(request.adapter()));
            return ws.result("adopt", TRAIN_VERSION, inputs, out -> PeftAdapter.open(store.folder(request.adapter()))
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
        return ws.result("train", TRAIN_VERSION, inputs, (out, checkpoint) -> {
            Map<String, String> provenance = new TreeMap<>();
            provenance.put("base", request.base());
            provenance.put("model", request.aligned());
            provenance.put("model, digest", inputs.get("model").toString());
            provenance.put("data, digest", inputs.get("data").toString());
            provenance.put(
                    "trainer", "result version " + TRAIN_VERSION + ", device " + device + ", dtype " + request.dtype());
            LoraTraining.run(
                    new LoraTraining.Options(
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
                    parameters -> {},
                    progress -> {
                        ws.checkCancelled();
                        steps.increment(Math.max(0, progress.step() - counted));
                        counted = progress.step();
                        latest = progress;
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
        });
    }

    private ArtifactRef projected(LayersSelected event, ArtifactRef adapter, Workspace ws) throws Exception {
        JobRequest request = event.request();
        ArtifactStore store = ws.store();
        Map<String, Object> inputs = Map.of(
                "base", store.digest(request.base()),
                "aligned", store.digest(request.aligned()),
                "adapter", adapter.sha256(),
                "selection", event.selection().sha256());
        return ws.result("project", PROJECT_VERSION, inputs, out -> {
            PeftAdapter peft = PeftAdapter.open(store.download(adapter));
            List<ModuleMeasure> measures = SafeLora.measure(
                    Checkpoint.open(store.folder(request.base())),
                    Checkpoint.open(store.folder(request.aligned())),
                    peft,
                    request.selection(),
                    (share, words) -> {
                        ws.checkCancelled();
                        ws.progress(share, "projecting " + words);
                    });
            // Decided before training there is no list yet: the strategy takes all that can be projected.
            Set<String> selected = event.adapter() == null
                    ? Selection.select(Candidate.of(measures), request.selection())
                    : named(store.read(event.selection(), SelectionReport.FILE, MAX_SELECTION_BYTES));
            AdapterRepair.repair(peft, measures, selected, request.selection(), null, Progress.NONE)
                    .write(out);
            SelectionReport.of(measures, selected, request.selection()).write(out);
        });
    }

    private static Set<String> named(byte[] selection) throws Exception {
        Set<String> names = new TreeSet<>();
        for (JsonNode module : Json.MAPPER.readTree(selection).path("selected")) {
            names.add(module.asText());
        }
        return names;
    }
}
