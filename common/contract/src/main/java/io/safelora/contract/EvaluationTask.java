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

/**
 * One evaluation that the aligned, the fine-tuned and the projected model all take. Options have
 * lm-evaluation-harness's names.
 */
public record EvaluationTask(
        @NotNull
        @Pattern(regexp = TASK)
        @JsonPropertyDescription("A task's name (docs/evaluation.md lists them): gsm8k, harmfulness: the "
                + "share of harmful requests that are not refused, over_refusal: the share of "
                + "harmless requests that are refused, answer_loss, ...; or where a task file "
                + "of one's own lies")
        String task,

        @NotNull
        @Pattern(regexp = ArtifactRef.URI)
        @JsonPropertyDescription("The rows, see Data files; docs/evaluation.md says which columns a task reads")
        String data,

        @Size(min = 1, max = 200)
        @JsonPropertyDescription("Of tasks with requests: which column of data holds them; default: the task's own")
        String column,

        @Pattern(regexp = ArtifactRef.URI)
        @JsonPropertyDescription("The rows that the few-shot examples are taken from; required when "
                + "num_fewshot is above zero and the task brings none")
        String fewshotData,

        @Min(0)
        @Max(64)
        @JsonPropertyDescription("Solved examples before each question; default: the task's own, which is 5 for gsm8k")
        Integer numFewshot,

        @JsonPropertyDescription("Which rows become examples. default: lm-evaluation-harness's default, every "
                + "question gets others; first_n: the first num_fewshot rows before every "
                + "question, which is computed once and so several times faster. Without this "
                + "option the task's own, which is default for gsm8k")
        FewshotSampler fewshotSampler,

        @JsonPropertyDescription("Whether the model's chat template gets each example as a turn of the user "
                + "and one of the assistant, or all in one turn with the question; default: "
                + "true with apply_chat_template, as in lm-evaluation-harness")
        Boolean fewshotAsMultiturn,

        @DecimalMin(value = "0", inclusive = false)
        @JsonPropertyDescription("Only the first rows: a whole number of them, or a share above 0 and below "
                + "1, rounded up to whole rows; default: all")
        Double limit,

        @Min(1)
        @Max(4096)
        @JsonPropertyDescription(
                "Longest answer in tokens; default: the task's own, which is 256 for gsm8k and 64 for harmfulness")
        Integer maxNewTokens,

        @JsonPropertyDescription("Whether prompts are rendered by the model's chat template; default: the "
                + "task's own, which is false for most")
        Boolean applyChatTemplate,

        @Size(min = 1, max = 100_000)
        @JsonPropertyDescription("The system message of every prompt; without apply_chat_template, the text "
                + "that every prompt begins with")
        String systemInstruction,

        @Size(max = 100)
        @JsonPropertyDescription("With apply_chat_template: further variables of the chat template, such as "
                + "{enable_thinking: false}; a model that was trained with some is to be asked "
                + "with the same")
        Map<String, Object> chatTemplateKwargs,

        @Size(min = 1, max = 8)
        @JsonPropertyDescription("harmfulness, over_refusal: who judges the answers; default: "
                + "[refusal-phrases]. refusal-phrases: phrases of refusal where an answer "
                + "begins, in 13 languages; gcg-keywords: the published list of the GCG "
                + "attack's evaluation (arXiv 2307.15043), anywhere in the answer; or the id "
                + "of a judge that the job declares under judges. Every judge gives scores of "
                + "its own; those of the first rank a sweep")
        List<@NotNull @Size(min = 1, max = 64) String> judge,

        @Min(1)
        @Max(1024)
        @JsonProperty(defaultValue = "32")
        @JsonPropertyDescription("Sequences generated together, if the memory allows")
        Integer batchSize) {

    /** What a task is called: its name, or where its file is. */
    static final String TASK = "^([A-Za-z0-9_-]{1,100}|(s3://|file:).+)$";

    /** lm-evaluation-harness's names of its samplers. */
    public enum FewshotSampler {
        @JsonProperty("default")
        every_question_others,
        @JsonProperty("first_n")
        first_n
    }

    public EvaluationTask {
        judge = judge == null ? null : judge.stream().distinct().toList();
        batchSize = batchSize == null ? 32 : batchSize;
    }

    /**
     * Reads a task from the command line.
     *
     * @param options by the names that a job document has for them
     * @throws InvalidJobException if an option is unknown, missing, out of range or not of the task; the message names
     *     it as users type it
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

    /** Refuses what can be refused without the task's file. */
    void check(UnaryOperator<String> named) {
        if (limit != null && limit > 1 && limit != Math.rint(limit)) {
            throw new InvalidJobException(named.apply("limit") + ": is " + limit
                    + "; give a whole number of rows, 1 or more, or a share of the rows above 0 and below 1");
        }
        TaskFile file;
        try {
            file = TaskFile.named(task).orElse(null);
        } catch (InvalidJobException e) {
            throw new InvalidJobException(named.apply("task") + ": " + e.getMessage(), e);
        }
        if (file != null) {
            check(file, named);
        }
    }

    /**
     * Refuses what the schema cannot: options that do not go together, or not with the task.
     *
     * @param named what messages call a field
     * @throws InvalidJobException naming the option
     */
    public void check(TaskFile file, UnaryOperator<String> named) {
        int examples = numFewshot == null ? file.numFewshot() : numFewshot;
        boolean chat = applyChatTemplate == null ? file.applyChatTemplate() : applyChatTemplate;
        String of = "task " + file.task();
        if (examples > 0 && file.docToTarget() == null) {
            throw new InvalidJobException(
                    named.apply("num_fewshot") + ": " + of + " has no solved examples; leave it out");
        }
        if (examples > 0 && fewshotData == null && file.fewshotConfig().samples() == null) {
            throw new InvalidJobException(named.apply("fewshot_data") + ": is missing, but num_fewshot is " + examples
                    + "; give the rows to take examples from, or num_fewshot: 0");
        }
        if (fewshotAsMultiturn != null && fewshotAsMultiturn && !chat) {
            throw new InvalidJobException(named.apply("fewshot_as_multiturn")
                    + ": is only for prompts by a chat template; leave it out, or add apply_chat_template");
        }
        if (!chat && chatTemplateKwargs != null) {
            throw new InvalidJobException(
                    named.apply("chat_template_kwargs") + ": needs apply_chat_template; add it, or leave this out");
        }
        if (!chat && file.docToText() == null && applyChatTemplate != null) {
            throw new InvalidJobException(named.apply("apply_chat_template") + ": " + of
                    + " has messages for a chat template alone; leave it out");
        }
        if (file.column() == null && column != null) {
            throw new InvalidJobException(named.apply("column") + ": " + of + " has no requests; leave it out");
        }
        if (!file.isJudged() && judge != null) {
            throw new InvalidJobException(named.apply("judge") + ": nobody judges " + of + "; leave it out");
        }
    }
}
