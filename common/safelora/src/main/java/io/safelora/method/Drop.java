package io.safelora.method;

import ai.djl.ndarray.NDArray;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.contract.SelectionOptions;
import java.util.List;

/** The control of every projector: chosen updates become zero, so that these modules are the aligned model's. */
record Drop(SelectionOptions selection) implements Repair {
    @Override
    public String label() {
        return "drop" + Labels.measuredBy(selection) + ", " + Labels.chosen(selection);
    }

    @Override
    public List<String> fields() {
        return List.of("projector", "strategy");
    }

    @Override
    public LoraModule repaired(LoraModule update, Surroundings<float[]> module) {
        return LoraUpdates.withB(update, new float[update.b().length]);
    }

    @Override
    public NDArray repaired(NDArray update, Surroundings<NDArray> module) {
        return DenseUpdates.mix(update, 0, update, 0);
    }
}
