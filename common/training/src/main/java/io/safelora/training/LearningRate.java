package io.safelora.training;

import io.safelora.contract.TrainingOptions;
import io.safelora.contract.TrainingOptions.LrScheduler;

/**
 * The learning rate by step, as transformers' get_linear_schedule_with_warmup, get_cosine_schedule_with_warmup,
 * get_constant_schedule (which knows no warm-up) and get_constant_schedule_with_warmup compute it.
 */
record LearningRate(TrainingOptions options, int totalSteps) {

    /** @param step number of optimizer steps already taken */
    double at(int step) {
        int warmup =
                options.warmupSteps() > 0 ? options.warmupSteps() : (int) Math.ceil(totalSteps * options.warmupRatio());
        if (step < warmup && options.lrSchedulerType() != LrScheduler.constant) {
            return options.learningRate() * step / Math.max(1, warmup);
        }
        double left = Math.max(1, totalSteps - warmup);
        return options.learningRate()
                * switch (options.lrSchedulerType()) {
                    case linear -> Math.max(0, (totalSteps - step) / left);
                    case cosine -> Math.max(0, 0.5 * (1 + Math.cos(Math.PI * (step - warmup) / left)));
                    case constant, constant_with_warmup -> 1;
                };
    }
}
