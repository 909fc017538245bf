package io.safelora.contract;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import jakarta.validation.constraints.Max;
import jakarta.validation.constraints.Min;
import jakarta.validation.constraints.NotNull;
import jakarta.validation.constraints.Pattern;
import jakarta.validation.constraints.Size;

/** One evaluation that the aligned, the fine-tuned and the projected model all take. */
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

        @Min(1) @JsonPropertyDescription("Only the first limit rows; default: all")
        Integer limit,

        @Min(1)
        @Max(4096)
        @JsonPropertyDescription("Longest answer in tokens; default: 256 for gsm8k, 64 for harmfulness")
        Integer maxNewTokens,

        @JsonProperty(defaultValue = "false")
        @JsonPropertyDescription("Whether prompts are rendered by the model's chat template")
        Boolean applyChatTemplate,

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
        batchSize = batchSize == null ? 32 : batchSize;
    }
}
