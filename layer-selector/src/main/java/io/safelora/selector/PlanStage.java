package io.safelora.selector;

import com.fasterxml.jackson.databind.JsonNode;
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
import io.safelora.method.Selection;
import io.safelora.method.Selection.Candidate;
import io.safelora.pipeline.Stage;
import io.safelora.pipeline.Workspace;
import jakarta.enterprise.context.ApplicationScoped;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/**
 * AlignmentAnalyzed to LayersSelected, before training: which modules get LoRA. Which of them are projected is decided now
 * where it needs no trained update, else it is deferred to {@link SelectStage}.
 */
@ApplicationScoped
public class PlanStage implements Stage<AlignmentAnalyzed> {
    private static final int VERSION = 2;
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
        Projection projection = options.needsAdapter() ? Projection.deferred : Projection.decided;
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
        ArtifactRef selection = ws.result("plan", VERSION, inputs, out -> {
            Map<String, Object> plan = new LinkedHashMap<>();
            plan.put("projection", projection);
            plan.put("options", options);
            if (projection == Projection.decided) {
                plan.put("selected", Selection.select(candidates(event, store), options));
            }
            Files.write(out.resolve("selection.json"), Json.pretty(plan));
        });
        return new LayersSelected(request, event.alignment(), selection, projection, null);
    }

    /** The modules of the analysis that have, or will have, an update. */
    private static List<Candidate> candidates(AlignmentAnalyzed event, ArtifactStore store) throws IOException {
        Predicate<String> adapted = adapted(event.request(), store);
        JsonNode alignment = Json.MAPPER.readTree(store.read(event.alignment(), "alignment.json", MAX_ALIGNMENT_BYTES));
        List<Candidate> candidates = new ArrayList<>();
        for (JsonNode module : alignment.path("modules")) {
            String name = module.path("module").asText();
            if (adapted.test(name)) {
                candidates.add(
                        new Candidate(name, null, module.path("delta_norm").asDouble()));
            }
        }
        return candidates;
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
        return targets.names() == null
                ? name -> true
                : name -> targets.names().stream().anyMatch(t -> name.equals(t) || name.endsWith("." + t));
    }
}
