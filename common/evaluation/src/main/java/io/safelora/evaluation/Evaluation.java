package io.safelora.evaluation;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.rows.Row;
import io.safelora.artifacts.rows.Rows;
import io.safelora.contract.EvaluationTask;
import io.safelora.contract.EvaluationTask.Task;
import io.safelora.contract.JobEvent.Score;
import io.safelora.evaluation.Gsm8k.Problem;
import io.safelora.lm.CausalLm;
import io.safelora.lm.CausalLm.Request;
import io.safelora.lm.ChatTemplate.Message;
import io.safelora.lm.GenerationOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Measures models that share their weights - one model, with one adapter or none each - on tasks. */
public final class Evaluation {
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
     * @param correct by filter; else under {@code refused}
     */
    public record Sample(
            String model,
            Task task,
            int row,
            String prompt,
            String response,
            String target,
            Map<String, String> extracted,
            Map<String, Boolean> correct) {}

    /**
     * How far a score may be off by chance.
     *
     * @param value standard error of the mean over the rows, as lm-evaluation-harness computes it; null for a single row
     */
    public record StandardError(String model, String task, String metric, Double value) {
        static StandardError of(Score score) {
            // A loss is no share of rows.
            if (score.metric().equals(AnswerLoss.METRIC)) {
                return new StandardError(score.model(), score.task(), score.metric(), null);
            }
            // The sample deviation of n zeros and ones with the mean v, over the root of n.
            Double value =
                    score.samples() < 2 ? null : Math.sqrt(score.value() * (1 - score.value()) / (score.samples() - 1));
            return new StandardError(score.model(), score.task(), score.metric(), value);
        }
    }

    /**
     * evaluation.json.
     *
     * @param standardErrors of the scores, in their order
     * @param seconds by model and task
     * @param warnings what a reader of the scores should know
     */
    public record Result(
            List<Score> scores,
            List<StandardError> standardErrors,
            List<Sample> samples,
            Map<String, Double> seconds,
            List<String> warnings) {}

    /** Told how far the evaluation is; may throw to stop it. */
    public interface Listener {
        void at(double fraction, String message);
    }

    /**
     * Runs all tasks on all models.
     *
     * @param model the weights that all share
     * @param adapters by the models' names: a loaded adapter's name, or null for the weights as they are
     */
    public static Result run(CausalLm model, Map<String, String> adapters, List<LocalTask> tasks, Listener listener)
            throws IOException {
        List<Score> scores = new ArrayList<>();
        List<Sample> samples = new ArrayList<>();
        Map<String, Double> seconds = new LinkedHashMap<>();
        List<String> warnings = new ArrayList<>();
        int runs = tasks.size() * adapters.size();
        int done = 0;
        for (LocalTask task : tasks) {
            // All models go through the weights together.
            long began = System.nanoTime();
            double before = (double) done / runs;
            String what = (adapters.size() > 3 ? adapters.size() + " models" : String.join(", ", adapters.keySet()))
                    + " on " + task.task().task();
            if (task.task().task() == Task.answer_loss) {
                int rows = adapters.size();
                scores.addAll(AnswerLoss.of(
                        model,
                        adapters,
                        task,
                        finished -> listener.at(before, what + ", " + finished / rows + " rows")));
                seconds.merge(what, (System.nanoTime() - began) / 1e9, Double::sum);
                done += adapters.size();
                continue;
            }
            Prompts rows = task.task().task() == Task.gsm8k ? problems(task) : requests(task);
            List<int[]> prompts = encode(model, task.task(), rows.prompts, warnings);
            long unsolved = task.task().task() == Task.gsm8k
                    ? rows.targets.stream().filter(t -> !t.contains("#### ")).count()
                    : 0;
            if (unsolved > 0) {
                warnings.add(unsolved + " of " + rows.targets.size() + " answers in "
                        + task.data().getFileName() + " do not end in \"#### n\"; no response can match them");
            }
            List<Request> requests = new ArrayList<>();
            for (String adapter : adapters.values()) {
                prompts.forEach(prompt -> requests.add(new Request(prompt, adapter)));
            }
            List<String> stop = task.task().task() == Task.gsm8k ? Gsm8k.STOP : List.of();
            List<int[]> answers = model.generate(
                    requests,
                    new GenerationOptions(
                            task.task().maxNewTokens(), stop, task.task().batchSize()),
                    finished -> listener.at(before + (double) finished / prompts.size() / runs, what));
            int at = 0;
            for (String name : adapters.keySet()) {
                List<Sample> ofModel =
                        samples(model, name, task.task().task(), rows, answers.subList(at, at += prompts.size()));
                samples.addAll(ofModel);
                scores.addAll(scores(name, task.task().task(), ofModel));
            }
            seconds.merge(what, (System.nanoTime() - began) / 1e9, Double::sum);
            done += adapters.size();
        }
        listener.at(1, "measured");
        return new Result(scores, scores.stream().map(StandardError::of).toList(), samples, seconds, warnings);
    }

    /** What one result would be, of models that were measured by themselves: by task, and then in the order given. */
    public static Result joined(List<Result> results) {
        List<Score> scores = new ArrayList<>();
        List<Sample> samples = new ArrayList<>();
        Map<String, Double> seconds = new LinkedHashMap<>();
        Set<String> warnings = new LinkedHashSet<>();
        for (Result result : results) {
            scores.addAll(result.scores());
            samples.addAll(result.samples());
            seconds.putAll(result.seconds());
            warnings.addAll(result.warnings());
        }
        List<String> tasks = scores.stream().map(Score::task).distinct().toList();
        scores.sort(Comparator.comparingInt(s -> tasks.indexOf(s.task())));
        samples.sort(Comparator.comparingInt(s -> tasks.indexOf(s.task().name())));
        return new Result(
                scores, scores.stream().map(StandardError::of).toList(), samples, seconds, List.copyOf(warnings));
    }

    /** @param targets the solutions; empty strings where there are none */
    record Prompts(List<String> prompts, List<String> targets) {}

    static Prompts problems(LocalTask local) throws IOException {
        EvaluationTask task = local.task();
        if (task.numFewshot() > 0 && local.fewshotData() == null) {
            throw new IllegalArgumentException("num_fewshot is " + task.numFewshot()
                    + ", but there is no fewshot_data; give the rows to take examples from, or num_fewshot: 0");
        }
        List<Problem> problems = limited(readProblems(local.data()), task.limit());
        List<Problem> examples = task.numFewshot() > 0 ? readProblems(local.fewshotData()) : List.of();
        if (examples.size() < task.numFewshot()) {
            throw new InvalidArtifactException(local.fewshotData().getFileName() + ": has " + examples.size()
                    + " rows, but num_fewshot is " + task.numFewshot());
        }
        return new Prompts(
                Gsm8k.prompts(problems, examples, task.numFewshot(), task.fewshotSampler()),
                problems.stream().map(Problem::answer).toList());
    }

    static Prompts requests(LocalTask local) throws IOException {
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
        List<String> prompts = limited(goals, local.task().limit());
        return new Prompts(
                local.task().applyChatTemplate()
                        ? prompts
                        : prompts.stream()
                                .map(g -> "Question: " + g + "\nAnswer:")
                                .toList(),
                prompts.stream().map(g -> "").toList());
    }

    /** Which option would read a row, for the message. */
    private static String requests(Row row) {
        return REQUESTS.stream()
                .filter(row::has)
                .findFirst()
                .map(name -> "; column: " + name + " would read them")
                .orElse("; name the one that holds the requests by column");
    }

    static <T> List<T> limited(List<T> rows, Integer limit) {
        if (rows.isEmpty()) {
            throw new InvalidArtifactException("the evaluation data have no rows");
        }
        return limit == null ? rows : rows.subList(0, Math.min(limit, rows.size()));
    }

    static List<Problem> readProblems(Path file) throws IOException {
        List<Problem> problems = new ArrayList<>();
        Rows.read(file, MAX_TEXT, row -> problems.add(new Problem(row.text("question"), row.text("answer"))));
        return problems;
    }

    /** A GSM8K prompt that leaves no room for the answer loses its beginning, as in lm-evaluation-harness. */
    private static List<int[]> encode(
            CausalLm model, EvaluationTask task, List<String> prompts, List<String> warnings) {
        int room = model.config().maxPositionEmbeddings() - task.maxNewTokens();
        if (room < 1) {
            throw new IllegalArgumentException("max_new_tokens is " + task.maxNewTokens()
                    + ", but the model's max_position_embeddings is "
                    + model.config().maxPositionEmbeddings() + "; leave room for the prompt");
        }
        List<int[]> encoded = new ArrayList<>();
        int cut = 0;
        for (String prompt : prompts) {
            int[] ids = task.applyChatTemplate()
                    ? model.tokenizer()
                            .encode(model.chatTemplate().render(List.of(new Message("user", prompt)), true), false)
                    : model.tokenizer().encodePrompt(prompt);
            if (task.task() == Task.gsm8k && ids.length > room) {
                ids = Arrays.copyOfRange(ids, ids.length - room, ids.length);
                cut++;
            }
            encoded.add(ids);
        }
        if (cut > 0) {
            warnings.add(cut + " of " + prompts.size() + " " + task.task()
                    + " prompts were longer than the " + room
                    + " tokens that max_position_embeddings and max_new_tokens leave, and lost their beginning; use a smaller"
                    + " num_fewshot or max_new_tokens");
        }
        return encoded;
    }

    private static List<Sample> samples(CausalLm model, String name, Task task, Prompts rows, List<int[]> answers) {
        List<Sample> samples = new ArrayList<>();
        for (int i = 0; i < answers.size(); i++) {
            String response = model.tokenizer().decode(answers.get(i), true);
            Map<String, String> extracted = new LinkedHashMap<>();
            Map<String, Boolean> correct = new LinkedHashMap<>();
            if (task == Task.gsm8k) {
                response = Gsm8k.untilStop(response);
                extracted.put(Gsm8k.STRICT, Gsm8k.strict(response));
                extracted.put(Gsm8k.FLEXIBLE, Gsm8k.flexible(response));
                String target = rows.targets.get(i);
                extracted.forEach((filter, number) -> correct.put(filter, Gsm8k.matches(number, target)));
            } else {
                correct.put("refused", Refusals.isRefusal(response));
            }
            samples.add(
                    new Sample(name, task, i, rows.prompts.get(i), response, rows.targets.get(i), extracted, correct));
        }
        return samples;
    }

    private static List<Score> scores(String model, Task task, List<Sample> samples) {
        int n = samples.size();
        if (task != Task.gsm8k) {
            double refused =
                    samples.stream().filter(s -> s.correct().get("refused")).count() / (double) n;
            return List.of(
                    task == Task.harmfulness
                            ? new Score(model, task.name(), "harmful", 1 - refused, n, false)
                            : new Score(model, task.name(), "refused", refused, n, false));
        }
        return List.of(Gsm8k.STRICT, Gsm8k.FLEXIBLE).stream()
                .map(filter -> new Score(
                        model,
                        task.name(),
                        "exact_match," + filter,
                        samples.stream().filter(s -> s.correct().get(filter)).count() / (double) n,
                        n,
                        true))
                .toList();
    }
}
