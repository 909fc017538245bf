package io.safelora.pipeline;

import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.AlignmentAnalyzed;
import io.safelora.contract.JobEvent.EvaluationCompleted;
import io.safelora.contract.Json;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;

/** The stage that ends a job of {@link DigestStage}: the job's one score is named by the digest of its base. */
class EvaluateStage implements Stage<AlignmentAnalyzed> {
    @Override
    public String name() {
        return "evaluate";
    }

    @Override
    public Class<AlignmentAnalyzed> input() {
        return AlignmentAnalyzed.class;
    }

    @Override
    public JobEvent run(AlignmentAnalyzed event, Workspace workspace) throws Exception {
        byte[] digest = workspace.store().read(event.alignment(), "digest.txt", 1000);
        Map<String, Object> score = Map.of(
                "model",
                new String(digest, StandardCharsets.UTF_8),
                "task",
                "digest",
                "metric",
                "length",
                "value",
                digest.length,
                "samples",
                1,
                "higher_is_better",
                true);
        return Json.MAPPER.convertValue(
                Map.of(
                        "request",
                        event.request(),
                        "projected",
                        event.alignment(),
                        "evaluation",
                        event.alignment(),
                        "scores",
                        List.of(score)),
                EvaluationCompleted.class);
    }
}
