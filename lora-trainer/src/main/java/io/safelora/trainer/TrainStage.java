package io.safelora.trainer;

import com.fasterxml.jackson.databind.JsonNode;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.AdapterProjected;
import io.safelora.contract.JobEvent.AdapterTrained;
import io.safelora.contract.JobEvent.LayersSelected;
import io.safelora.contract.JobEvent.LayersSelected.Projection;
import io.safelora.contract.JobRequest;
import io.safelora.contract.JobRequest.Device;
import io.safelora.contract.Json;
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
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * LayersSelected to AdapterTrained or AdapterProjected: trains the adapter if there is none yet, and projects it if it is
 * decided which modules.
 */
@ApplicationScoped
public class TrainStage implements Stage<LayersSelected> {
    private static final int TRAIN_VERSION = 1;
    private static final int PROJECT_VERSION = 2;
    private static final int MAX_SELECTION_BYTES = 64 << 20;

    private final Counter steps;
    private volatile double loss = Double.NaN;
    private volatile double tokensPerSecond;

    TrainStage(MeterRegistry registry) {
        steps = Counter.builder("safelora.training.steps").register(registry);
        Gauge.builder("safelora.training.loss", this, s -> s.loss).register(registry);
        Gauge.builder("safelora.training.tokens.per.second", this, s -> s.tokensPerSecond)
                .register(registry);
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
        Map<String, Object> inputs = Map.of(
                "model", store.digest(request.aligned()),
                "data", store.digest(request.training().data()),
                "options", request.training(),
                "dtype", request.dtype(),
                "device", device);
        return ws.result("train", TRAIN_VERSION, inputs, out -> {
            Path model = store.download(request.aligned());
            Path data = store.download(request.training().data());
            LoraTraining.run(
                    new LoraTraining.Options(
                            model,
                            request.aligned(),
                            data,
                            request.training(),
                            null,
                            device,
                            request.dtype().name()),
                    out,
                    (step, of, stepLoss, speed) -> {
                        ws.checkCancelled();
                        steps.increment();
                        loss = stepLoss;
                        tokensPerSecond = speed;
                        ws.progress(
                                (double) step / of,
                                String.format(
                                        Locale.ROOT,
                                        "step %d of %d, loss %.4f, %.0f tokens/s",
                                        step,
                                        of,
                                        stepLoss,
                                        speed));
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
