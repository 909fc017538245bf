package io.safelora.evaluation;

import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.contract.JobEvent.Candidate;
import io.safelora.contract.JobEvent.Candidate.Control;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.evaluation.Evaluation.Listener;
import io.safelora.evaluation.Evaluation.Loader;
import io.safelora.evaluation.Evaluation.LocalTask;
import io.safelora.evaluation.Evaluation.Result;
import io.safelora.lm.CausalLm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A job's whole evaluation: its models are measured, a result is chosen among them and judged, and all of it written. */
public final class JobEvaluation {
    public static final String FILE = "evaluation.json";
    public static final String REPORT = "report.html";

    private final JobRequest request;
    private final Models models;
    private final Loader loader;
    private final List<LocalTask> tasks;
    /** What scores call the tasks. */
    private final List<String> names = new ArrayList<>();

    /**
     * A job's models on this machine.
     *
     * @param tuned the fine-tuned adapter or checkpoint
     * @param candidates the repairs, without a sweep one called {@value Conclusion#PROJECTED}, and their controls
     * @param folders of the candidates, by name; adapters if tuned is one
     */
    public record Models(Path aligned, Path tuned, List<Candidate> candidates, Map<String, Path> folders) {}

    public JobEvaluation(JobRequest request, Models models, Loader loader, List<LocalTask> tasks) {
        this.request = request;
        this.models = models;
        this.loader = loader;
        this.tasks = tasks;
    }

    /**
     * Measures, and writes evaluation.json, verdict.json, report.html and the result's card, of a sweep pareto.json.
     *
     * @param alignment folder with alignment.json
     * @param origin digests and versions, for the card and the report
     */
    public Result run(String jobId, Path alignment, Map<String, String> origin, Path out, Listener listener)
            throws IOException {
        Result result = measure(listener).with(request.requirements().confidence());
        boolean sweep = request.selection().sweep() != null;
        // Measured without harmfulness or skill, the candidates cannot be ranked: the first one stands.
        Pareto pareto = sweep
                ? Pareto.of(
                                result.rows(),
                                models.candidates().stream()
                                        .map(Candidate::name)
                                        .toList(),
                                request.selection().seed(),
                                request.requirements().confidence())
                        .orElse(null)
                : null;
        Conclusion conclusion = Conclusion.of(request, result, models.candidates(), pareto);
        Files.write(out.resolve(FILE), Json.pretty(result));
        Files.write(out.resolve(Conclusion.FILE), Json.pretty(conclusion));
        if (pareto != null) {
            Files.write(out.resolve(Pareto.FILE), Json.pretty(pareto));
        }
        Result reported =
                new Result(conclusion.scores(), result.rows(), result.samples(), result.seconds(), result.warnings());
        Path product = models.folders().getOrDefault(conclusion.model(), models.tuned());
        Files.writeString(
                out.resolve(ResultCard.FILE),
                ResultCard.of(request, reported, conclusion, models.tuned(), product, origin));
        String repair =
                conclusion.recommended() == null ? models.candidates().get(0).name() : conclusion.recommended();
        Files.writeString(
                out.resolve(REPORT),
                Report.html(
                        jobId,
                        request,
                        reported,
                        alignment,
                        models.tuned(),
                        models.folders().get(repair),
                        pareto,
                        conclusion,
                        origin));
        return result;
    }

    private Result measure(Listener listener) throws IOException {
        List<Result> results =
                PeftAdapter.isIn(models.tuned()) ? measureAdapters(listener) : measureCheckpoints(listener);
        return results.isEmpty() ? Result.of(List.of(), List.of(), Map.of(), List.of()) : Evaluation.joined(results);
    }

    /**
     * All on the aligned model's weights, in one pass a task. Of the scaled updates, which are there to be held against the repair
     * at the same harm, all are measured by their harm, and only the nearest by the rest.
     */
    private List<Result> measureAdapters(Listener listener) throws IOException {
        List<Result> results = new ArrayList<>();
        try (CausalLm model = loader.load(models.aligned())) {
            Map<String, String> everywhere = new LinkedHashMap<>();
            everywhere.put(Conclusion.ALIGNED, null);
            model.loadAdapter(Conclusion.TUNED, models.tuned());
            everywhere.put(Conclusion.TUNED, Conclusion.TUNED);
            Map<String, String> scaled = new LinkedHashMap<>();
            for (Candidate candidate : models.candidates()) {
                String name = candidate.name();
                model.loadAdapter(name, models.folders().get(name));
                boolean isControl = request.selection().sweep() == null
                        && candidate.control() == Control.scale
                        && !name.equals(Conclusion.PROJECTED);
                (isControl ? scaled : everywhere).put(name, name);
            }
            // The last share is what the nearest scaled updates take on the other tasks.
            Steps steps = new Steps(listener, tasks.size() + (scaled.isEmpty() ? 0 : tasks.size()));
            List<Integer> ofSkill = new ArrayList<>();
            for (int task = 0; task < tasks.size(); task++) {
                Result result = measure(model, everywhere, task, steps.next());
                results.add(result);
                boolean harm = result.rows().stream().anyMatch(r -> r.metric().equals(Measured.HARMFUL));
                if (!harm) {
                    ofSkill.add(task);
                } else if (!scaled.isEmpty()) {
                    results.add(measure(model, scaled, task, steps.next()));
                }
            }
            Measured measured = new Measured(
                    results.stream().flatMap(r -> r.rows().stream()).toList());
            String nearest = Conclusion.nearestScale(Conclusion.PROJECTED, models.candidates(), measured)
                    .map(Candidate::name)
                    .orElse(null);
            if (scaled.containsKey(nearest)) {
                for (int task : ofSkill) {
                    results.add(measure(model, Map.of(nearest, nearest), task, steps.next()));
                }
            }
        }
        return results;
    }

    /** One after another, so that no two models stand in memory. */
    private List<Result> measureCheckpoints(Listener listener) throws IOException {
        Map<String, Path> checkpoints = new LinkedHashMap<>();
        checkpoints.put(Conclusion.ALIGNED, models.aligned());
        checkpoints.put(Conclusion.TUNED, models.tuned());
        models.candidates()
                .forEach(c -> checkpoints.put(c.name(), models.folders().get(c.name())));
        List<Result> results = new ArrayList<>();
        Steps steps = new Steps(listener, checkpoints.size() * tasks.size());
        for (Map.Entry<String, Path> checkpoint : checkpoints.entrySet()) {
            try (CausalLm model = loader.load(checkpoint.getValue())) {
                for (int task = 0; task < tasks.size(); task++) {
                    results.add(
                            measure(model, Collections.singletonMap(checkpoint.getKey(), null), task, steps.next()));
                }
            }
        }
        return results;
    }

    /** One task. Where a job has it more than once, with other data, scores number it: "harmfulness (2)". */
    private Result measure(CausalLm model, Map<String, String> adapters, int task, Listener listener)
            throws IOException {
        Result result = Evaluation.run(model, adapters, List.of(tasks.get(task)), listener);
        if (names.size() == task) {
            names.add(result.rows().get(0).task());
        }
        long before =
                names.subList(0, task).stream().filter(names.get(task)::equals).count();
        return before == 0
                ? result
                : Result.of(
                        result.rows().stream()
                                .map(r -> r.ofTask(r.task() + " (" + (before + 1) + ")"))
                                .toList(),
                        result.samples(),
                        result.seconds(),
                        result.warnings());
    }

    /** Progress of one step after another as progress of all. */
    private static final class Steps {
        private final Listener listener;
        private final int steps;
        private int begun;

        Steps(Listener listener, int steps) {
            this.listener = listener;
            this.steps = steps;
        }

        Listener next() {
            int before = begun++;
            return (share, words) -> listener.at((before + share) / steps, words);
        }
    }
}
