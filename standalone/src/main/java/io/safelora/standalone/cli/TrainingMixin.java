package io.safelora.standalone.cli;

import com.fasterxml.jackson.annotation.JsonAutoDetect.Visibility;
import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.PropertyAccessor;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.contract.Json;
import io.safelora.contract.Options;
import io.safelora.contract.TrainingOptions;
import io.safelora.contract.TrainingOptions.DataFormat;
import io.safelora.contract.TrainingOptions.LrScheduler;
import io.safelora.contract.TrainingOptions.Method;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Pattern;
import picocli.CommandLine.Option;

/** The training options of a job, under the same names in kebab-case. Absent means the job document's default. */
final class TrainingMixin {
    private static final ObjectMapper FIELDS =
            Json.MAPPER.copy().setVisibility(PropertyAccessor.FIELD, Visibility.NON_PRIVATE);
    private static final Pattern EXPRESSION = Pattern.compile("[*+?|()\\[\\]\\\\^$]");

    @Option(
            names = "--method",
            description =
                    "lora (default); full: every weight of a small model, in float32, without the options of LoRA")
    Method method;

    @Option(
            names = "--data-format",
            description =
                    "what a row holds: auto (default), question_answer, prompt_completion, messages, sharegpt, alpaca, text")
    DataFormat dataFormat;

    @Option(names = "--apply-chat-template", negatable = true, description = "render rows by the model's chat template")
    Boolean applyChatTemplate;

    @Option(names = "--all-tokens", description = "the loss is on every token, not on the completion alone")
    @JsonIgnore
    boolean allTokens;

    @JsonProperty("completion_only_loss")
    boolean completionOnlyLoss() {
        return !allTokens;
    }

    @Option(
            names = "--assistant-only-loss",
            description = "the loss is on all that the chat template marks as the assistant's")
    Boolean assistantOnlyLoss;

    @Option(
            names = "--chat-template-kwargs",
            paramLabel = "JSON",
            description = "further variables of the chat template: '{\"enable_thinking\": false}'")
    @JsonIgnore
    String chatTemplateKwargs;

    @Option(names = "--safety-data", description = "rows that keep refusals alive, mixed in at --safety-ratio")
    Path safetyData;

    @Option(names = "--safety-data-format", description = "default: that of the data")
    DataFormat safetyDataFormat;

    @Option(names = "--safety-ratio", description = "safety rows per training row (default 0.1)")
    Double safetyRatio;

    @Option(names = "--validation-data", description = "rows on which eval_loss is measured")
    Path validationData;

    @Option(names = "--eval-steps", description = "steps between two measurements (default: an epoch)")
    Integer evalSteps;

    @Option(
            names = "--early-stopping-patience",
            description = "end after so many measurements without a new lowest, and keep what was the lowest")
    Integer earlyStoppingPatience;

    @Option(names = "--r", description = "LoRA rank (default 16)")
    Integer r;

    @Option(names = "--lora-alpha", description = "LoRA scale (default 32)")
    Double loraAlpha;

    @Option(names = "--lora-dropout", description = "default 0")
    Double loraDropout;

    @Option(
            names = "--target-modules",
            description =
                    "names or their ends, with commas between (default: Llama's seven linear modules); all-linear; or a regular expression that matches whole names")
    String targetModules;

    @Option(names = "--layers-to-transform", split = ",", description = "only these layers, counted from 0")
    List<Integer> layersToTransform;

    @Option(names = "--use-rslora", description = "scale by lora_alpha / sqrt(r)")
    Boolean useRslora;

    @Option(names = "--num-train-epochs", description = "default 3")
    Double numTrainEpochs;

    @Option(names = "--max-steps", description = "optimizer steps; overrides the epochs")
    Integer maxSteps;

    @Option(names = "--per-device-train-batch-size", description = "default 4")
    Integer perDeviceTrainBatchSize;

    @Option(names = "--gradient-accumulation-steps", description = "default 1")
    Integer gradientAccumulationSteps;

    @Option(names = "--learning-rate", description = "default 2e-4")
    Double learningRate;

    @Option(names = "--lr-scheduler-type", description = "linear (default), cosine, constant, constant_with_warmup")
    LrScheduler lrSchedulerType;

    @Option(names = "--warmup-ratio", description = "default 0")
    Double warmupRatio;

    @Option(names = "--warmup-steps", description = "default 0")
    Integer warmupSteps;

    @Option(names = "--weight-decay", description = "default 0")
    Double weightDecay;

    @Option(names = "--max-grad-norm", description = "default 1; 0: no clipping")
    Double maxGradNorm;

    @Option(names = "--max-length", description = "default 512")
    Integer maxLength;

    @Option(names = "--gradient-checkpointing", description = "less memory for a third more time")
    Boolean gradientCheckpointing;

    @Option(
            names = "--no-shuffle",
            negatable = true,
            description = "rows in the file's order, every epoch",
            defaultValue = "false")
    @JsonIgnore
    boolean noShuffle;

    @JsonProperty
    boolean shuffle() {
        return !noShuffle;
    }

    @Option(names = "--seed", description = "default 42")
    Long seed;

    @Option(names = "--save-steps", description = "steps between two checkpoints (default: by time)")
    Integer saveSteps;

    @Option(names = "--save-seconds", description = "seconds between two checkpoints (default 60)")
    Double saveSeconds;

    /** @throws io.safelora.contract.InvalidJobException if an option is out of range; the message names it */
    TrainingOptions options(Path data) {
        ObjectNode json = FIELDS.valueToTree(this);
        json.put("data", data.toUri().toString());
        for (String file : List.of("safety_data", "validation_data")) {
            if (json.has(file)) {
                json.put(file, Path.of(json.get(file).asText()).toUri().toString());
            }
        }
        JsonArgument.put(json, "chat_template_kwargs", chatTemplateKwargs);
        if (targetModules != null
                && !targetModules.equals("all-linear")
                && !EXPRESSION.matcher(targetModules).find()) {
            ArrayNode names = json.putArray("target_modules");
            Arrays.stream(targetModules.split(",")).map(String::strip).forEach(names::add);
        }
        TrainingOptions options = Options.read(json, TrainingOptions.class);
        options.check();
        return options;
    }
}
