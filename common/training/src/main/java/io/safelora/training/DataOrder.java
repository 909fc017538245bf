package io.safelora.training;

import io.safelora.contract.TrainingOptions;
import io.safelora.training.TrainingData.Example;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * Which rows an optimizer step takes: of every epoch's order, which follows from the seed, the next
 * per_device_train_batch_size * gradient_accumulation_steps; the last step of an epoch may have fewer. It follows from
 * the step's number alone, so that a resumed training needs no other state.
 */
final class DataOrder {
    private final List<Example> examples;
    private final TrainingOptions options;
    private final int batchesPerEpoch;
    private final int stepsPerEpoch;
    private List<Integer> order = List.of();
    private int orderOf = -1;

    DataOrder(List<Example> examples, TrainingOptions options) {
        this.examples = examples;
        this.options = options;
        int batch = options.perDeviceTrainBatchSize();
        batchesPerEpoch = (examples.size() + batch - 1) / batch;
        stepsPerEpoch =
                (batchesPerEpoch + options.gradientAccumulationSteps() - 1) / options.gradientAccumulationSteps();
    }

    /** Optimizer steps in all. */
    int steps() {
        return options.maxSteps() != null
                ? options.maxSteps()
                : (int) Math.max(1, Math.ceil(options.numTrainEpochs() * stepsPerEpoch));
    }

    int stepsPerEpoch() {
        return stepsPerEpoch;
    }

    /** The rows of a step, counted from 0. */
    List<Example> rows(int step) {
        int epoch = step / stepsPerEpoch;
        if (epoch != orderOf) {
            order = new ArrayList<>(IntStream.range(0, examples.size()).boxed().toList());
            if (options.shuffle()) {
                Collections.shuffle(order, new Random(options.seed() + epoch));
            }
            orderOf = epoch;
        }
        int size = options.perDeviceTrainBatchSize() * options.gradientAccumulationSteps();
        int begin = step % stepsPerEpoch * size;
        return order.subList(begin, Math.min(begin + size, order.size())).stream()
                .map(examples::get)
                .toList();
    }

    /** Passes over the data, in whole batches, when a step is done. */
    double epoch(int step) {
        int batches = Math.min((step % stepsPerEpoch + 1) * options.gradientAccumulationSteps(), batchesPerEpoch);
        return step / stepsPerEpoch + (double) batches / batchesPerEpoch;
    }
}
