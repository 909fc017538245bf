package io.safelora.selector;

import io.safelora.contract.ArtifactRef;
import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.AlignmentAnalyzed;
import io.safelora.contract.JobEvent.LayersSelected;
import io.safelora.contract.JobEvent.LayersSelected.Projection;
import io.safelora.contract.Json;
import io.safelora.contract.TargetModules;
import io.safelora.contract.TrainingOptions;
import io.safelora.pipeline.Stage;
import io.safelora.pipeline.Workspace;
import jakarta.enterprise.context.ApplicationScoped;
import java.nio.file.Files;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * AlignmentAnalyzed to LayersSelected, before training: which modules get LoRA. Which of them are projected is decided now
 * where it needs no trained update, else it is deferred to {@link SelectStage}.
 */
@ApplicationScoped
public class PlanStage implements Stage<AlignmentAnalyzed> {
    private static final int VERSION = 1;

    @Override
    public String name() {
        return "layer-selector";
    }

    @Override
    public Class<AlignmentAnalyzed> input() {
        return AlignmentAnalyzed.class;
    }

    @Override
    public JobEvent run(AlignmentAnalyzed event, Workspace ws) throws Exception {
        var request = event.request();
        Projection projection = request.selection().needsAdapter() ? Projection.deferred : Projection.decided;
        TargetModules targets = request.training() == null
                ? TargetModules.names(TrainingOptions.LINEAR_MODULES)
                : request.training().targetModules();
        Map<String, Object> plan = new LinkedHashMap<>();
        plan.put("projection", projection);
        plan.put("target_modules", targets);
        plan.put("options", request.selection());
        ArtifactRef selection =
                ws.result("plan", VERSION, plan, out -> Files.write(out.resolve("selection.json"), Json.pretty(plan)));
        return new LayersSelected(request, event.alignment(), selection, projection, null);
    }
}
