package io.safelora.training;

import ai.djl.ndarray.NDArray;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** What of a model a training changes: {@link TrainedAdapter} or {@link TrainedWeights}. */
interface Trainable {
    /** The tensors by name, in float32; always in the same order. */
    Map<String, NDArray> parameters();

    /** Those that weight decay is for. */
    List<NDArray> decayed();

    /** The name under which the model has the adapter that is trained; null if its own weights are. */
    String adapter();

    /** The probability that an element of an adapter's input is dropped. */
    double dropout();

    /**
     * Writes what others load, and its README.md.
     *
     * @param values what the parameters shall be, by their names
     */
    void write(Map<String, NDArray> values, TrainerState state, Path out) throws IOException;
}
