package io.safelora.evaluator;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import io.safelora.artifacts.checkpoint.PeftAdapter;
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
import io.safelora.evaluation.Report;
import io.safelora.evaluation.ResultCard;
import io.safelora.lm.CausalLm;
import io.safelora.pipeline.Stage;
import io.safelora.pipeline.Workspace;
import jakarta.enterprise.context.ApplicationScoped;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** AdapterProjected to EvaluationCompleted: aligned, fine-tuned and projected model measured. */
@ApplicationScoped
public class EvaluateStage implements Stage<AdapterProjected> {
    static final String EVALUATION = "evaluation.json";
    static final String REPORT = "report.html";
    private static final int VERSION = 5;
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
                "model", store.digest(request.aligned()),
                "adapter", event.adapter().sha256(),
                "repairs", repairs,
                "alignment", event.alignment().sha256(),
                "tasks", request.evaluation(),
                "data", data,
                "dtype", request.dtype(),
                "device", device);
        ArtifactRef evaluation = ws.result("evaluate", VERSION, inputs, out -> {
            Path tuned = store.download(event.adapter());
            List<LocalTask> tasks = new ArrayList<>();
            for (EvaluationTask task : request.evaluation()) {
                tasks.add(new LocalTask(
                        task,
                        store.download(task.data()),
                        task.fewshotData() == null ? null : store.download(task.fewshotData())));
            }
            Map<String, Path> models = new LinkedHashMap<>();
            models.put("fine-tuned", tuned);
            for (Map.Entry<String, ArtifactRef> repair : repairs.entrySet()) {
                models.put(repair.getKey(), store.download(repair.getValue()));
            }
            Result result = measured(
                    store.download(request.aligned()),
                    models,
                    directory -> CausalLm.load(
                                    directory, device, request.dtype().name())
                            .forInference(),
                    tasks,
                    (share, words) -> {
                        ws.checkCancelled();
                        ws.progress(share, words);
                    });
            Pareto pareto = event.candidates() == null
                    ? null
                    : Pareto.of(result.scores(), repairs.keySet()).orElse(null);
            if (pareto != null) {
                Files.write(out.resolve(Pareto.FILE), Json.pretty(pareto));
            }
            Path projected = store.download(
                    pareto == null || pareto.recommended() == null
                            ? event.projected()
                            : repairs.get(pareto.recommended()));
            answers.increment(result.samples().size());
            Files.write(out.resolve(EVALUATION), Json.pretty(result));
            Files.writeString(
                    out.resolve(ResultCard.FILE),
                    ResultCard.of(
                            request, result.scores(), tuned, projected, origin(event, inputs.get("model"), device)));
            Files.writeString(
                    out.resolve(REPORT),
                    Report.html(
                            ws.jobId(),
                            request,
                            result,
                            store.download(event.alignment()),
                            tuned,
                            projected,
                            pareto,
                            origin(event, inputs.get("model"), device)));
        });
        Result result = Json.MAPPER.readValue(store.read(evaluation, EVALUATION, MAX_EVALUATION_BYTES), Result.class);
        if (event.candidates() == null) {
            return new EvaluationCompleted(request, event.projected(), evaluation, result.scores(), null);
        }
        // Measured without harmfulness or skill, the candidates cannot be ranked: the first one stands.
        Path folder = store.download(evaluation);
        String recommended = Files.exists(folder.resolve(Pareto.FILE))
                ? Json.MAPPER
                        .readValue(folder.resolve(Pareto.FILE).toFile(), Pareto.class)
                        .recommended()
                : null;
        return new EvaluationCompleted(
                request,
                recommended == null ? event.projected() : repairs.get(recommended),
                evaluation,
                result.scores(),
                recommended);
    }

    /** Loads a checkpoint. */
    interface Loader {
        CausalLm load(Path checkpoint) throws IOException;
    }

    /**
     * Adapters are measured together, on the aligned model's weights; checkpoints one after another, so that no two models
     * stand in memory.
     *
     * @param models adapters or checkpoints by the names that scores call them, all of one kind
     */
    static Result measured(
            Path aligned, Map<String, Path> models, Loader loader, List<LocalTask> tasks, Evaluation.Listener listener)
            throws IOException {
        if (models.values().stream().allMatch(PeftAdapter::isIn)) {
            try (CausalLm model = loader.load(aligned)) {
                Map<String, String> adapters = new LinkedHashMap<>();
                adapters.put("aligned", null);
                for (Map.Entry<String, Path> adapter : models.entrySet()) {
                    model.loadAdapter(adapter.getKey(), adapter.getValue());
                    adapters.put(adapter.getKey(), adapter.getKey());
                }
                return Evaluation.run(model, adapters, tasks, listener);
            }
        }
        Map<String, Path> checkpoints = new LinkedHashMap<>();
        checkpoints.put("aligned", aligned);
        checkpoints.putAll(models);
        List<Result> results = new ArrayList<>();
        for (Map.Entry<String, Path> checkpoint : checkpoints.entrySet()) {
            try (CausalLm model = loader.load(checkpoint.getValue())) {
                results.add(Evaluation.run(
                        model,
                        Collections.singletonMap(checkpoint.getKey(), null),
                        tasks,
                        (share, words) -> listener.at((results.size() + share) / checkpoints.size(), words)));
            }
        }
        return Evaluation.joined(results);
    }

    private static Map<String, String> origin(AdapterProjected event, Object model, String device) {
        Map<String, String> rows = new LinkedHashMap<>();
        rows.put("aligned, digest", model.toString());
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
