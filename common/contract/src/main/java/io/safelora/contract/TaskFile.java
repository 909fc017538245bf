package io.safelora.contract;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.contract.EvaluationTask.FewshotSampler;
import jakarta.validation.Valid;
import jakarta.validation.constraints.Max;
import jakarta.validation.constraints.Min;
import jakarta.validation.constraints.NotNull;
import jakarta.validation.constraints.Pattern;
import jakarta.validation.constraints.Size;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * What a task is: how a row becomes a prompt, what the model does with it, and what is counted. Fields that
 * lm-evaluation-harness 0.4.13 has too mean what they mean there, so that its files for tasks that need no Python can
 * be used as they are.
 */
public record TaskFile(
        @NotNull @Pattern(regexp = "^[A-Za-z0-9_-]{1,100}$") @JsonPropertyDescription("What scores call the task")
        String task,

        @JsonProperty(defaultValue = "generate_until")
        @JsonPropertyDescription("generate_until: the model writes an answer. multiple_choice: the likeliest "
                + "of doc_to_choice is its answer. loglikelihood: how likely doc_to_target is")
        OutputType outputType,

        @Size(max = 50_000)
        @JsonPropertyDescription("Jinja: what every prompt begins with; for a chat template, its system message")
        String description,

        @Size(min = 1, max = 50_000)
        @JsonPropertyDescription("Jinja: the question of a row, whose columns are its variables; or the name "
                + "of a column. Required unless messages are given")
        String docToText,

        @Valid
        @Size(min = 1, max = 100)
        @JsonPropertyDescription("Turns in place of doc_to_text: an optional system message, fixed examples, "
                + "the question last. Beside doc_to_text, these are for a chat template and "
                + "that is for a model without one")
        List<Turn> messages,

        @Size(min = 1, max = 50_000)
        @JsonPropertyDescription(
                "Jinja: the right answer of a row, or its column; with doc_to_choice its text or its number from 0")
        String docToTarget,

        @Size(min = 1, max = 50_000)
        @JsonPropertyDescription(
                "The answers to choose from: a list, a column that has one, or {{ a Jinja expression }}")
        String docToChoice,

        @Size(max = 1000)
        @JsonProperty(defaultValue = "\" \"")
        @JsonPropertyDescription("Between question and answer, where no chat template writes them")
        String targetDelimiter,

        @Size(max = 1000)
        @JsonPropertyDescription("Behind an example, where no chat template writes it; default: an empty line")
        String fewshotDelimiter,

        @Size(min = 1, max = 200)
        @JsonPropertyDescription("Of tasks with requests: the column that has them, {{request}} in templates. "
                + "A job's column takes its place")
        String column,

        @Size(max = 16)
        @JsonPropertyDescription("Only rows that have these values, by column: {label: safe}, for a file that "
                + "holds more than the task's")
        Map<String, Object> rows,

        @Size(min = 1, max = 200)
        @JsonPropertyDescription(
                "A column of few values: every one of them gets scores of its own, called metric [value]")
        String category,

        @Min(0)
        @Max(64)
        @JsonProperty(defaultValue = "0")
        @JsonPropertyDescription("Solved examples before each question")
        Integer numFewshot,

        @Valid @JsonPropertyDescription("Where they come from")
        FewshotConfig fewshotConfig,

        @JsonProperty(defaultValue = "false")
        @JsonPropertyDescription(
                "Whether prompts are rendered by the model's chat template; a job's own option decides")
        Boolean applyChatTemplate,

        @Valid @JsonPropertyDescription("How an answer is written; only for generate_until")
        GenerationKwargs generationKwargs,

        @Valid
        @Size(max = 16)
        @JsonPropertyDescription("What is taken from an answer before it is counted: each gives a score of "
                + "its own; default: the answer as it is")
        List<NamedFilter> filterList,

        @NotNull
        @Valid
        @Size(min = 1, max = 16)
        @JsonPropertyDescription("What is counted; docs/evaluation.md lists the metrics")
        List<MetricOptions> metricList,

        @Size(min = 1, max = 8)
        @JsonPropertyDescription("Who judges the answers, for metrics that need it; a job's judge takes their place")
        List<@NotNull @Size(min = 1, max = 64) String> judge,

        @Size(max = 100) @JsonPropertyDescription("For people: version, source, licence of the data")
        Map<String, Object> metadata) {

    private static final int MAX_CHARS = 200_000;
    private static final java.util.regex.Pattern NAME = java.util.regex.Pattern.compile("[A-Za-z0-9_-]+");

    /** Of the harness's files: where its data are, which here the job says, and how often it asks. */
    static final Set<String> NOT_HERE = Set.of(
            "dataset_path",
            "dataset_name",
            "dataset_kwargs",
            "training_split",
            "validation_split",
            "test_split",
            "fewshot_split",
            "tag",
            "should_decontaminate",
            "doc_to_decontamination_query");

    /** The names of the tasks that come with this project: each is a file of that name. */
    public static final List<String> BUILT_IN = List.of(
            "gsm8k",
            "gsm8k_cot_zeroshot",
            "gsm8k_chat",
            "harmfulness",
            "over_refusal",
            "answer_loss",
            "advbench-keyword",
            "harmbench",
            "hex-phi",
            "strongreject",
            "jailbreakbench",
            "jailbreakbench-benign",
            "xstest",
            "xstest-unsafe");

    /** What a model does with a prompt. */
    public enum OutputType {
        generate_until,
        multiple_choice,
        loglikelihood
    }

    /** A turn of a conversation. */
    public record Turn(
            @NotNull @JsonPropertyDescription("A system message comes first, the user's question last")
            Role role,

            @NotNull @Size(min = 1, max = 50_000) @JsonPropertyDescription("Jinja")
            String content) {}

    /** Whose turn it is. */
    public enum Role {
        system,
        user,
        assistant
    }

    /** Where solved examples come from. */
    public record FewshotConfig(
            @JsonProperty(defaultValue = "default") @JsonPropertyDescription("As in a job: default, first_n")
            FewshotSampler sampler,

            @Size(min = 1, max = 100)
            @JsonPropertyDescription("The rows themselves; else they are those of the job's fewshot_data")
            List<Map<String, Object>> samples) {}

    /** How an answer is written: always greedily. */
    public record GenerationKwargs(
            @Size(max = 32)
            @JsonPropertyDescription("Texts that end an answer and are not part of it; default: fewshot_delimiter")
            List<@NotNull @Size(min = 1, max = 200) String> until,

            @Min(1)
            @Max(4096)
            @JsonProperty(defaultValue = "256")
            @JsonPropertyDescription("Longest answer in tokens; a job's max_new_tokens takes its place")
            Integer maxGenToks,

            @JsonPropertyDescription("Only false") Boolean doSample,

            @JsonPropertyDescription("Only 0, or a value that greedy decoding ignores")
            Double temperature) {}

    /** Filters, one after another. */
    public record NamedFilter(
            @NotNull @Size(min = 1, max = 100) @JsonPropertyDescription("Scores are called metric,name")
            String name,

            @NotNull @Valid @Size(min = 1, max = 16) @JsonPropertyDescription("One after another")
            List<Filter> filter) {}

    /** One step from an answer to what is counted. */
    public record Filter(
            @NotNull
            @JsonPropertyDescription(
                    "regex: a match of an expression; take_first: does nothing, there is one answer to a prompt")
            FilterFunction function,

            @Size(min = 1, max = 1000) @JsonPropertyDescription("regex: Python's re")
            String regexPattern,

            @Min(-1000)
            @Max(1000)
            @JsonProperty(defaultValue = "0")
            @JsonPropertyDescription("regex: which match is taken; -1: the last")
            Integer groupSelect,

            @Size(max = 1000)
            @JsonProperty(defaultValue = "[invalid]")
            @JsonPropertyDescription("regex: what stands for an answer without a match")
            String fallback) {}

    /** lm-evaluation-harness's names of filters. */
    public enum FilterFunction {
        regex,
        take_first,
        remove_whitespace,
        lowercase,
        uppercase
    }

    /** A metric and how texts are compared. */
    public record MetricOptions(
            @NotNull
            @Size(min = 1, max = 100)
            @JsonPropertyDescription("exact_match, acc, rougeL, ...: docs/evaluation.md lists them")
            String metric,

            @JsonPropertyDescription("Over the rows") Aggregation aggregation,

            @JsonPropertyDescription("As the metric has it; another value is refused")
            Boolean higherIsBetter,

            @JsonPropertyDescription("exact_match: upper and lower case are the same")
            Boolean ignoreCase,

            @JsonPropertyDescription("exact_match: without ASCII punctuation")
            Boolean ignorePunctuation,

            @JsonPropertyDescription("exact_match: without the digits 0 to 9")
            Boolean ignoreNumbers,

            @Size(max = 16) @JsonPropertyDescription("exact_match: what is cut out of both texts, by Python's re")
            List<@NotNull @Size(min = 1, max = 1000) String> regexesToIgnore) {}

    /** How the rows' values become a score. */
    public enum Aggregation {
        mean
    }

    public TaskFile {
        outputType = outputType == null ? OutputType.generate_until : outputType;
        targetDelimiter = targetDelimiter == null ? " " : targetDelimiter;
        fewshotDelimiter = fewshotDelimiter == null ? "\n\n" : fewshotDelimiter;
        numFewshot = numFewshot == null ? 0 : numFewshot;
        fewshotConfig = new FewshotConfig(
                fewshotConfig == null || fewshotConfig.sampler() == null
                        ? FewshotSampler.every_question_others
                        : fewshotConfig.sampler(),
                fewshotConfig == null ? null : fewshotConfig.samples());
        applyChatTemplate = applyChatTemplate != null && applyChatTemplate;
        GenerationKwargs given =
                generationKwargs == null ? new GenerationKwargs(null, null, null, null) : generationKwargs;
        generationKwargs = new GenerationKwargs(
                given.until() == null ? List.of(fewshotDelimiter) : given.until(),
                given.maxGenToks() == null ? 256 : given.maxGenToks(),
                given.doSample(),
                given.temperature());
        filterList = filterList == null ? List.of() : filterList;
        judge = judge == null ? null : judge.stream().distinct().toList();
    }

    /** Whether a job's {@code task} is a name, not a file. */
    public static boolean isName(String task) {
        return NAME.matcher(task).matches();
    }

    /**
     * A task that comes with this project.
     *
     * @throws InvalidJobException if there is none of that name; the message has the nearest one
     */
    public static TaskFile builtIn(String name) {
        if (!BUILT_IN.contains(name)) {
            throw new InvalidJobException("no task is called " + name + Nearest.hint(name, BUILT_IN) + "; there are "
                    + String.join(", ", BUILT_IN) + ", or give the path or URI of a task file");
        }
        try (InputStream in = TaskFile.class.getResourceAsStream("tasks/" + name + ".yaml")) {
            return parse(new String(in.readAllBytes(), StandardCharsets.UTF_8), name);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Reads a task file.
     *
     * @param text YAML or JSON
     * @param name what messages call the file
     * @throws InvalidJobException if it is not one; the message is one line that names the field
     */
    public static TaskFile parse(String text, String name) {
        if (text.length() > MAX_CHARS) {
            throw new InvalidJobException(name + ": has " + text.length() + " characters; a task file has at most "
                    + MAX_CHARS + ". Rows belong in the job's data");
        }
        JsonNode tree = Yaml.read(text.startsWith("\ufeff") ? text.substring(1) : text, name);
        if (tree instanceof ObjectNode fields) {
            ofTheHarness(fields);
        }
        try {
            TaskFile file = Validation.read(tree, TaskFile.class, "a task file");
            file.check();
            return file;
        } catch (InvalidJobException e) {
            throw new InvalidJobException(name + ": " + e.getMessage(), e);
        }
    }

    /** The harness's other spellings of the same. */
    private static void ofTheHarness(ObjectNode fields) {
        fields.remove(NOT_HERE);
        if (fields.path("repeats").isInt() && fields.get("repeats").intValue() == 1) {
            fields.remove("repeats");
        }
        JsonNode until = fields.at("/generation_kwargs/until");
        if (until.isTextual()) {
            ((ObjectNode) fields.get("generation_kwargs")).putArray("until").add(until.textValue());
        }
        if (fields.path("doc_to_target").isInt()) {
            fields.put("doc_to_target", fields.get("doc_to_target").asText());
        }
        if (fields.path("doc_to_choice").isArray()) {
            // JSON's literals are Jinja's.
            fields.put("doc_to_choice", "{{ " + fields.get("doc_to_choice") + " }}");
        }
    }

    /** What a schema cannot say. */
    private void check() {
        if (docToText == null && messages == null) {
            throw new InvalidJobException("doc_to_text: is missing; give it, or messages");
        }
        for (int i = 0; messages != null && i < messages.size(); i++) {
            Role role = messages.get(i).role();
            if (role == Role.system && i > 0) {
                throw new InvalidJobException("messages[" + i + "]: a system message comes first");
            }
            if (i == messages.size() - 1 && role != Role.user) {
                throw new InvalidJobException(
                        "messages[" + i + "]: the last turn is the user's, which the model answers");
            }
        }
        if (outputType != OutputType.generate_until && docToTarget == null) {
            throw new InvalidJobException("doc_to_target: is missing, and " + outputType + " needs it");
        }
        if (outputType == OutputType.multiple_choice && docToChoice == null) {
            throw new InvalidJobException("doc_to_choice: is missing, and multiple_choice needs it");
        }
        if (outputType != OutputType.generate_until && !filterList.isEmpty()) {
            throw new InvalidJobException("filter_list: is only for generate_until; take it out");
        }
        if (generationKwargs.doSample() != null && generationKwargs.doSample()) {
            throw new InvalidJobException("generation_kwargs.do_sample: answers are greedy; take it out");
        }
        if (generationKwargs.until().contains("")) {
            throw new InvalidJobException("generation_kwargs.until: is missing, and fewshot_delimiter, its "
                    + "default, is empty; give the texts that end an answer, or []");
        }
        Set<String> names = new HashSet<>();
        for (int i = 0; i < filterList.size(); i++) {
            if (!names.add(filterList.get(i).name())) {
                throw new InvalidJobException(
                        "filter_list[" + i + "].name: " + filterList.get(i).name() + " is given twice");
            }
            check("filter_list[" + i + "].filter", filterList.get(i).filter());
        }
    }

    private static void check(String at, List<Filter> steps) {
        for (int i = 0; i < steps.size(); i++) {
            Filter step = steps.get(i);
            boolean regex = step.function() == FilterFunction.regex;
            if (regex && step.regexPattern() == null) {
                throw new InvalidJobException(at + "[" + i + "].regex_pattern: is missing");
            }
            if (!regex && (step.regexPattern() != null || step.groupSelect() != null || step.fallback() != null)) {
                throw new InvalidJobException(
                        at + "[" + i + "]: regex_pattern, group_select and fallback are only for regex");
            }
        }
    }

    /** The fields of {@code messages}' last turn, or doc_to_text: what is asked of every row. */
    public String question(boolean chat) {
        return asked(chat).get(asked(chat).size() - 1).content();
    }

    /**
     * The turns of every prompt, the question last.
     *
     * @param chat whether they are for a chat template
     */
    public List<Turn> asked(boolean chat) {
        return docToText == null || chat && messages != null ? messages : List.of(new Turn(Role.user, docToText));
    }

    /** Whether somebody judges the answers. */
    public boolean isJudged() {
        return judge != null;
    }

    /** The task that a job names, if it comes with this project. */
    static Optional<TaskFile> named(String task) {
        return isName(task) ? Optional.of(builtIn(task)) : Optional.empty();
    }

    /** The metrics' names, for messages. */
    public List<String> metrics() {
        List<String> names = new ArrayList<>();
        metricList.forEach(metric -> names.add(metric.metric()));
        return names;
    }
}
