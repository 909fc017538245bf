package io.safelora.standalone.cli;

import io.safelora.contract.TrainingOptions;
import io.safelora.contract.TrainingOptions.DataFormat;
import io.safelora.contract.TrainingOptions.LrScheduler;
import java.util.List;
import picocli.CommandLine.Option;

/** The training options of a job, under the same names in kebab-case. Absent means the job document's default. */
final class TrainingMixin {
    @Option(names = "--data-format", description = "question_answer (default), prompt_completion, messages")
    DataFormat dataFormat;

    @Option(names = "--apply-chat-template", negatable = true, description = "render rows by the model's chat template")
    Boolean applyChatTemplate;

    @Option(names = "--r", description = "LoRA rank (default 16)")
    Integer r;

    @Option(names = "--lora-alpha", description = "LoRA scale (default 32)")
    Double loraAlpha;

    @Option(names = "--lora-dropout", description = "default 0")
    Double loraDropout;

    @Option(names = "--target-modules", split = ",", description = "default: all seven linear modules")
    List<String> targetModules;

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

    @Option(names = "--lr-scheduler-type", description = "linear (default), cosine, constant")
    LrScheduler lrSchedulerType;

    @Option(names = "--warmup-ratio", description = "default 0")
    Double warmupRatio;

    @Option(names = "--warmup-steps", description = "default 0")
    Integer warmupSteps;

    @Option(names = "--weight-decay", description = "default 0")
    Double weightDecay;

    @Option(names = "--max-grad-norm", description = "default 1")
    Double maxGradNorm;

    @Option(names = "--max-length", description = "default 512")
    Integer maxLength;

    @Option(names = "--no-shuffle", description = "rows in the file's order, every epoch")
    boolean noShuffle;

    @Option(names = "--seed", description = "default 42")
    Long seed;

    TrainingOptions options(String data) {
        return new TrainingOptions(
                data,
                dataFormat,
                applyChatTemplate,
                r,
                loraAlpha,
                loraDropout,
                targetModules,
                numTrainEpochs,
                maxSteps,
                perDeviceTrainBatchSize,
                gradientAccumulationSteps,
                learningRate,
                lrSchedulerType,
                warmupRatio,
                warmupSteps,
                weightDecay,
                maxGradNorm,
                maxLength,
                !noShuffle,
                seed);
    }
}
