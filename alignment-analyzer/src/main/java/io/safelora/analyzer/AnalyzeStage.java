package io.safelora.analyzer;

import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.AlignmentAnalyzed;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.method.Alignment;
import io.safelora.method.AlignmentAnalysis;
import io.safelora.pipeline.Stage;
import io.safelora.pipeline.Workspace;
import jakarta.enterprise.context.ApplicationScoped;
import java.nio.file.Files;
import java.util.Map;

/** JobRequested to AlignmentAnalyzed: what alignment changed, module by module, read in place. */
@ApplicationScoped
public class AnalyzeStage implements Stage<JobRequest> {
    private static final int VERSION = 2;

    @Override
    public String name() {
        return "alignment-analyzer";
    }

    @Override
    public Class<JobRequest> input() {
        return JobRequest.class;
    }

    @Override
    public JobEvent run(JobRequest request, Workspace ws) throws Exception {
        ArtifactStore store = ws.store();
        Map<String, String> inputs =
                Map.of("base", store.digest(request.base()), "aligned", store.digest(request.aligned()));
        ArtifactRef alignment = ws.result("analyze", VERSION, inputs, out -> {
            Alignment modules = AlignmentAnalysis.run(
                    Checkpoint.open(store.folder(request.base())),
                    Checkpoint.open(store.folder(request.aligned())),
                    (share, words) -> {
                        ws.checkCancelled();
                        ws.progress(share, words);
                    });
            Files.write(out.resolve(Alignment.FILE), Json.pretty(modules));
        });
        return new AlignmentAnalyzed(request, alignment);
    }
}
