package io.safelora.evaluation;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.rows.Row;
import io.safelora.artifacts.rows.Rows;
import io.safelora.contract.EvaluationTask;
import io.safelora.contract.EvaluationTask.Task;
import io.safelora.contract.InvalidInputException;
import io.safelora.contract.JobEvent.Score;
import io.safelora.evaluation.Gsm8k.Problem;
import io.safelora.evaluation.judge.Agreement;
import io.safelora.evaluation.judge.Verdict;
import io.safelora.evaluation.statistics.RowValues;
import io.safelora.lm.CausalLm;
import io.safelora.lm.CausalLm.Request;
import io.safelora.lm.GenerationOptions;
import io.safelora.lm.ModelFiles;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;

/** Measures models that share their weights - one model, with one adapter or none each - on tasks. */
public final class Evaluation {
    /** Raised whenever the same models and tasks give another result than before: results are kept under it. */
    public static final int VERSION = 8;

    /** How many rows of a task {@link #check} encodes. */
    private static final int ROWS_CHECKED = 20;

    /** All prompts are kept in memory. */
    private static final long MAX_TEXT = 256L << 20;

    /** How published sets of requests name their column. */
    private static final List<String> REQUESTS =
            List.of("goal", "prompt", "behavior", "Behavior", "question", "instruction", "request", "text");

    private Evaluation() {}

    /** A task, with its data on this machine. */
    public record LocalTask(EvaluationTask task, Path data, Path fewshotData) {}

    /**
     * One row of one model.
     *
     * @param extracted what each filter took from the response; empty but for gsm8k
     * @param correct by filter; empty but for gsm8k
     * @param request what judges get of the prompt: the row's request itself, or null
     * @param verdicts by judge; empty but for harmfulness and over_refusal
     */
    public record Sample(
            String model,
            Task task,
            int row,
            String prompt,
            String request,
            String response,
            String target,
            Map<String, String> extracted,
            Map<String, Boolean> correct,
            Map<String, Verdict> verdicts) {

        /** The same, judged. */
        Sample with(Map<String, Verdict> verdicts) {
            return new Sample(model, task, row, prompt, request, response, target, extracted, correct, verdicts);
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
                    + " on " + task.task().task();
            Listener ofTask = (share, words) -> listener.at(before + share / tasks.size(), what + words);
            // All models go through the weights together.
            if (task.task().task() == Task.answer_loss) {
                scores.addAll(AnswerLoss.of(model, adapters, task, warnings, ofTask));
            } else {
                List<Sample> answered = answers(model, adapters, task, warnings, ofTask);
                samples.addAll(answered);
                // Judged answers have their scores later.
                for (String name : task.task().judge() == null ? adapters.keySet() : Set.<String>of()) {
                    scores.addAll(Scores.of(
                            name,
                            task.task(),
                            answered.stream()
                                    .filter(s -> s.model().equals(name))
                                    .toList(),
                            warnings));
                }
            }
            seconds.merge(what, (System.nanoTime() - began) / 1e9, Double::sum);
        }
        listener.at(1, "measured");
        return Result.of(scores, samples, List.of(), seconds, warnings);
    }

    /** Every model's answer to every row, model by model. */
    private static List<Sample> answers(
            CausalLm model, Map<String, String> adapters, LocalTask local, List<String> warnings, Listener listener)
            throws IOException {
        EvaluationTask task = local.task();
        ModelFiles files = model.files(adapters.values().iterator().next());
        List<TaskRow> rows = rows(local);
        List<int[]> prompts = Encoding.of(files, local, rows, warnings);
        List<Request> requests = new ArrayList<>();
        for (String adapter : adapters.values()) {
            prompts.forEach(prompt -> requests.add(new Request(prompt, adapter)));
        }
        List<String> stop = task.task() == Task.gsm8k ? Gsm8k.STOP : List.of();
        List<int[]> answers = model.generate(
                requests,
                new GenerationOptions(task.maxNewTokens(), stop, task.batchSize()),
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
        List<Task> answered = samples.stream().map(Sample::task).distinct().toList();
        samples.sort(Comparator.comparingInt(s -> answered.indexOf(s.task())));
        return Result.of(rows, samples, List.of(), seconds, List.copyOf(warnings));
    }

    /**
     * One row of a task's data.
     *
     * @param question the problem or the request itself, as judges get it
     * @param target the solution; empty where there is none
     */
    record TaskRow(Prompt prompt, String question, String target) {}

    /**
     * Refuses a task that would be refused once the model is loaded, hours into a job: reads its rows, and encodes the first
     * ones as the model would get them.
     *
     * @throws InvalidArtifactException if rows are not the task's, or the model's chat template refuses them
     */
    public static void check(LocalTask local, ModelFiles model) throws IOException {
        EvaluationTask task = local.task();
        if (task.task() == Task.answer_loss) {
            List<Problem> problems = limited(readProblems(local.data()), task);
            for (Problem problem : problems.subList(0, Math.min(ROWS_CHECKED, problems.size()))) {
                AnswerLoss.encoded(model, problem, task);
            }
            return;
        }
        model.checkGeneration(false);
        List<TaskRow> rows = rows(local);
        Encoding.of(model, local, rows.subList(0, Math.min(ROWS_CHECKED, rows.size())), new ArrayList<>());
    }

    /** The rows that a model answers. */
    private static List<TaskRow> rows(LocalTask local) throws IOException {
        EvaluationTask task = local.task();
        return (task.task() == Task.gsm8k ? problems(local) : requests(local))
                .stream()
                        .map(row -> new TaskRow(
                                row.prompt().withSystem(task.systemInstruction()), row.question(), row.target()))
                        .toList();
    }

    static List<TaskRow> problems(LocalTask local) throws IOException {
        EvaluationTask task = local.task();
        if (task.numFewshot() > 0 && local.fewshotData() == null) {
            throw new InvalidInputException("num_fewshot is " + task.numFewshot()
                    + ", but there is no fewshot_data; give the rows to take examples from, or num_fewshot: 0");
        }
        List<Problem> problems = limited(readProblems(local.data()), task);
        List<Problem> examples = task.numFewshot() > 0 ? readProblems(local.fewshotData()) : List.of();
        if (examples.size() < task.numFewshot()) {
            throw new InvalidArtifactException(local.fewshotData().getFileName() + ": has " + examples.size()
                    + " rows, but num_fewshot is " + task.numFewshot());
        }
        List<Prompt> prompts = Gsm8k.prompts(problems, examples, task.numFewshot(), task.fewshotSampler());
        return IntStream.range(0, prompts.size())
                .mapToObj(i -> new TaskRow(
                        prompts.get(i),
                        problems.get(i).question(),
                        problems.get(i).answer()))
                .toList();
    }

    static List<TaskRow> requests(LocalTask local) throws IOException {
        List<String> goals = new ArrayList<>();
        String column = local.task().column() == null ? "goal" : local.task().column();
        Rows.read(local.data(), MAX_TEXT, row -> {
            if (!row.has(column)) {
                throw row.invalid("has no column \"" + column + "\", but " + row.columns() + requests(row));
            }
            String goal = row.text(column);
            if (goal.isBlank()) {
                throw row.invalid("\"" + column + "\" is empty; give a request or remove the row");
            }
            goals.add(goal);
        });
        return limited(goals, local.task()).stream()
                .map(goal -> new TaskRow(
                        Prompt.of(local.task().applyChatTemplate() ? goal : "Question: " + goal + "\nAnswer:"),
                        goal,
                        ""))
                .toList();
    }

    /** Which option would read a row, for the message. */
    private static String requests(Row row) {
        return REQUESTS.stream()
                .filter(row::has)
                .findFirst()
                .map(name -> "; column: " + name + " would read them")
                .orElse("; name the one that holds the requests by column");
    }

    static <T> List<T> limited(List<T> rows, EvaluationTask task) {
        if (rows.isEmpty()) {
            throw new InvalidArtifactException("the evaluation data have no rows");
        }
        return rows.subList(0, task.rows(rows.size()));
    }

    static List<Problem> readProblems(Path file) throws IOException {
        List<Problem> problems = new ArrayList<>();
        Rows.read(file, MAX_TEXT, row -> problems.add(new Problem(row.text("question"), row.text("answer"))));
        return problems;
    }
}
