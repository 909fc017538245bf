package io.safelora.contract;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import com.fasterxml.jackson.databind.JsonNode;
import jakarta.validation.constraints.DecimalMax;
import jakarta.validation.constraints.DecimalMin;
import jakarta.validation.constraints.Max;
import jakarta.validation.constraints.Min;
import jakarta.validation.constraints.NotNull;
import jakarta.validation.constraints.Pattern;
import jakarta.validation.constraints.Size;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * How the model is fine-tuned. Names and meanings are those of PEFT's {@code LoraConfig} and transformers'
 * {@code TrainingArguments}. What is of LoRA alone is null with method full.
 */
public record TrainingOptions(
        @NotNull
        @Pattern(regexp = ArtifactRef.URI)
        @JsonPropertyDescription("The training rows: JSON Lines, a JSON array, CSV or Parquet, see Data files")
        String data,

        @JsonProperty(defaultValue = "lora")
        @JsonPropertyDescription("lora: an adapter, the model's weights stay; full: every weight, in float32, "
                + "for small models: r, lora_alpha, lora_dropout, use_rslora, target_modules "
                + "and layers_to_transform are refused then, and the result is a checkpoint")
        Method method,

        @JsonProperty(defaultValue = "auto")
        @JsonPropertyDescription(
                "What a row holds, see Rows of training; auto: what its columns say, of each file's first row")
        DataFormat dataFormat,

        @JsonProperty(defaultValue = "false")
        @JsonPropertyDescription(
                "Whether rows are rendered by the model's chat template; else as plain text, see Rows of training")
        Boolean applyChatTemplate,

        @JsonProperty(defaultValue = "true")
        @JsonPropertyDescription(
                "Whether the loss is on the completion alone (of messages: on the last one); else on every token")
        Boolean completionOnlyLoss,

        @JsonProperty(defaultValue = "false")
        @JsonPropertyDescription("With apply_chat_template: whether the loss is on all that the chat template "
                + "marks as the assistant's by {% generation %}, of every turn")
        Boolean assistantOnlyLoss,

        @JsonPropertyDescription("With apply_chat_template: further variables of the chat template, such as "
                + "{enable_thinking: false}; those of a row's own chat_template_kwargs win")
        Map<String, Object> chatTemplateKwargs,

        @Pattern(regexp = ArtifactRef.URI)
        @JsonPropertyDescription("Rows that keep refusals alive, mixed into the training rows at safety_ratio")
        String safetyData,

        @JsonPropertyDescription("What a row of safety_data holds, where it is not data_format")
        DataFormat safetyDataFormat,

        @DecimalMin("0")
        @DecimalMax("100")
        @JsonProperty(defaultValue = "0.1")
        @JsonPropertyDescription(
                "Safety rows per training row; drawn by the seed, again and again if there are too few")
        Double safetyRatio,

        @Pattern(regexp = ArtifactRef.URI)
        @JsonPropertyDescription("Rows on which eval_loss is measured, in data_format; they are not trained on")
        String validationData,

        @Min(1) @JsonPropertyDescription("Optimizer steps between two measurements of eval_loss; default: an epoch")
        Integer evalSteps,

        @Min(1)
        @JsonPropertyDescription("Training ends after so many measurements of eval_loss in a row without a "
                + "new lowest, and the adapter (or checkpoint) of the lowest is kept")
        Integer earlyStoppingPatience,

        @Min(1) @Max(1024) @JsonProperty(defaultValue = "16") @JsonPropertyDescription("LoRA rank")
        Integer r,

        @DecimalMin(value = "0", inclusive = false)
        @JsonProperty(defaultValue = "32")
        @JsonPropertyDescription("LoRA scale: the update is lora_alpha / r * B A")
        Double loraAlpha,

        @DecimalMin("0")
        @DecimalMax(value = "1", inclusive = false)
        @JsonProperty(defaultValue = "0")
        @JsonPropertyDescription("Dropout probability on the adapter's input")
        Double loraDropout,

        @JsonProperty(defaultValue = "false")
        @JsonPropertyDescription("Scale by lora_alpha / sqrt(r) instead (rsLoRA, arXiv 2312.03732)")
        Boolean useRslora,

        @JsonProperty(
                defaultValue =
                        "[\"q_proj\", \"k_proj\", \"v_proj\", \"o_proj\", \"gate_proj\", \"up_proj\", \"down_proj\"]")
        @JsonPropertyDescription("The modules that get LoRA: a list of names or their ends; or a text: "
                + "all-linear, or a regular expression that matches whole names")
        TargetModules targetModules,

        @Size(min = 1) @JsonPropertyDescription("Only modules of these layers, counted from 0, get LoRA")
        List<@Min(0) Integer> layersToTransform,

        @DecimalMin(value = "0", inclusive = false)
        @JsonProperty(defaultValue = "3")
        @JsonPropertyDescription("Passes over the data, unless max_steps is given")
        Double numTrainEpochs,

        @Min(1) @JsonPropertyDescription("Optimizer steps; overrides num_train_epochs")
        Integer maxSteps,

        @Min(1) @Max(4096) @JsonProperty(defaultValue = "4") @JsonPropertyDescription("Rows per forward pass")
        Integer perDeviceTrainBatchSize,

        @Min(1)
        @Max(4096)
        @JsonProperty(defaultValue = "1")
        @JsonPropertyDescription("Forward passes per optimizer step")
        Integer gradientAccumulationSteps,

        @DecimalMin(value = "0", inclusive = false)
        @JsonProperty(defaultValue = "0.0002")
        @JsonPropertyDescription("Peak learning rate of AdamW")
        Double learningRate,

        @JsonProperty(defaultValue = "linear") @JsonPropertyDescription("The learning rate's course after warm-up")
        LrScheduler lrSchedulerType,

        @DecimalMin("0")
        @DecimalMax("1")
        @JsonProperty(defaultValue = "0")
        @JsonPropertyDescription("Share of all steps over which the learning rate rises from zero")
        Double warmupRatio,

        @Min(0)
        @JsonProperty(defaultValue = "0")
        @JsonPropertyDescription("Warm-up in steps; overrides warmup_ratio when above zero")
        Integer warmupSteps,

        @DecimalMin("0") @JsonProperty(defaultValue = "0") @JsonPropertyDescription("AdamW's decoupled weight decay")
        Double weightDecay,

        @DecimalMin("0")
        @JsonProperty(defaultValue = "1")
        @JsonPropertyDescription("Gradients are scaled down to this global norm; 0: never")
        Double maxGradNorm,

        @JsonProperty(defaultValue = "false")
        @JsonPropertyDescription("Keep only the layers' inputs and compute the rest again in the backward "
                + "pass: less memory, a third more time")
        Boolean gradientCheckpointing,

        @Min(2) @JsonProperty(defaultValue = "512") @JsonPropertyDescription("Longer rows are cut to this many tokens")
        Integer maxLength,

        @JsonProperty(defaultValue = "true")
        @JsonPropertyDescription("Whether rows are drawn in a new random order every epoch")
        Boolean shuffle,

        @JsonProperty(defaultValue = "42") @JsonPropertyDescription("Seed of initialisation, row order and dropout")
        Long seed,

        @Min(1) @JsonPropertyDescription("Optimizer steps between two checkpoints; default: by time, save_seconds")
        Integer saveSteps,

        @DecimalMin("0")
        @JsonProperty(defaultValue = "60")
        @JsonPropertyDescription("Seconds between two checkpoints, from which a killed training goes on")
        Double saveSeconds) {

    /** All linear modules of a Llama decoder layer, the modules of the SafeLoRA paper's code. */
    public static final List<String> LINEAR_MODULES =
            List.of("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj");

    /** What is trained. */
    public enum Method {
        lora,
        full
    }

    /** What a training row holds. */
    public enum DataFormat {
        auto,
        question_answer,
        prompt_completion,
        messages,
        sharegpt,
        alpaca,
        text
    }

    /** Learning-rate schedules, under transformers' names. */
    public enum LrScheduler {
        linear,
        cosine,
        constant,
        constant_with_warmup
    }

    public TrainingOptions {
        method = or(method, Method.lora);
        dataFormat = or(dataFormat, DataFormat.auto);
        applyChatTemplate = or(applyChatTemplate, false);
        completionOnlyLoss = or(completionOnlyLoss, true);
        assistantOnlyLoss = or(assistantOnlyLoss, false);
        safetyDataFormat = safetyData == null ? safetyDataFormat : or(safetyDataFormat, dataFormat);
        safetyRatio = or(safetyRatio, 0.1);
        if (method == Method.lora) {
            r = or(r, 16);
            loraAlpha = or(loraAlpha, 32.0);
            loraDropout = or(loraDropout, 0.0);
            useRslora = or(useRslora, false);
            targetModules = or(targetModules, TargetModules.names(LINEAR_MODULES));
        }
        layersToTransform = layersToTransform == null ? null : List.copyOf(layersToTransform);
        numTrainEpochs = or(numTrainEpochs, 3.0);
        perDeviceTrainBatchSize = or(perDeviceTrainBatchSize, 4);
        gradientAccumulationSteps = or(gradientAccumulationSteps, 1);
        learningRate = or(learningRate, 2e-4);
        lrSchedulerType = or(lrSchedulerType, LrScheduler.linear);
        warmupRatio = or(warmupRatio, 0.0);
        warmupSteps = or(warmupSteps, 0);
        weightDecay = or(weightDecay, 0.0);
        maxGradNorm = or(maxGradNorm, 1.0);
        gradientCheckpointing = or(gradientCheckpointing, false);
        maxLength = or(maxLength, 512);
        shuffle = or(shuffle, true);
        seed = or(seed, 42L);
        saveSeconds = or(saveSeconds, 60.0);
    }

    /**
     * Reads options as a job document has them.
     *
     * @throws InvalidJobException if one is unknown, missing, out of range or not of the method; the message names it
     */
    public static TrainingOptions of(JsonNode json) {
        TrainingOptions options = Validation.read(json, TrainingOptions.class, "training");
        options.check();
        return options;
    }

    /**
     * Refuses options that do not go together.
     *
     * @throws InvalidJobException naming them
     */
    public void check() {
        if (!applyChatTemplate && (assistantOnlyLoss || chatTemplateKwargs != null)) {
            throw new InvalidJobException(
                    (assistantOnlyLoss ? "training.assistant_only_loss" : "training.chat_template_kwargs")
                            + ": needs apply_chat_template; add it, or leave this out");
        }
        if (method == Method.full) {
            Map<String, Object> ofLora = new LinkedHashMap<>();
            ofLora.put("r", r);
            ofLora.put("lora_alpha", loraAlpha);
            ofLora.put("lora_dropout", loraDropout);
            ofLora.put("use_rslora", useRslora);
            ofLora.put("target_modules", targetModules);
            ofLora.put("layers_to_transform", layersToTransform);
            ofLora.values().removeIf(Objects::isNull);
            if (!ofLora.isEmpty()) {
                throw new InvalidJobException("training.method: full trains every weight, and "
                        + String.join(", ", ofLora.keySet()) + (ofLora.size() == 1 ? " is" : " are")
                        + " of LoRA alone; leave " + (ofLora.size() == 1 ? "it" : "them") + " out, or use method lora");
            }
        }
    }

    /**
     * Refuses a type that this method cannot train in.
     *
     * @param dtype auto, float32 or bfloat16
     * @throws InvalidJobException saying why
     */
    public void checkDtype(String dtype) {
        if (method == Method.full && "bfloat16".equals(dtype)) {
            throw new InvalidJobException("dtype: bfloat16 is too coarse for training.method full, whose updates "
                    + "are smaller than its last digit; leave it out: training is in float32 "
                    + "then, and the checkpoint keeps its type");
        }
    }

    private static <T> T or(T value, T otherwise) {
        return value == null ? otherwise : value;
    }
}
