package io.safelora.selector;

import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.AdapterTrained;
import io.safelora.contract.JobEvent.LayersSelected;
import io.safelora.contract.JobEvent.LayersSelected.Projection;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.contract.SelectionOptions;
import io.safelora.method.FineTuned;
import io.safelora.method.Progress;
import io.safelora.method.Repairing;
import io.safelora.method.Selection;
import io.safelora.method.Sources;
import io.safelora.method.Sweep;
import io.safelora.pipeline.Stage;
import io.safelora.pipeline.Workspace;
import jakarta.enterprise.context.ApplicationScoped;
import java.nio.file.Files;
import java.util.Map;

/** AdapterTrained to LayersSelected, after training: which modules are projected, by the cosine of their update. */
@ApplicationScoped
public class SelectStage implements Stage<AdapterTrained> {
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
        JobRequest request = event.request();
        SelectionOptions options = request.selection();
        ArtifactStore store = ws.store();
        Map<String, Object> inputs = Map.of(
                "base", store.digest(request.base()),
                "aligned", store.digest(request.aligned()),
                "adapter", event.adapter().sha256(),
                "options", options);
        ArtifactRef selection = ws.result("select", Selection.VERSION, inputs, out -> {
            Sources sources = new Sources(
                    Checkpoint.open(store.folder(request.base())),
                    Checkpoint.open(store.folder(request.aligned())),
                    null);
            Repairing repairing = new Repairing(FineTuned.open(store.download(event.adapter()), sources));
            Progress progress = (share, words) -> {
                ws.checkCancelled();
                ws.progress(share, words);
            };
            if (options.sweep() == null) {
                repairing.select(options, progress).write(out);
            } else {
                Files.write(out.resolve(Sweep.FILE), Json.pretty(repairing.sweep(options, progress)));
            }
        });
        return new LayersSelected(request, event.alignment(), selection, Projection.decided, event.adapter());
    }
}
