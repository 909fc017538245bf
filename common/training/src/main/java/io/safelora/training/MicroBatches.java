package io.safelora.training;

import ai.djl.engine.EngineException;
import io.safelora.contract.InvalidInputException;
import io.safelora.training.TrainingData.Example;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/**
 * The rows of a step, some at a time: gradients add up, so the step is the same however it is divided. Where the
 * device's memory is too small for a part, parts are halved from then on.
 */
final class MicroBatches {
    private int size;

    MicroBatches(int size) {
        this.size = size;
    }

    int size() {
        return size;
    }

    void resume(int size) {
        this.size = size;
    }

    /**
     * Passes all rows that have labels, part by part.
     *
     * @param pass runs forward and backward over a part
     * @param undo forgets the gradients of parts that did fit, before all are passed again
     * @throws InvalidInputException if there is no memory for a single row
     */
    <T> List<T> run(List<Example> rows, Function<List<Example>, T> pass, Runnable undo) {
        while (true) {
            try {
                List<T> results = new ArrayList<>();
                for (int i = 0; i < rows.size(); i += size) {
                    List<Example> part = rows.subList(i, Math.min(i + size, rows.size())).stream()
                            .filter(e -> e.labelled() > 0)
                            .toList();
                    if (!part.isEmpty()) {
                        results.add(pass.apply(part));
                    }
                }
                return results;
            } catch (EngineException e) {
                if (!OutOfMemory.is(e)) {
                    throw e;
                }
                if (size == 1) {
                    throw new InvalidInputException(
                            "out of memory with one row at a time; lower max_length, set gradient_checkpointing,"
                                    + " or use a larger device",
                            e);
                }
                size = (size + 1) / 2;
                undo.run();
            }
        }
    }
}
