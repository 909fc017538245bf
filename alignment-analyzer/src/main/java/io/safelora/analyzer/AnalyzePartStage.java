package io.safelora.analyzer;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.InvalidInputException;
import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.AlignmentAnalyzed;
import io.safelora.contract.JobEvent.AlignmentPartRequested;
import io.safelora.pipeline.Stage;
import io.safelora.pipeline.Workspace;
import jakarta.enterprise.context.ApplicationScoped;
import java.util.Map;
import java.util.Optional;

/**
 * AlignmentPartRequested to a part of the analysis in the store; and to AlignmentAnalyzed, if that was the last part.
 * No task waits for another: every one looks, when its own part is in the store, whether all are. Two that finish at
 * once both see all of them, and make the same joined result; a claim lets one of them answer. One that is killed in
 * between is repeated, finds its part made, and looks again.
 */
@ApplicationScoped
public class AnalyzePartStage implements Stage<AlignmentPartRequested> {
    @Override
    public String name() {
        return AnalyzeStage.NAME;
    }

    @Override
    public Class<AlignmentPartRequested> input() {
        return AlignmentPartRequested.class;
    }

    @Override
    public JobEvent run(AlignmentPartRequested event, Workspace ws) throws Exception {
        Map<String, String> digests = AlignmentParts.digests(ws, event.request());
        // Parts of different versions would never make a whole.
        unchanged(event.request().base(), event.baseDigest(), digests.get("base"));
        unchanged(event.request().aligned(), event.alignedDigest(), digests.get("aligned"));
        AlignmentParts parts = new AlignmentParts(ws, event.request(), digests, event.partElements());
        if (event.parts() != parts.count() || event.part() >= parts.count()) {
            throw new InvalidInputException("part " + event.part() + " of " + event.parts() + " does not fit "
                    + event.request().aligned() + ", which has " + parts.count() + "; publish the job again");
        }
        parts.part(event.part());
        Optional<ArtifactRef> alignment = parts.join();
        if (alignment.isEmpty() || !ws.claim(event.division(), "part " + event.part())) {
            return null;
        }
        return new AlignmentAnalyzed(event.request(), alignment.get());
    }

    private static void unchanged(String uri, String before, String now) {
        if (!before.equals(now)) {
            throw new InvalidArtifactException(
                    uri + ": changed while it was read; publish models under a new key instead of over an old one");
        }
    }
}
