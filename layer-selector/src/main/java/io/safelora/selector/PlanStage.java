package io.safelora.selector;

import io.safelora.artifacts.checkpoint.ModuleName;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.AlignmentAnalyzed;
import io.safelora.contract.JobEvent.LayersSelected;
import io.safelora.contract.JobEvent.LayersSelected.Projection;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.contract.SelectionOptions;
import io.safelora.contract.TargetModules;
import io.safelora.contract.TrainingOptions.Method;
import io.safelora.method.Alignment;
import io.safelora.method.Plan;
import io.safelora.method.Selection;
import io.safelora.method.Selection.Candidate;
import io.safelora.pipeline.Stage;
import io.safelora.pipeline.Workspace;
import jakarta.enterprise.context.ApplicationScoped;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;

/**
 * AlignmentAnalyzed to LayersSelected, before training: which modules get LoRA. Which of them are projected is decided
 * now where it needs no trained update, else it is deferred to {@link SelectStage}.
 */
@ApplicationScoped
public class PlanStage implements Stage<AlignmentAnalyzed> {
    private static final int MAX_ALIGNMENT_BYTES = 64 << 20;

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
        JobRequest request = event.request();
        SelectionOptions options = request.selection();
        ArtifactStore store = ws.store();
        Projection projection = Selection.needsUpdate(options) ? Projection.deferred : Projection.decided;
        Map<String, Object> inputs = new LinkedHashMap<>();
        inputs.put("projection", projection);
        inputs.put("options", options);
        inputs.put("alignment", event.alignment().sha256());
        inputs.put(
                "target_modules",
                request.training() == null
                        ? store.digest(request.adapter())
                        : request.training().method() == Method.full
                                ? Method.full
                                : request.training().targetModules());
        ArtifactRef selection = ws.result("plan", Selection.VERSION, inputs, out -> {
            Set<String> selected =
                    projection == Projection.deferred ? null : Selection.select(candidates(event, store), options);
            new Plan(projection, options, selected).write(out);
        });
        return new LayersSelected(request, event.alignment(), selection, projection, null);
    }

    /** The modules of the analysis that have, or will have, an update. */
    private static List<Candidate> candidates(AlignmentAnalyzed event, ArtifactStore store) throws IOException {
        Predicate<String> adapted = adapted(event.request(), store);
        Alignment alignment = Json.MAPPER.readValue(
                store.read(event.alignment(), Alignment.FILE, MAX_ALIGNMENT_BYTES), Alignment.class);
        return alignment.modules().stream()
                .filter(module -> adapted.test(module.module()))
                .map(module -> new Candidate(module.module(), null, module.deltaNorm()))
                .toList();
    }

    private static Predicate<String> adapted(JobRequest request, ArtifactStore store) throws IOException {
        if (request.training() == null) {
            var modules =
                    PeftAdapter.open(store.folder(request.adapter())).modules().keySet();
            return modules::contains;
        }
        if (request.training().method() == Method.full) {
            return name -> true;
        }
        TargetModules targets = request.training().targetModules();
        // all-linear, and a regular expression that the trainer will try on the model's own names, leave none out here.
        return targets.names() == null ? name -> true : name -> new ModuleName(name).isCalledAny(targets.names());
    }
}
