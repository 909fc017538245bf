package io.safelora.trainer;

import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.trainer.LoraTraining.Options;
import io.safelora.trainer.LoraTraining.TrainerState;
import java.util.Locale;

/** The README.md of an adapter, with the front matter that Hugging Face's hub reads. */
final class ModelCard {
    private ModelCard() {}

    static String of(Options options, PeftAdapter adapter, int rows, TrainerState state) {
        var t = options.training();
        return String.format(
                Locale.ROOT,
                """
                ---
                base_model: %s
                library_name: peft
                tags:
                - lora
                - safelora
                ---

                # LoRA adapter

                Trained by SafeLoRA's lora-trainer on %d rows of `%s`: %d optimizer steps (%.2f epochs), loss %.4f at the first and %.4f at the
                last step. `trainer_state.json` has every step.

                | option | value |
                |---|---|
                | modules | %d |
                | r, lora_alpha, lora_dropout | %d, %s, %s |
                | learning_rate, lr_scheduler_type | %s, %s |
                | per_device_train_batch_size, gradient_accumulation_steps | %d, %d |
                | weight_decay, max_grad_norm, seed | %s, %s, %d |
                """,
                options.modelName(),
                rows,
                options.data().getFileName(),
                state.globalStep(),
                state.epoch(),
                state.logHistory().get(0).loss(),
                state.logHistory().get(state.logHistory().size() - 1).loss(),
                adapter.modules().size(),
                adapter.config().r(),
                adapter.config().loraAlpha(),
                adapter.config().loraDropout(),
                t.learningRate(),
                t.lrSchedulerType(),
                t.perDeviceTrainBatchSize(),
                t.gradientAccumulationSteps(),
                t.weightDecay(),
                t.maxGradNorm(),
                t.seed());
    }
}
