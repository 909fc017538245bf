package io.safelora.trainer;

import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.JobEvent.AdapterProjected;
import io.safelora.contract.JobEvent.Candidate;
import io.safelora.contract.JobEvent.Candidate.Control;
import io.safelora.contract.JobEvent.LayersSelected;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.contract.SelectionOptions;
import io.safelora.contract.TrainingOptions.Method;
import io.safelora.method.FineTuned;
import io.safelora.method.Plan;
import io.safelora.method.Progress;
import io.safelora.method.Repairing;
import io.safelora.method.SelectionReport;
import io.safelora.method.Sources;
import io.safelora.method.Sweep;
import io.safelora.method.Sweep.Point;
import io.safelora.pipeline.Workspace;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * LayersSelected with a trained adapter or checkpoint to AdapterProjected: one repair and its controls, or in a sweep
 * all repairs. What
 * is in the store already is not made again, and what several repairs need is read once, when the first of them is
 * made.
 */
final class RepairTask {
    private static final int MAX_SELECTION_BYTES = 64 << 20;

    private final LayersSelected event;
    private final JobRequest request;
    private final ArtifactRef adapter;
    private final Workspace ws;
    private Repairing repairing;

    /** @param adapter what is repaired */
    RepairTask(LayersSelected event, ArtifactRef adapter, Workspace ws) {
        this.event = event;
        this.request = event.request();
        this.adapter = adapter;
        this.ws = ws;
    }

    AdapterProjected run() throws Exception {
        String base = ws.store().digest(request.base());
        String aligned = ws.store().digest(request.aligned());
        List<Point> points = points(event, ws.store());
        boolean sweep = request.selection().sweep() != null;
        List<Point> all = new ArrayList<>(points);
        if (!sweep && request.controls()) {
            Set<String> selected = points.get(0).selected();
            Sweep.controls(points.get(0).options(), factors())
                    .forEach((name, options) -> all.add(new Point(name, options, selected)));
        }
        List<Candidate> candidates = new ArrayList<>();
        for (Point point : all) {
            Map<String, Object> inputs = new TreeMap<>(Map.of(
                    "base", base,
                    "aligned", aligned,
                    "adapter", adapter.sha256(),
                    "options", point.options(),
                    "selected", point.selected()));
            if (point.options().safetyAdapter() != null) {
                inputs.put("safety_adapter", ws.store().digest(point.options().safetyAdapter()));
            }
            String done = all.size() == 1 ? "" : (candidates.size() + 1) + " of " + all.size() + ": ";
            Progress progress = (share, words) -> {
                ws.checkCancelled();
                ws.progress(share, "repairing " + done + words);
            };
            candidates.add(candidate(point, ws.result("project", Repairing.VERSION, inputs, out -> repairing()
                    .repair(point, out, progress))));
        }
        return new AdapterProjected(
                request,
                event.alignment(),
                adapter,
                candidates.get(0).adapter(),
                sweep ? candidates : null,
                sweep || candidates.size() == 1 ? null : candidates.subList(1, candidates.size()));
    }

    /** Adapters are small, and measured together; a checkpoint is a whole model, and is measured by itself. */
    private List<Double> factors() {
        boolean full = request.training() != null && request.training().method() == Method.full;
        return full ? List.of(0.5) : List.of(0.75, 0.5, 0.25);
    }

    private static Candidate candidate(Point point, ArtifactRef repaired) {
        Control control =
                switch (point.options().repair()) {
                    case drop -> Control.drop;
                    case scale -> Control.scale;
                    default -> null;
                };
        String dropped = control == null
                ? Sweep.dropped(point.options()).map(Sweep::name).orElse(null)
                : null;
        return new Candidate(point.name(), repaired, control, dropped);
    }

    private Repairing repairing() throws IOException {
        if (repairing == null) {
            ArtifactStore store = ws.store();
            String safety = request.selection().safetyAdapter();
            Sources sources = new Sources(
                    Checkpoint.open(store.folder(request.base())),
                    Checkpoint.open(store.folder(request.aligned())),
                    safety == null ? null : PeftAdapter.open(store.download(safety)));
            repairing = new Repairing(FineTuned.open(store.download(adapter), sources));
        }
        return repairing;
    }

    /**
     * What the layer-selector chose: before training in a plan, after it in a selection, or for every repair of a
     * sweep.
     */
    static List<Point> points(LayersSelected event, ArtifactStore store) throws IOException {
        SelectionOptions options = event.request().selection();
        if (event.adapter() == null) {
            return List.of(
                    point(options, read(event, store, Plan.FILE, Plan.class).selected()));
        }
        if (options.sweep() == null) {
            List<String> selected = read(event, store, SelectionReport.FILE, SelectionReport.class)
                    .selected();
            return List.of(point(options, new TreeSet<>(selected)));
        }
        return List.of(read(event, store, Sweep.FILE, Point[].class));
    }

    private static Point point(SelectionOptions options, Set<String> selected) {
        return new Point(Sweep.name(options), options, selected);
    }

    private static <T> T read(LayersSelected event, ArtifactStore store, String file, Class<T> type)
            throws IOException {
        return Json.MAPPER.readValue(store.read(event.selection(), file, MAX_SELECTION_BYTES), type);
    }
}
