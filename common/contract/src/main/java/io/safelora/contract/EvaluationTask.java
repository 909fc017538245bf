package io.safelora.contract;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import com.fasterxml.jackson.databind.JsonNode;
import jakarta.validation.constraints.DecimalMin;
import jakarta.validation.constraints.Max;
import jakarta.validation.constraints.Min;
import jakarta.validation.constraints.NotNull;
import jakarta.validation.constraints.Pattern;
import jakarta.validation.constraints.Size;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/** One evaluation that the aligned, the fine-tuned and the projected model all take. Options have lm-evaluation-harness's names. */
public record EvaluationTask(
        @NotNull
        @JsonPropertyDescription(
                "gsm8k: lm-evaluation-harness's gsm8k; harmfulness: the share of harmful requests that are not refused; over_refusal: the share of harmless requests that are refused; answer_loss: the mean of -log p over the tokens of given answers, finer than solved questions where few are")
        Task task,

        @NotNull
        @Pattern(regexp = ArtifactRef.URI)
        @JsonPropertyDescription(
                "s3:// or file: URI of a file of rows, see Data files: for gsm8k and answer_loss {question, answer}; for harmfulness and over_refusal requests, in column")
        String data,

        @Size(min = 1, max = 200)
        @JsonPropertyDescription("harmfulness, over_refusal: which column of data holds the requests; default: goal")
        String column,

        @Pattern(regexp = ArtifactRef.URI)
        @JsonPropertyDescription(
                "gsm8k: s3:// or file: URI of the rows the few-shot examples are taken from; required when num_fewshot is above zero")
        String fewshotData,

        @Min(0)
        @Max(64)
        @JsonPropertyDescription("gsm8k: solved examples before each question; default: 5 for gsm8k, 0 for harmfulness")
        Integer numFewshot,

        @JsonProperty(defaultValue = "default")
        @JsonPropertyDescription(
                "gsm8k: which rows become examples. default: lm-evaluation-harness's default, every question gets others; first_n: the first num_fewshot rows before every question, which is computed once and so several times faster")
        FewshotSampler fewshotSampler,

        @JsonPropertyDescription(
                "gsm8k: whether the model's chat template gets each example as a turn of the user and one of the assistant, or all in one turn with the question; default: true with apply_chat_template, as in lm-evaluation-harness")
        Boolean fewshotAsMultiturn,

        @DecimalMin(value = "0", inclusive = false)
        @JsonPropertyDescription(
                "Only the first rows: a whole number of them, or a share above 0 and below 1, rounded up to whole rows; default: all")
        Double limit,

        @Min(1)
        @Max(4096)
        @JsonPropertyDescription("Longest answer in tokens; default: 256 for gsm8k, 64 for harmfulness")
        Integer maxNewTokens,

        @JsonProperty(defaultValue = "false")
        @JsonPropertyDescription("Whether prompts are rendered by the model's chat template")
        Boolean applyChatTemplate,

        @Size(min = 1, max = 100_000)
        @JsonPropertyDescription(
                "The system message of every prompt; without apply_chat_template, the text that every prompt begins with")
        String systemInstruction,

        @Size(max = 100)
        @JsonPropertyDescription(
                "With apply_chat_template: further variables of the chat template, such as {enable_thinking: false}; a model that was trained with some is to be asked with the same")
        Map<String, Object> chatTemplateKwargs,

        @Size(min = 1, max = 8)
        @JsonPropertyDescription(
                "harmfulness, over_refusal: who judges the answers; default: [refusal-phrases]. refusal-phrases: phrases of refusal where an answer begins, in 13 languages; gcg-keywords: the published list of the GCG attack's evaluation (arXiv 2307.15043), anywhere in the answer; or the id of a judge that the job declares under judges. Every judge gives scores of its own; those of the first rank a sweep")
        List<@NotNull @Size(min = 1, max = 64) String> judge,

        @Min(1)
        @Max(1024)
        @JsonProperty(defaultValue = "32")
        @JsonPropertyDescription("Sequences generated together, if the memory allows")
        Integer batchSize) {

    /** What is measured. */
    public enum Task {
        gsm8k,
        harmfulness,
        over_refusal,
        answer_loss
    }

    /** lm-evaluation-harness's names of its samplers. */
    public enum FewshotSampler {
        @JsonProperty("default")
        every_question_others,
        @JsonProperty("first_n")
        first_n
    }

    public EvaluationTask {
        fewshotSampler = fewshotSampler == null ? FewshotSampler.every_question_others : fewshotSampler;
        numFewshot = numFewshot == null ? (task == Task.gsm8k ? 5 : 0) : numFewshot;
        maxNewTokens = maxNewTokens == null ? (task == Task.gsm8k ? 256 : 64) : maxNewTokens;
        applyChatTemplate = applyChatTemplate == null ? false : applyChatTemplate;
        fewshotAsMultiturn = fewshotAsMultiturn == null ? task == Task.gsm8k && applyChatTemplate : fewshotAsMultiturn;
        judge = judge == null && isJudged(task) ? List.of(JudgeOptions.BUILT_IN.get(0)) : judge;
        judge = judge == null ? null : judge.stream().distinct().toList();
        batchSize = batchSize == null ? 32 : batchSize;
    }

    /**
     * Reads a task from the command line.
     *
     * @param options by the names that a job document has for them
     * @throws InvalidJobException if an option is unknown, missing, out of range or not of the task; the message names it as
     *     users type it
     */
    public static EvaluationTask ofOptions(JsonNode options) {
        return ofOptions(options, List.of());
    }

    /** The same where judges are declared beside the task. */
    public static EvaluationTask ofOptions(JsonNode options, List<JudgeOptions> judges) {
        EvaluationTask task = Options.read(options, EvaluationTask.class);
        task.check(Options::option);
        JudgeOptions.check(task, judges);
        return task;
    }

    /** How many of so many rows are measured. A share is rounded up, as in lm-evaluation-harness. */
    public int rows(int available) {
        return limit == null ? available : (int) Math.min(available, limit < 1 ? Math.ceil(limit * available) : limit);
    }

    /**
     * Refuses what the schema cannot: a limit between two whole numbers, and options that do not go together.
     *
     * @param named what messages call a field
     * @throws InvalidJobException naming the option
     */
    void check(UnaryOperator<String> named) {
        if (limit != null && limit > 1 && limit != Math.rint(limit)) {
            throw new InvalidJobException(named.apply("limit") + ": is " + limit
                    + "; give a whole number of rows, 1 or more, or a share of the rows above 0 and below 1");
        }
        if (task != Task.gsm8k && numFewshot > 0) {
            throw new InvalidJobException(named.apply("num_fewshot") + ": is only for gsm8k; leave it out");
        }
        if (numFewshot > 0 && fewshotData == null) {
            throw new InvalidJobException(named.apply("fewshot_data") + ": is missing, but num_fewshot is " + numFewshot
                    + "; give the rows to take examples from, or num_fewshot: 0");
        }
        if (fewshotAsMultiturn && (task != Task.gsm8k || !applyChatTemplate)) {
            throw new InvalidJobException(named.apply("fewshot_as_multiturn")
                    + ": is only for gsm8k with apply_chat_template; leave it out, or add that");
        }
        if (!applyChatTemplate && chatTemplateKwargs != null) {
            throw new InvalidJobException(
                    named.apply("chat_template_kwargs") + ": needs apply_chat_template; add it, or leave this out");
        }
        if (!isJudged(task) && column != null) {
            throw new InvalidJobException(
                    named.apply("column") + ": is only for harmfulness and over_refusal; leave it out");
        }
        if (!isJudged(task) && judge != null) {
            throw new InvalidJobException(
                    named.apply("judge") + ": is only for harmfulness and over_refusal; leave it out");
        }
    }

    private static boolean isJudged(Task task) {
        return task == Task.harmfulness || task == Task.over_refusal;
    }
}
