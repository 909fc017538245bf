package io.safelora.trainer;

import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.AdapterProjected;
import io.safelora.contract.JobEvent.LayersSelected;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.contract.SelectionOptions;
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
 * LayersSelected with a trained adapter or checkpoint to AdapterProjected: one repair, or in a sweep all of them. What
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
        List<JobEvent.Candidate> candidates = new ArrayList<>();
        for (Point point : points) {
            Map<String, Object> inputs = new TreeMap<>(Map.of(
                    "base", base,
                    "aligned", aligned,
                    "adapter", adapter.sha256(),
                    "options", point.options(),
                    "selected", point.selected()));
            if (point.options().safetyAdapter() != null) {
                inputs.put("safety_adapter", ws.store().digest(point.options().safetyAdapter()));
            }
            String done = points.size() == 1 ? "" : (candidates.size() + 1) + " of " + points.size() + ": ";
            Progress progress = (share, words) -> {
                ws.checkCancelled();
                ws.progress(share, "repairing " + done + words);
            };
            candidates.add(new JobEvent.Candidate(
                    point.name(), ws.result("project", Repairing.VERSION, inputs, out -> repairing()
                            .repair(point, out, progress))));
        }
        return new AdapterProjected(
                request,
                event.alignment(),
                adapter,
                candidates.get(0).adapter(),
                request.selection().sweep() == null ? null : candidates);
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
