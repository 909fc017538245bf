package io.safelora.evaluator;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.EvaluationTask;
import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.AdapterProjected;
import io.safelora.contract.JobEvent.EvaluationCompleted;
import io.safelora.contract.JobRequest;
import io.safelora.contract.JobRequest.Device;
import io.safelora.contract.Json;
import io.safelora.contract.TrainingOptions.Method;
import io.safelora.evaluation.Evaluation;
import io.safelora.evaluation.Evaluation.LocalTask;
import io.safelora.evaluation.Evaluation.Result;
import io.safelora.evaluation.Pareto;
import io.safelora.evaluation.ResultCard;
import io.safelora.evaluation.report.Report;
import io.safelora.evaluation.report.ReportFacts;
import io.safelora.lm.CausalLm;
import io.safelora.pipeline.Stage;
import io.safelora.pipeline.Workspace;
import jakarta.enterprise.context.ApplicationScoped;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** AdapterProjected to EvaluationCompleted: aligned, fine-tuned and projected model measured. */
@ApplicationScoped
public class EvaluateStage implements Stage<AdapterProjected> {
    static final String EVALUATION = "evaluation.json";
    private static final int VERSION = 7;
    private static final int MAX_EVALUATION_BYTES = 256 << 20;

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
        List<String> data = new ArrayList<>();
        for (EvaluationTask task : request.evaluation()) {
            data.add(store.digest(task.data()));
            if (task.fewshotData() != null) {
                data.add(store.digest(task.fewshotData()));
            }
        }
        // By the names that scores call them.
        Map<String, ArtifactRef> repairs = new LinkedHashMap<>();
        if (event.candidates() == null) {
            repairs.put("projected", event.projected());
        } else {
            event.candidates().forEach(c -> repairs.put(c.name(), c.adapter()));
        }
        Map<String, Object> inputs = Map.of(
                "model",
                model,
                "adapter",
                event.adapter().sha256(),
                "repairs",
                repairs,
                "alignment",
                event.alignment().sha256(),
                "tasks",
                request.evaluation(),
                "data",
                data,
                "dtype",
                request.dtype(),
                "device",
                device);
        ArtifactRef evaluation = ws.result("evaluate", VERSION, inputs, out -> {
            Result result = measured(event, ws, repairs, device);
            answers.increment(result.samples().size());
            Files.write(out.resolve(EVALUATION), Json.pretty(result));
            // Measured without harmfulness or skill, the candidates cannot be ranked: the first one stands.
            Pareto pareto = event.candidates() == null
                    ? null
                    : Pareto.of(result.scores(), repairs.keySet()).orElse(null);
            if (pareto != null) {
                Files.write(out.resolve(Pareto.FILE), Json.pretty(pareto));
            }
            Path tuned = store.download(event.adapter());
            Path projected = store.download(
                    pareto == null || pareto.recommended() == null
                            ? event.projected()
                            : repairs.get(pareto.recommended()));
            Path alignment = store.download(event.alignment());
            Map<String, String> origin = origin(event, model, device);
            Files.writeString(out.resolve(ResultCard.FILE), ResultCard.of(request, result, tuned, projected, origin));
            Report.write(
                    out, ReportFacts.of(ws.jobId(), request, result, alignment, tuned, projected, pareto, origin));
        });
        Result result = Json.MAPPER.readValue(store.read(evaluation, EVALUATION, MAX_EVALUATION_BYTES), Result.class);
        Path sweep =
                event.candidates() == null ? null : store.download(evaluation).resolve(Pareto.FILE);
        String recommended = sweep != null && Files.exists(sweep)
                ? Json.MAPPER.readValue(sweep.toFile(), Pareto.class).recommended()
                : null;
        return new EvaluationCompleted(
                request,
                recommended == null ? event.projected() : repairs.get(recommended),
                evaluation,
                result.scores(),
                recommended,
                result.warnings().isEmpty() ? null : result.warnings());
    }

    private static Result measured(
            AdapterProjected event, Workspace ws, Map<String, ArtifactRef> repairs, String device) throws IOException {
        JobRequest request = event.request();
        List<LocalTask> tasks = new ArrayList<>();
        for (EvaluationTask task : request.evaluation()) {
            Path data = ws.store().download(task.data());
            tasks.add(new LocalTask(
                    task, data, task.fewshotData() == null ? null : ws.store().download(task.fewshotData())));
        }
        Map<String, Path> models = new LinkedHashMap<>();
        models.put("fine-tuned", ws.store().download(event.adapter()));
        for (Map.Entry<String, ArtifactRef> repair : repairs.entrySet()) {
            models.put(repair.getKey(), ws.store().download(repair.getValue()));
        }
        String dtype = request.dtype().name();
        return Evaluation.compare(
                ws.store().download(request.aligned()),
                models,
                checkpoint -> CausalLm.load(checkpoint, device, dtype).forInference(),
                tasks,
                (share, words) -> {
                    ws.checkCancelled();
                    ws.progress(share, words);
                });
    }

    private static Map<String, String> origin(AdapterProjected event, String model, String device) {
        Map<String, String> rows = new LinkedHashMap<>();
        rows.put("aligned, digest", model);
        rows.put("alignment, sha256", event.alignment().sha256());
        JobRequest request = event.request();
        boolean full = request.training() != null && request.training().method() == Method.full;
        String what = full ? "checkpoint" : "adapter";
        rows.put(what + " before projection, sha256", event.adapter().sha256());
        rows.put("projected " + what, event.projected().uri());
        rows.put("projected " + what + ", sha256", event.projected().sha256());
        rows.put(
                "software",
                "evaluator result version " + VERSION + ", PyTorch "
                        + ai.djl.engine.Engine.getEngine("PyTorch").getVersion() + ", Java "
                        + System.getProperty("java.version") + ", device " + device);
        return rows;
    }
}
