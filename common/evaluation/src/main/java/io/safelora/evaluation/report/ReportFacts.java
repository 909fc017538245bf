package io.safelora.evaluation.report;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.evaluation.Conclusion;
import io.safelora.evaluation.Evaluation.Result;
import io.safelora.evaluation.JobEvaluation.Concluded;
import io.safelora.evaluation.report.ScoreTable.Measure;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * report.json: all that report.html shows, and nothing that it does not.
 *
 * @param headline the verdict
 * @param scores the models side by side
 * @param plane skill against harm; null where one of them was not measured
 * @param modules what selection saw and took
 * @param training the loss; null where the job trained nothing
 * @param warnings what a reader of the scores should know
 */
public record ReportFacts(
        String title,
        Headline headline,
        ScoreTable scores,
        SkillAndHarm plane,
        Modules modules,
        TrainingLoss training,
        Answers answers,
        List<String> warnings,
        Provenance provenance) {

    private static final int TITLE = 100;

    /** What there is to tell of a job's evaluation. */
    public static ReportFacts of(Concluded job) throws IOException {
        Conclusion conclusion = job.conclusion();
        Result result = job.result();
        JobRequest request = job.request();
        String name = conclusion.recommended() == null ? Conclusion.PROJECTED : conclusion.recommended();
        JsonNode selection = json(job.repaired().resolve("selection.json"));
        ScoreTable scores = ScoreTable.of(result, name, conclusion.comparisons());
        Optional<Measure> harm = SkillAndHarm.harm(scores);
        Optional<Measure> skill = SkillAndHarm.skill(scores, job.pareto());
        List<String> warnings = new ArrayList<>(result.warnings());
        if (selection.hasNonNull("warning")) {
            warnings.add(selection.get("warning").asText());
        }
        return new ReportFacts(
                title(request.name() == null ? job.jobId() : request.name()),
                Headline.of(scores, harm, skill, name, conclusion),
                scores,
                SkillAndHarm.of(scores, job.pareto()).orElse(null),
                Modules.of(selection, json(job.alignment().resolve("alignment.json"))),
                TrainingLoss.of(json(job.tuned().resolve("trainer_state.json"))),
                Answers.of(result.samples(), result.agreements(), scores.main()),
                warnings,
                Provenance.of(job.jobId(), request, job.origin(), result.seconds()));
    }

    private static String title(String name) {
        return name.length() <= TITLE ? name : Answers.cut(name, TITLE) + "…";
    }

    private static JsonNode json(Path file) throws IOException {
        return Files.exists(file) ? Json.MAPPER.readTree(file.toFile()) : Json.MAPPER.missingNode();
    }
}
