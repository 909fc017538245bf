package io.safelora.trainer;

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
import io.safelora.contract.SelectionOptions;
import io.safelora.contract.SelectionOptions.When;
import io.safelora.contract.TrainingOptions;
import io.safelora.method.AdapterRepair;
import io.safelora.method.AdapterRepair.Material;
import io.safelora.method.EveryStep;
import io.safelora.method.FineTuned;
import io.safelora.method.ModuleMeasure;
import io.safelora.method.SelectionReport;
import io.safelora.method.Sweep;
import io.safelora.method.Sweep.Point;
import io.safelora.pipeline.Stage;
import io.safelora.pipeline.Workspace;
import io.safelora.training.FineTuning;
import io.safelora.training.ModelCard;
import jakarta.enterprise.context.ApplicationScoped;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.ToDoubleFunction;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * LayersSelected to AdapterTrained or AdapterProjected: trains the adapter (with method full: the checkpoint) if there is none
 * yet, and projects it if it is decided which modules.
 */
@ApplicationScoped
public class TrainStage implements Stage<LayersSelected> {
    private static final int PROJECT_VERSION = 2;
    private static final Logger LOG = LoggerFactory.getLogger(TrainStage.class);
    private static final int TRAIN_VERSION = 4;
    private static final int MAX_SELECTION_BYTES = 64 << 20;

    private final Counter steps;
    private volatile FineTuning.Progress latest =
            new FineTuning.Progress(0, 0, Double.NaN, Double.NaN, Double.NaN, Double.NaN, null);
    // Tasks of a service run one after another.
    private int counted;

    public TrainStage(MeterRegistry registry) {
        steps = Counter.builder("safelora.training.steps").register(registry);
        gauge(registry, "safelora.training.loss", FineTuning.Progress::loss);
        gauge(registry, "safelora.training.learning.rate", FineTuning.Progress::learningRate);
        gauge(registry, "safelora.training.tokens.per.second", FineTuning.Progress::tokensPerSecond);
        gauge(registry, "safelora.training.eta.seconds", FineTuning.Progress::etaSeconds);
    }

    private void gauge(MeterRegistry registry, String name, ToDoubleFunction<FineTuning.Progress> figure) {
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
        ArtifactRef adapter = event.adapter() != null ? event.adapter() : adapter(event, ws);
        if (event.projection() == Projection.deferred) {
            return new AdapterTrained(event.request(), event.alignment(), adapter);
        }
        return repaired(event, adapter, ws);
    }

    private ArtifactRef adapter(LayersSelected event, Workspace ws) throws Exception {
        JobRequest request = event.request();
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
        boolean everyStep = request.selection().when() == When.every_step;
        if (everyStep) {
            inputs.put("base", store.digest(request.base()));
            inputs.put("projection", request.selection());
            inputs.put("selection", event.selection().sha256());
        }
        return ws.result("train", TRAIN_VERSION, inputs, (out, checkpoint) -> {
            Map<String, String> provenance = new TreeMap<>();
            provenance.put("base", request.base());
            provenance.put("model", request.aligned());
            provenance.put("model, digest", inputs.get("model").toString());
            provenance.put("data, digest", inputs.get("data").toString());
            provenance.put(
                    "trainer", "result version " + TRAIN_VERSION + ", device " + device + ", dtype " + request.dtype());
            try (EveryStep projection = everyStep
                    ? new EveryStep(
                            Checkpoint.open(store.folder(request.base())),
                            Checkpoint.open(store.folder(request.aligned())),
                            points(event, store).get(0).selected(),
                            request.selection())
                    : null) {
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
            }
        });
    }

    /** One repair, or in a sweep all of them; each projector is measured once. */
    private AdapterProjected repaired(LayersSelected event, ArtifactRef adapter, Workspace ws) throws Exception {
        JobRequest request = event.request();
        List<Point> points = points(event, ws.store());
        Repairs repairs = new Repairs(request, adapter, ws);
        List<JobEvent.Candidate> candidates = new ArrayList<>();
        for (Point point : points) {
            Map<String, Object> inputs = new TreeMap<>(Map.of(
                    "base", repairs.baseDigest,
                    "aligned", repairs.alignedDigest,
                    "adapter", adapter.sha256(),
                    "options", point.options(),
                    "selected", point.selected()));
            if (point.options().safetyAdapter() != null) {
                inputs.put("safety_adapter", ws.store().digest(point.options().safetyAdapter()));
            }
            String done = points.size() == 1 ? "" : (candidates.size() + 1) + " of " + points.size() + ": ";
            candidates.add(new JobEvent.Candidate(
                    point.name(),
                    ws.result("project", PROJECT_VERSION, inputs, out -> repairs.write(point, done, out))));
        }
        return new AdapterProjected(
                request,
                event.alignment(),
                adapter,
                candidates.get(0).adapter(),
                request.selection().sweep() == null ? null : candidates);
    }

    private static List<Point> points(LayersSelected event, ArtifactStore store) throws IOException {
        SelectionOptions options = event.request().selection();
        if (options.sweep() != null) {
            byte[] sweep = store.read(event.selection(), Sweep.FILE, MAX_SELECTION_BYTES);
            return List.of(Json.MAPPER.readValue(sweep, Point[].class));
        }
        byte[] selection = store.read(event.selection(), SelectionReport.FILE, MAX_SELECTION_BYTES);
        Set<String> selected = new TreeSet<>();
        Json.MAPPER.readTree(selection).path("selected").forEach(module -> selected.add(module.asText()));
        return List.of(new Point(Sweep.name(options), options, selected));
    }

    /** Repairs of one adapter or checkpoint. What several of them need is read once, and only when the first of them is made. */
    private static final class Repairs {
        private final JobRequest request;
        private final Workspace ws;
        private final ArtifactRef adapter;
        private final String baseDigest;
        private final String alignedDigest;
        private final Map<SelectionOptions, List<ModuleMeasure>> measured = new HashMap<>();
        private FineTuned tuned;
        private Material material;

        Repairs(JobRequest request, ArtifactRef adapter, Workspace ws) throws IOException {
            this.request = request;
            this.adapter = adapter;
            this.ws = ws;
            baseDigest = ws.store().digest(request.base());
            alignedDigest = ws.store().digest(request.aligned());
        }

        void write(Point point, String done, Path out) throws IOException {
            ArtifactStore store = ws.store();
            Checkpoint base = Checkpoint.open(store.folder(request.base()));
            Checkpoint aligned = Checkpoint.open(store.folder(request.aligned()));
            SelectionOptions options = point.options();
            if (tuned == null) {
                tuned = FineTuned.open(store.download(adapter));
                String safety = request.selection().safetyAdapter();
                material =
                        new Material(base, aligned, safety == null ? null : PeftAdapter.open(store.download(safety)));
            }
            io.safelora.method.Progress progress = (share, words) -> {
                ws.checkCancelled();
                ws.progress(share, "repairing " + done + words);
            };
            List<ModuleMeasure> measures = measured.computeIfAbsent(
                    Sweep.measuredBy(options), by -> tuned.measure(base, aligned, by, progress));
            Set<String> affected = AdapterRepair.affected(tuned.modules(), point.selected(), options);
            tuned.repair(measures, affected, options, material, out, progress);
            SelectionReport.of(measures, affected, options).write(out);
        }
    }
}
