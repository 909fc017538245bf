package io.safelora.evaluator;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.EvaluationTask;
import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.AdapterProjected;
import io.safelora.contract.JobEvent.Candidate;
import io.safelora.contract.JobEvent.EvaluationCompleted;
import io.safelora.contract.JobRequest;
import io.safelora.contract.JobRequest.Device;
import io.safelora.contract.Json;
import io.safelora.contract.TaskFile;
import io.safelora.evaluation.Conclusion;
import io.safelora.evaluation.Evaluation;
import io.safelora.evaluation.JobEvaluation;
import io.safelora.evaluation.JobEvaluation.Concluded;
import io.safelora.evaluation.LocalTask;
import io.safelora.evaluation.ResultCard;
import io.safelora.evaluation.judge.Judges;
import io.safelora.evaluation.report.Report;
import io.safelora.evaluation.report.ReportFacts;
import io.safelora.lm.CausalLm;
import io.safelora.pipeline.Stage;
import io.safelora.pipeline.Workspace;
import jakarta.enterprise.context.ApplicationScoped;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** AdapterProjected to EvaluationCompleted: aligned, fine-tuned and projected model measured. */
@ApplicationScoped
public class EvaluateStage implements Stage<AdapterProjected> {
    private static final int MAX_BYTES = 64 << 20;

    private final Counter answers;

    EvaluateStage(MeterRegistry registry) {
        answers = Counter.builder("safelora.evaluation.answers").register(registry);
    }

    @Override
    public String name() {
        return "evaluator";
    }

    @Override
    public Class<AdapterProjected> input() {
        return AdapterProjected.class;
    }

    @Override
    public JobEvent run(AdapterProjected event, Workspace ws) throws Exception {
        JobRequest request = event.request();
        ArtifactStore store = ws.store();
        String device = (request.device() == Device.auto ? ws.config().device() : request.device()).name();
        String model = store.digest(request.aligned());
        List<Candidate> candidates = JobEvaluation.candidates(event);
        Judges judges = judges(request, ws, device);
        Map<String, Object> inputs = new TreeMap<>(Map.of(
                "model", model,
                "adapter", event.adapter().sha256(),
                "candidates", candidates,
                "alignment", event.alignment().sha256(),
                "tasks", request.evaluation(),
                "data", data(request, store),
                "require", request.requirements(),
                "selection", request.selection(),
                "dtype", request.dtype(),
                "device", device));
        inputs.put("judges", judges.identity(store::digest));
        ArtifactRef evaluation = ws.result("evaluate", Evaluation.VERSION, inputs, out -> {
            Concluded concluded = evaluation(request, event.adapter(), candidates, judges, device, store)
                    .run(
                            ws.jobId(),
                            store.download(event.alignment()),
                            ResultCard.origin(event, model, device),
                            out,
                            (share, words) -> {
                                ws.checkCancelled();
                                ws.progress(share, words);
                            });
            Report.write(out, ReportFacts.of(concluded));
            answers.increment(concluded.result().samples().size());
        });
        Conclusion conclusion =
                Json.MAPPER.readValue(store.read(evaluation, Conclusion.FILE, MAX_BYTES), Conclusion.class);
        return new EvaluationCompleted(
                request,
                candidates.stream()
                        .filter(c -> c.name().equals(conclusion.model()))
                        .map(Candidate::adapter)
                        .findFirst()
                        .orElse(event.adapter()),
                evaluation,
                conclusion.scores(),
                conclusion.recommended(),
                conclusion.warnings().isEmpty() ? null : conclusion.warnings(),
                conclusion.repair(),
                conclusion.verdict());
    }

    private static List<String> data(JobRequest request, ArtifactStore store) throws IOException {
        List<String> data = new ArrayList<>();
        for (EvaluationTask task : request.evaluation()) {
            if (!TaskFile.isName(task.task())) {
                data.add(store.digest(task.task()));
            }
            data.add(store.digest(task.data()));
            if (task.fewshotData() != null) {
                data.add(store.digest(task.fewshotData()));
            }
        }
        return data;
    }

    private static Judges judges(JobRequest request, Workspace ws, String device) {
        return new Judges(
                request.judges(),
                new Judges.Access(
                        ws.store()::download,
                        (checkpoint, dtype) ->
                                CausalLm.load(checkpoint, device, dtype).forInference(),
                        new StoredReplies(ws.store(), ws.config().artifactsUri()),
                        ws::mayAsk,
                        System::getenv));
    }

    private static JobEvaluation evaluation(
            JobRequest request,
            ArtifactRef tuned,
            List<Candidate> candidates,
            Judges judges,
            String device,
            ArtifactStore store)
            throws IOException {
        List<LocalTask> tasks = new ArrayList<>();
        for (EvaluationTask task : request.evaluation()) {
            tasks.add(LocalTask.of(task, store::download));
        }
        Map<String, Path> folders = new HashMap<>();
        for (Candidate candidate : candidates) {
            folders.put(candidate.name(), store.download(candidate.adapter()));
        }
        return new JobEvaluation(
                request,
                new JobEvaluation.Models(store.download(request.aligned()), store.download(tuned), candidates, folders),
                checkpoint -> CausalLm.load(checkpoint, device, request.dtype().name())
                        .forInference(),
                tasks,
                judges);
    }
}
