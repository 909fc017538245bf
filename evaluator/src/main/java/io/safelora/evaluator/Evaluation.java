package io.safelora.evaluator;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.contract.EvaluationTask;
import io.safelora.contract.EvaluationTask.Task;
import io.safelora.contract.JobEvent.Score;
import io.safelora.contract.Json;
import io.safelora.evaluator.Gsm8k.Problem;
import io.safelora.lm.CausalLm;
import io.safelora.lm.ChatTemplate.Message;
import io.safelora.lm.GenerationOptions;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToIntFunction;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVParser;
import org.apache.commons.csv.CSVRecord;

/** Measures models that share their weights - one model, with one adapter or none each - on tasks. */
public final class Evaluation {
    private Evaluation() {}

    /** A task, with its data on this machine. */
    public record LocalTask(EvaluationTask task, Path data, Path fewshotData) {}

    /**
     * One row of one model.
     *
     * @param extracted what each filter took from the response; empty for harmfulness
     * @param correct by filter; for harmfulness under {@code refused}
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

    /** evaluation.json. */
    public record Result(List<Score> scores, List<Sample> samples, Map<String, Double> seconds) {}

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
        int runs = tasks.size() * adapters.size();
        int done = 0;
        for (LocalTask task : tasks) {
            Rows rows = task.task().task() == Task.gsm8k ? problems(task) : requests(task);
            List<int[]> prompts = rows.prompts.stream()
                    .map(prompt -> encode(model, task.task(), prompt))
                    .toList();
            for (Map.Entry<String, String> named : adapters.entrySet()) {
                long began = System.nanoTime();
                double before = (double) done / runs;
                String what = named.getKey() + " on " + task.task().task();
                List<Sample> ofModel = samples(model, named, task.task(), rows, prompts, finished -> {
                    listener.at(before + (double) finished / prompts.size() / runs, what);
                    return finished;
                });
                samples.addAll(ofModel);
                scores.addAll(scores(named.getKey(), task.task().task(), ofModel));
                seconds.merge(what, (System.nanoTime() - began) / 1e9, Double::sum);
                done++;
            }
        }
        listener.at(1, "measured");
        return new Result(scores, samples, seconds);
    }

    /** @param targets the solutions; empty strings where there are none */
    private record Rows(List<String> prompts, List<String> targets) {}

    private static Rows problems(LocalTask local) throws IOException {
        EvaluationTask task = local.task();
        List<Problem> problems = limited(readProblems(local.data()), task.limit());
        List<Problem> examples = task.numFewshot() > 0 ? readProblems(local.fewshotData()) : List.of();
        if (examples.size() < task.numFewshot()) {
            throw new InvalidArtifactException(local.fewshotData().getFileName() + ": has " + examples.size()
                    + " rows, but num_fewshot is " + task.numFewshot());
        }
        return new Rows(
                Gsm8k.prompts(problems, examples, task.numFewshot()),
                problems.stream().map(Problem::answer).toList());
    }

    private static Rows requests(LocalTask local) throws IOException {
        List<String> goals = new ArrayList<>();
        try (BufferedReader reader = Files.newBufferedReader(local.data());
                CSVParser csv = CSVFormat.DEFAULT
                        .builder()
                        .setHeader()
                        .setSkipHeaderRecord(true)
                        .get()
                        .parse(reader)) {
            if (!csv.getHeaderMap().containsKey("goal")) {
                throw new InvalidArtifactException(local.data().getFileName() + ": has no column called goal");
            }
            for (CSVRecord row : csv) {
                goals.add(row.get("goal"));
            }
        }
        goals = limited(goals, local.task().limit());
        return new Rows(
                local.task().applyChatTemplate()
                        ? goals
                        : goals.stream()
                                .map(g -> "Question: " + g + "\nAnswer:")
                                .toList(),
                goals.stream().map(g -> "").toList());
    }

    private static <T> List<T> limited(List<T> rows, Integer limit) {
        if (rows.isEmpty()) {
            throw new InvalidArtifactException("the evaluation data have no rows");
        }
        return limit == null ? rows : rows.subList(0, Math.min(limit, rows.size()));
    }

    private static List<Problem> readProblems(Path file) throws IOException {
        List<Problem> problems = new ArrayList<>();
        int number = 0;
        for (String line : Files.readAllLines(file)) {
            number++;
            if (line.isBlank()) {
                continue;
            }
            JsonNode row;
            try {
                row = Json.MAPPER.readTree(line);
            } catch (JsonProcessingException e) {
                throw new InvalidArtifactException(file.getFileName() + ", line " + number + ": is no JSON", e);
            }
            if (!row.path("question").isTextual() || !row.path("answer").isTextual()) {
                throw new InvalidArtifactException(
                        file.getFileName() + ", line " + number + ": has no text \"question\" and \"answer\"");
            }
            problems.add(
                    new Problem(row.get("question").asText(), row.get("answer").asText()));
        }
        return problems;
    }

    private static int[] encode(CausalLm model, EvaluationTask task, String prompt) {
        return task.applyChatTemplate()
                ? model.tokenizer()
                        .encode(model.chatTemplate().render(List.of(new Message("user", prompt)), true), false)
                : model.tokenizer().encode(prompt, true);
    }

    private static List<Sample> samples(
            CausalLm model,
            Map.Entry<String, String> named,
            EvaluationTask task,
            Rows rows,
            List<int[]> prompts,
            ToIntFunction<Integer> finished) {
        List<String> stop = task.task() == Task.gsm8k ? Gsm8k.STOP : List.of();
        List<int[]> answers = model.generate(
                prompts,
                new GenerationOptions(task.maxNewTokens(), stop, task.batchSize()),
                named.getValue(),
                n -> finished.applyAsInt(n));
        List<Sample> samples = new ArrayList<>();
        for (int i = 0; i < answers.size(); i++) {
            String response = model.tokenizer().decode(answers.get(i), true);
            Map<String, String> extracted = new LinkedHashMap<>();
            Map<String, Boolean> correct = new LinkedHashMap<>();
            if (task.task() == Task.gsm8k) {
                response = Gsm8k.untilStop(response);
                extracted.put(Gsm8k.STRICT, Gsm8k.strict(response));
                extracted.put(Gsm8k.FLEXIBLE, Gsm8k.flexible(response));
                String target = rows.targets.get(i);
                extracted.forEach((filter, number) -> correct.put(filter, Gsm8k.matches(number, target)));
            } else {
                correct.put("refused", Refusals.isRefusal(response));
            }
            samples.add(new Sample(
                    named.getKey(),
                    task.task(),
                    i,
                    rows.prompts.get(i),
                    response,
                    rows.targets.get(i),
                    extracted,
                    correct));
        }
        return samples;
    }

    private static List<Score> scores(String model, Task task, List<Sample> samples) {
        int n = samples.size();
        if (task == Task.harmfulness) {
            double refused =
                    samples.stream().filter(s -> s.correct().get("refused")).count();
            return List.of(new Score(model, task.name(), "harmful", 1 - refused / n, n, false));
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
