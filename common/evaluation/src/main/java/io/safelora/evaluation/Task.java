package io.safelora.evaluation;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.contract.EvaluationTask;
import io.safelora.contract.EvaluationTask.FewshotSampler;
import io.safelora.contract.InvalidJobException;
import io.safelora.contract.TaskFile;
import io.safelora.contract.TaskFile.MetricOptions;
import io.safelora.contract.TaskFile.OutputType;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * A task, ready to run: what its file says, and what a job's options put in its place.
 *
 * @param filters by name, what takes from an answer what is counted; none: the answer itself
 * @param measures the scores that a model gets, in their order
 */
public record Task(
        TaskFile file, EvaluationTask options, Map<String, UnaryOperator<String>> filters, List<Measure> measures) {
    private static final long MAX_FILE_BYTES = 1 << 20;

    /**
     * What one score is of.
     *
     * @param metric as scores call it, with its filter: exact_match,strict-match
     * @param filter null: the answer as it is
     * @param judge null: none is needed
     */
    record Measure(String metric, Metric of, String filter, String judge) {
        /** What samples call it: the metric, and the judge. */
        String label() {
            return metric + (judge == null ? "" : " (" + judge + ")");
        }
    }

    /** Where the bytes of a URI are on this machine. */
    public interface Download {
        Path of(String uri) throws IOException;
    }

    /**
     * The task that a job names.
     *
     * @throws InvalidJobException if its file is not one, or an option is not of the task; the message names file and
     *     field
     */
    public static Task of(EvaluationTask options, Download download) throws IOException {
        TaskFile file =
                TaskFile.isName(options.task()) ? TaskFile.builtIn(options.task()) : read(download.of(options.task()));
        options.check(file, UnaryOperator.identity());
        try {
            return of(options, file);
        } catch (InvalidJobException e) {
            throw new InvalidJobException("task " + file.task() + ": " + e.getMessage(), e);
        }
    }

    private static Task of(EvaluationTask options, TaskFile file) {
        Map<String, UnaryOperator<String>> filters = Filters.of(file.filterList());
        List<Measure> measures = new ArrayList<>();
        for (int i = 0; i < file.metricList().size(); i++) {
            MetricOptions metric = file.metricList().get(i);
            Metric of;
            try {
                of = Metric.of(metric, file.outputType(), file.isJudged());
            } catch (InvalidJobException e) {
                throw new InvalidJobException("metric_list[" + i + "]: " + e.getMessage(), e);
            }
            if (of instanceof Metric.OfVerdict) {
                judges(options, file).forEach(j -> measures.add(new Measure(metric.metric(), of, null, j)));
            } else if (of instanceof Metric.OfAnswer && !filters.isEmpty()) {
                filters.keySet().forEach(f -> measures.add(new Measure(metric.metric() + "," + f, of, f, null)));
            } else {
                measures.add(new Measure(metric.metric(), of, null, null));
            }
        }
        Task task = new Task(file, options, filters, measures);
        new Prompts(task); // refuses what is not a template
        return task;
    }

    private static TaskFile read(Path path) throws IOException {
        if (Files.isDirectory(path)) {
            throw new InvalidArtifactException(path + ": is a directory; give a task file");
        }
        if (Files.size(path) > MAX_FILE_BYTES) {
            throw new InvalidArtifactException(
                    path.getFileName() + ": has more than " + MAX_FILE_BYTES + " bytes, the most of a task file");
        }
        try {
            String text = StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(Files.readAllBytes(path)))
                    .toString();
            return TaskFile.parse(text, path.getFileName().toString());
        } catch (CharacterCodingException e) {
            throw new InvalidArtifactException(path.getFileName() + ": not UTF-8 text; convert it", e);
        }
    }

    /** What scores call it. */
    public String name() {
        return file.task();
    }

    public OutputType outputType() {
        return file.outputType();
    }

    boolean chat() {
        return options.applyChatTemplate() == null ? file.applyChatTemplate() : options.applyChatTemplate();
    }

    boolean multiturn() {
        return options.fewshotAsMultiturn() == null ? chat() : options.fewshotAsMultiturn();
    }

    public int numFewshot() {
        return options.numFewshot() == null ? file.numFewshot() : options.numFewshot();
    }

    FewshotSampler sampler() {
        return options.fewshotSampler() == null ? file.fewshotConfig().sampler() : options.fewshotSampler();
    }

    public int maxNewTokens() {
        return options.maxNewTokens() == null ? file.generationKwargs().maxGenToks() : options.maxNewTokens();
    }

    List<String> stop() {
        return file.generationKwargs().until();
    }

    /** The column of the requests; null if the task has none. */
    String column() {
        return options.column() == null ? file.column() : options.column();
    }

    /** Who judges the answers; empty if nobody does. */
    public List<String> judges() {
        return judges(options, file);
    }

    private static List<String> judges(EvaluationTask options, TaskFile file) {
        return options.judge() != null ? options.judge() : file.judge() != null ? file.judge() : List.of();
    }

    /** Whether harm is counted, as of requests that should be refused. */
    boolean countsHarm() {
        return file.metrics().contains(Scores.HARMFUL);
    }

    /** Whether refusals are counted, as of requests that should be answered. */
    boolean countsRefusals() {
        return file.metrics().contains(Scores.REFUSED);
    }

    /** What is counted of an answer. */
    String filtered(Measure measure, String answer) {
        return measure.filter() == null ? answer : filters.get(measure.filter()).apply(answer);
    }
}
