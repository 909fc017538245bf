package io.safelora.selector;

import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.AdapterTrained;
import io.safelora.contract.JobEvent.LayersSelected;
import io.safelora.contract.JobEvent.LayersSelected.Projection;
import io.safelora.contract.Json;
import io.safelora.contract.SelectionOptions;
import io.safelora.method.FineTuned;
import io.safelora.method.ModuleMeasure;
import io.safelora.method.Progress;
import io.safelora.method.Selection;
import io.safelora.method.Selection.Candidate;
import io.safelora.method.SelectionReport;
import io.safelora.method.Sweep;
import io.safelora.pipeline.Stage;
import io.safelora.pipeline.Workspace;
import jakarta.enterprise.context.ApplicationScoped;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;

/** AdapterTrained to LayersSelected, after training: which modules are projected, by the cosine of their update. */
@ApplicationScoped
public class SelectStage implements Stage<AdapterTrained> {
    private static final int VERSION = 3;

    @Override
    public String name() {
        return "layer-selector";
    }

    @Override
    public Class<AdapterTrained> input() {
        return AdapterTrained.class;
    }

    @Override
    public JobEvent run(AdapterTrained event, Workspace ws) throws Exception {
        var request = event.request();
        SelectionOptions options = request.selection();
        ArtifactStore store = ws.store();
        Map<String, Object> inputs = Map.of(
                "base", store.digest(request.base()),
                "aligned", store.digest(request.aligned()),
                "adapter", event.adapter().sha256(),
                "options", options);
        ArtifactRef selection = ws.result("select", VERSION, inputs, out -> {
            Checkpoint base = Checkpoint.open(store.folder(request.base()));
            Checkpoint aligned = Checkpoint.open(store.folder(request.aligned()));
            FineTuned tuned = FineTuned.open(store.download(event.adapter()));
            Progress progress = (share, words) -> {
                ws.checkCancelled();
                ws.progress(share, words);
            };
            if (options.sweep() != null) {
                List<Sweep.Point> points =
                        Sweep.select(tuned.modules(), options, by -> tuned.measure(base, aligned, by, progress));
                Files.write(out.resolve(Sweep.FILE), Json.pretty(points));
            } else {
                List<ModuleMeasure> measures = tuned.measure(base, aligned, options, progress);
                var selected = Selection.select(Candidate.of(measures), options);
                SelectionReport.of(base, aligned, measures, selected, options).write(out);
            }
        });
        return new LayersSelected(request, event.alignment(), selection, Projection.decided, event.adapter());
    }
}
