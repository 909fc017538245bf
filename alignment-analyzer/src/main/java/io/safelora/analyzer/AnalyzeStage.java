package io.safelora.analyzer;

import io.safelora.contract.ArtifactRef;
import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.AlignmentAnalyzed;
import io.safelora.contract.JobEvent.AlignmentPartRequested;
import io.safelora.contract.JobRequest;
import io.safelora.pipeline.Stage;
import io.safelora.pipeline.Workspace;
import io.safelora.preflight.JobInputs;
import jakarta.enterprise.context.ApplicationScoped;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;

/**
 * JobRequested to AlignmentAnalyzed: what the job refers to is opened first, so that no later stage refuses it; then
 * what alignment changed, module by module, read in place. A large model's modules are divided into tasks for all
 * replicas, {@link AnalyzePartStage}, of which the last one answers.
 */
@ApplicationScoped
public class AnalyzeStage implements Stage<JobRequest> {
    static final String NAME = "alignment-analyzer";

    /** 1 GB of each checkpoint in bfloat16: some seconds of work. Models up to that are one task. */
    private static final long PART_ELEMENTS = 500_000_000;

    private final long partElements;

    public AnalyzeStage() {
        this(PART_ELEMENTS);
    }

    /** @param partElements how many elements of the weights make a task full */
    public AnalyzeStage(long partElements) {
        this.partElements = partElements;
    }

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public Class<JobRequest> input() {
        return JobRequest.class;
    }

    @Override
    public JobEvent run(JobRequest request, Workspace ws) throws Exception {
        ws.progress(0, "looking at models and data");
        new JobInputs(request, ws.store(), ws.scratch(), ws::mayAsk).check();
        Map<String, String> digests = AlignmentParts.digests(ws, request);
        Optional<ArtifactRef> there = AlignmentParts.find(ws, digests);
        if (there.isPresent()) {
            return new AlignmentAnalyzed(request, there.get());
        }
        AlignmentParts parts = new AlignmentParts(ws, request, digests, partElements);
        if (parts.count() == 1) {
            return new AlignmentAnalyzed(request, parts.whole());
        }
        String division = UUID.randomUUID().toString();
        for (int part = 0; part < parts.count(); part++) {
            ws.send(new AlignmentPartRequested(
                    request, digests.get("base"), digests.get("aligned"), partElements, part, parts.count(), division));
        }
        return null;
    }
}
