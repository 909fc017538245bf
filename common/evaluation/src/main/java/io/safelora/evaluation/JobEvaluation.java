package io.safelora.evaluation;

import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.contract.JobEvent.AdapterProjected;
import io.safelora.contract.JobEvent.Candidate;
import io.safelora.contract.JobEvent.Candidate.Control;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.evaluation.Evaluation.Listener;
import io.safelora.evaluation.Evaluation.Loader;
import io.safelora.evaluation.Evaluation.Result;
import io.safelora.evaluation.judge.Judges;
import io.safelora.evaluation.statistics.RowValues;
import io.safelora.lm.CausalLm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * A job's whole evaluation: its models are measured, a result is chosen among them and judged, and all of it written.
 */
public final class JobEvaluation {
    public static final String FILE = "evaluation.json";

    /** Answering, judging, and the nearest scaled updates. */
    private static final int PHASES = 3;

    private final JobRequest request;
    private final Models models;
    private final Loader loader;
    private final List<LocalTask> tasks;
    private final Judges judges;

    /**
     * A job's models on this machine.
     *
     * @param tuned the fine-tuned adapter or checkpoint
     * @param candidates the repairs, without a sweep one called {@value Conclusion#PROJECTED}, and their controls
     * @param folders of the candidates, by name; adapters if tuned is one
     */
    public record Models(Path aligned, Path tuned, List<Candidate> candidates, Map<String, Path> folders) {}

    public JobEvaluation(JobRequest request, Models models, Loader loader, List<LocalTask> tasks, Judges judges) {
        this.request = request;
        this.models = models;
        this.loader = loader;
        this.tasks = tasks;
        this.judges = judges;
    }

    /** The repairs by the names that scores call them: a sweep's, or the one repair and what it is held against. */
    public static List<Candidate> candidates(AdapterProjected event) {
        if (event.candidates() != null) {
            return event.candidates();
        }
        List<Candidate> controls = event.controls() == null ? List.of() : event.controls();
        String dropped = controls.stream()
                .filter(c -> c.control() == Control.drop)
                .map(Candidate::name)
                .findFirst()
                .orElse(null);
        return Stream.concat(
                        Stream.of(new Candidate(Conclusion.PROJECTED, event.projected(), null, dropped)),
                        controls.stream())
                .toList();
    }

    /**
     * All that a report tells of.
     *
     * @param result its scores are those of the models that are compared; of a sweep by the rows that did not choose
     * @param alignment folder with alignment.json
     * @param tuned the adapter or checkpoint before the repair; with trainer_state.json unless it was brought along
     * @param repaired the repaired adapter or checkpoint, with selection.json
     * @param pareto how a sweep's repairs compare, or null
     * @param conclusion which model is the result, and what the scores say of it
     * @param origin digests and versions, by name
     */
    public record Concluded(
            String jobId,
            JobRequest request,
            Result result,
            Path alignment,
            Path tuned,
            Path repaired,
            Pareto pareto,
            Conclusion conclusion,
            Map<String, String> origin) {}

    /**
     * Measures, and writes evaluation.json, verdict.json and the result's card, of a sweep pareto.json.
     *
     * @param alignment folder with alignment.json
     * @param origin digests and versions, for the card and the report
     */
    public Concluded run(String jobId, Path alignment, Map<String, String> origin, Path out, Listener listener)
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
        Result reported = new Result(
                conclusion.scores(),
                result.rows(),
                result.samples(),
                result.agreements(),
                result.seconds(),
                result.warnings());
        Path product = models.folders().getOrDefault(conclusion.model(), models.tuned());
        Files.writeString(
                out.resolve(ResultCard.FILE),
                ResultCard.of(request, reported, conclusion, models.tuned(), product, origin));
        String repair =
                conclusion.recommended() == null ? models.candidates().get(0).name() : conclusion.recommended();
        return new Concluded(
                jobId,
                request,
                reported,
                alignment,
                models.tuned(),
                models.folders().get(repair),
                pareto,
                conclusion,
                origin);
    }

    /**
     * What all models got on every task, judged.
     *
     * @throws IOException also if a judge cannot be asked now; looked for first
     */
    public Result measure(Listener listener) throws IOException {
        List<Task> asked = tasks.stream().map(LocalTask::task).toList();
        // A judge that is down is better known before hours of answering than after them.
        judges.check(true);
        for (Task task : asked) {
            judges.checkKnown(task.judges());
        }
        Steps steps = new Steps(listener, PHASES);
        List<Result> answered = PeftAdapter.isIn(models.tuned())
                ? List.of(measureAdapters(steps.next()))
                : measureCheckpoints(steps.next());
        // Judges may be as large as the models, which are out of memory by now.
        Result judged = Judging.of(Evaluation.joined(answered), asked, judges, steps.next());
        List<Result> results = new ArrayList<>(List.of(judged));
        measureNearestScale(new Measured(judged.rows()), steps.next()).ifPresent(results::add);
        Result all = Evaluation.joined(results);
        List<String> warnings = new ArrayList<>(all.warnings());
        Evaluation.warningOfHarmAlone(asked).ifPresent(warnings::add);
        return Result.of(numbered(all.rows()), all.samples(), judged.agreements(), all.seconds(), warnings);
    }

    /**
     * All on the aligned model's weights, in one pass a task. Of the scaled updates, which are there to be held against
     * the repair at the same harm, only judged answers are measured; {@link #measureNearestScale} does the rest.
     */
    private Result measureAdapters(Listener listener) throws IOException {
        List<Result> results = new ArrayList<>();
        try (CausalLm model = loader.load(models.aligned())) {
            Map<String, String> everywhere = new LinkedHashMap<>();
            everywhere.put(Conclusion.ALIGNED, null);
            model.loadAdapter(Conclusion.TUNED, models.tuned());
            everywhere.put(Conclusion.TUNED, Conclusion.TUNED);
            Map<String, String> judgedAlone = new LinkedHashMap<>();
            for (Candidate candidate : models.candidates()) {
                String name = candidate.name();
                model.loadAdapter(name, models.folders().get(name));
                (isScaledControl(candidate) ? judgedAlone : everywhere).put(name, name);
            }
            Map<String, String> judged = new LinkedHashMap<>(everywhere);
            judged.putAll(judgedAlone);
            Steps steps = new Steps(listener, tasks.size());
            for (LocalTask task : tasks) {
                results.add(Evaluation.run(
                        model, task.task().judges().isEmpty() ? everywhere : judged, List.of(task), steps.next()));
            }
        }
        return Evaluation.joined(results);
    }

    private boolean isScaledControl(Candidate candidate) {
        return request.selection().sweep() == null && candidate.control() == Control.scale;
    }

    /** What is not judged, of the scaled updates that are nearest to the repair in harm. */
    private Optional<Result> measureNearestScale(Measured judged, Listener listener) throws IOException {
        List<LocalTask> rest =
                tasks.stream().filter(task -> task.task().judges().isEmpty()).toList();
        Candidate nearest = Conclusion.nearestScale(models.candidates().get(0).name(), models.candidates(), judged)
                .filter(this::isScaledControl)
                .orElse(null);
        if (nearest == null || rest.isEmpty() || !PeftAdapter.isIn(models.tuned())) {
            return Optional.empty();
        }
        String name = nearest.name();
        try (CausalLm model = loader.load(models.aligned())) {
            model.loadAdapter(name, models.folders().get(name));
            return Optional.of(Evaluation.run(model, Map.of(name, name), rest, listener));
        }
    }

    /** One after another, so that no two models stand in memory. */
    private List<Result> measureCheckpoints(Listener listener) throws IOException {
        Map<String, Path> checkpoints = new LinkedHashMap<>();
        checkpoints.put(Conclusion.ALIGNED, models.aligned());
        checkpoints.put(Conclusion.TUNED, models.tuned());
        models.candidates()
                .forEach(c -> checkpoints.put(c.name(), models.folders().get(c.name())));
        List<Result> results = new ArrayList<>();
        Steps steps = new Steps(listener, checkpoints.size());
        for (Map.Entry<String, Path> checkpoint : checkpoints.entrySet()) {
            try (CausalLm model = loader.load(checkpoint.getValue())) {
                results.add(Evaluation.run(
                        model, Collections.singletonMap(checkpoint.getKey(), null), tasks, steps.next()));
            }
        }
        return results;
    }

    /** Where a job has a task more than once, with other data, scores number it: "harmfulness (2)". */
    static List<RowValues> numbered(List<RowValues> rows) {
        Map<List<String>, Integer> seen = new HashMap<>();
        return rows.stream()
                .map(r -> {
                    int n = seen.merge(Arrays.asList(r.model(), r.task(), r.metric(), r.judge()), 1, Integer::sum);
                    return n == 1 ? r : r.ofTask(r.task() + " (" + n + ")");
                })
                .toList();
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
