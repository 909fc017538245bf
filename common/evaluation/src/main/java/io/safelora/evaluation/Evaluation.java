package io.safelora.evaluation;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.contract.JobEvent.Score;
import io.safelora.contract.TaskFile.OutputType;
import io.safelora.evaluation.Prompts.TaskRow;
import io.safelora.evaluation.judge.Agreement;
import io.safelora.evaluation.judge.Verdict;
import io.safelora.evaluation.statistics.RowValues;
import io.safelora.lm.CausalLm;
import io.safelora.lm.GenerationOptions;
import io.safelora.lm.GenerationRequest;
import io.safelora.lm.ModelFiles;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Measures models that share their weights - one model, with one adapter or none each - on tasks. */
public final class Evaluation {
    /** Raised whenever the same models and tasks give another result than before: results are kept under it. */
    public static final int VERSION = 10;

    /** How many rows of a task {@link #check} encodes. */
    private static final int ROWS_CHECKED = 20;

    private Evaluation() {}

    /**
     * One row of one model.
     *
     * @param task as scores call it
     * @param category what the row is counted by besides; null: nothing
     * @param request what judges get of the prompt: the row's request itself; null where nobody judges
     * @param response what the model wrote; of a choice the likeliest one; empty where only likelihoods are measured
     * @param target the right answer; empty where there is none
     * @param extracted what each filter took from the response
     * @param correct by filter, whether that is the target
     * @param verdicts by judge; empty where nobody judges
     * @param values by metric (and judge, in brackets) what the row counts for: the score is their mean; of a loss that
     *     over all tokens, whose number is here, too
     */
    public record Sample(
            String model,
            String task,
            int row,
            String prompt,
            String category,
            String request,
            String response,
            String target,
            Map<String, String> extracted,
            Map<String, Boolean> correct,
            Map<String, Verdict> verdicts,
            Map<String, Double> values) {

        /** The same, judged. */
        Sample with(Map<String, Verdict> said, Map<String, Double> counted) {
            return new Sample(
                    model, task, row, prompt, category, request, response, target, extracted, correct, said, counted);
        }
    }

    /**
     * evaluation.json.
     *
     * @param scores the means of rows, with their intervals
     * @param rows of every score, what each row of the data gave; in the order of the scores
     * @param agreements how far the judges of a task say the same
     * @param seconds by model and task
     * @param warnings what a reader of the scores should know
     */
    public record Result(
            List<Score> scores,
            List<RowValues> rows,
            List<Sample> samples,
            List<Agreement> agreements,
            Map<String, Double> seconds,
            List<String> warnings) {

        /** With the scores that the rows give. */
        public static Result of(
                List<RowValues> rows,
                List<Sample> samples,
                List<Agreement> agreements,
                Map<String, Double> seconds,
                List<String> warnings) {
            return new Result(scores(rows, RowValues.CONFIDENCE), rows, samples, agreements, seconds, warnings);
        }

        /** The same rows, with intervals of another confidence. */
        public Result with(double confidence) {
            return new Result(scores(rows, confidence), rows, samples, agreements, seconds, warnings);
        }

        private static List<Score> scores(List<RowValues> rows, double confidence) {
            return rows.stream().map(values -> values.score(confidence)).toList();
        }
    }

    /** Told how far the evaluation is; may throw to stop it. */
    public interface Listener {
        void at(double fraction, String message);
    }

    /** Loads a checkpoint. */
    public interface Loader {
        CausalLm load(Path checkpoint) throws IOException;
    }

    /**
     * What is to be said of a job that measures harmfulness and nothing beside it that refusing everything would cost.
     */
    static Optional<String> warningOfHarmAlone(List<Task> tasks) {
        return tasks.stream().anyMatch(Task::countsHarm) && tasks.stream().noneMatch(Task::countsRefusals)
                ? Optional.of(
                        "harmfulness is measured without over-refusal, so that a model that refuses everything looks"
                                + " best; add a task over_refusal with harmless requests")
                : Optional.empty();
    }

    /**
     * Runs all tasks on all models. What is to be judged is not yet: {@link Judging}.
     *
     * @param model the weights that all share
     * @param adapters by the models' names: a loaded adapter's name, or null for the weights as they are
     */
    public static Result run(CausalLm model, Map<String, String> adapters, List<LocalTask> tasks, Listener listener)
            throws IOException {
        // Those that an adapter's own tokenizer or chat template gives other prompts go through the weights by
        // themselves.
        List<Map<String, String>> groups = new ArrayList<>();
        adapters.forEach((name, adapter) -> {
            Map<String, String> group = groups.stream()
                    .filter(g -> model.sameTexts(g.values().iterator().next(), adapter))
                    .findFirst()
                    .orElse(null);
            if (group == null) {
                group = new LinkedHashMap<>();
                groups.add(group);
            }
            group.put(name, adapter);
        });
        List<Result> results = new ArrayList<>();
        for (Map<String, String> group : groups) {
            String adapter = group.values().iterator().next();
            Result result = runTogether(
                    model,
                    group,
                    tasks,
                    (share, words) -> listener.at((results.size() + share) / groups.size(), words));
            if (model.textsNote(adapter) != null) {
                result.warnings().add(String.join(", ", group.keySet()) + ": " + model.textsNote(adapter));
            }
            results.add(result);
        }
        return results.size() == 1 ? results.get(0) : joined(results);
    }

    private static Result runTogether(
            CausalLm model, Map<String, String> adapters, List<LocalTask> tasks, Listener listener) throws IOException {
        List<RowValues> scores = new ArrayList<>();
        List<Sample> samples = new ArrayList<>();
        Map<String, Double> seconds = new LinkedHashMap<>();
        List<String> warnings = new ArrayList<>();
        for (int i = 0; i < tasks.size(); i++) {
            LocalTask task = tasks.get(i);
            long began = System.nanoTime();
            double before = (double) i / tasks.size();
            String what = (adapters.size() > 3 ? adapters.size() + " models" : String.join(", ", adapters.keySet()))
                    + " on " + task.task().name();
            Listener ofTask = (share, words) -> listener.at(before + share / tasks.size(), what + words);
            // All models go through the weights together.
            List<TaskRow> rows = Prompts.of(task);
            List<Sample> answered = task.task().outputType() == OutputType.generate_until
                    ? answers(model, adapters, task, rows, warnings, ofTask)
                    : Likelihoods.samples(model, adapters, task, rows, warnings, ofTask);
            samples.addAll(answered);
            // Judged answers have their scores later.
            for (String name : task.task().judges().isEmpty() ? adapters.keySet() : Set.<String>of()) {
                List<Sample> ofModel =
                        answered.stream().filter(s -> s.model().equals(name)).toList();
                scores.addAll(Scores.of(name, task.task(), ofModel, warnings));
            }
            seconds.merge(what, (System.nanoTime() - began) / 1e9, Double::sum);
        }
        listener.at(1, "measured");
        return Result.of(scores, samples, List.of(), seconds, warnings);
    }

    /** Every model's answer to every row, model by model. */
    private static List<Sample> answers(
            CausalLm model,
            Map<String, String> adapters,
            LocalTask local,
            List<TaskRow> rows,
            List<String> warnings,
            Listener listener) {
        Task task = local.task();
        ModelFiles files = model.files(adapters.values().iterator().next());
        List<int[]> prompts = Encoding.of(files, local, rows, warnings);
        List<GenerationRequest> requests = new ArrayList<>();
        for (String adapter : adapters.values()) {
            prompts.forEach(prompt -> requests.add(new GenerationRequest(prompt, adapter)));
        }
        List<int[]> answers = model.generate(
                requests,
                new GenerationOptions(
                        task.maxNewTokens(), task.stop(), task.options().batchSize()),
                finished -> listener.at((double) finished / requests.size(), ""));
        List<Sample> samples = new ArrayList<>();
        int at = 0;
        for (String name : adapters.keySet()) {
            samples.addAll(Scores.samples(
                    name,
                    task,
                    rows,
                    answers.subList(at, at += rows.size()).stream()
                            .map(ids -> files.tokenizer().decode(ids, true))
                            .toList()));
        }
        return samples;
    }

    /** What one result would be, of models that were measured by themselves: by task, and then in the order given. */
    public static Result joined(List<Result> results) {
        List<RowValues> rows = new ArrayList<>();
        List<Sample> samples = new ArrayList<>();
        Map<String, Double> seconds = new LinkedHashMap<>();
        Set<String> warnings = new LinkedHashSet<>();
        for (Result result : results) {
            rows.addAll(result.rows());
            samples.addAll(result.samples());
            seconds.putAll(result.seconds());
            warnings.addAll(result.warnings());
        }
        List<String> scored = rows.stream().map(RowValues::task).distinct().toList();
        rows.sort(Comparator.comparingInt(s -> scored.indexOf(s.task())));
        List<String> answered = samples.stream().map(Sample::task).distinct().toList();
        samples.sort(Comparator.comparingInt(s -> answered.indexOf(s.task())));
        return Result.of(rows, samples, List.of(), seconds, List.copyOf(warnings));
    }

    /**
     * Refuses a task that would be refused once the model is loaded, hours into a job: reads its rows, and encodes the
     * first ones as the model would get them.
     *
     * @throws InvalidArtifactException if rows are not the task's, or the model's chat template refuses them
     */
    public static void check(LocalTask local, ModelFiles model) throws IOException {
        List<TaskRow> rows = Prompts.of(local);
        List<TaskRow> first = rows.subList(0, Math.min(ROWS_CHECKED, rows.size()));
        if (local.task().outputType() == OutputType.generate_until) {
            model.checkGeneration(false);
            Encoding.of(model, local, first, new ArrayList<>());
        } else {
            first.forEach(row -> Likelihoods.encoded(model, row, local.task()));
        }
    }
}
