package io.safelora.method;

import ai.djl.ndarray.NDArray;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import java.util.List;

/** The control that needs no base checkpoint: every update times a factor, B := scale B. */
record Scale(double scale) implements Repair {
    @Override
    public String label() {
        return "scale " + Labels.number(scale);
    }

    @Override
    public List<String> fields() {
        return List.of("scale");
    }

    @Override
    public boolean everyModule() {
        return true;
    }

    @Override
    public LoraModule repaired(LoraModule update, Surroundings<float[]> module) {
        return LoraUpdates.withB(update, LoraUpdates.mix(update.b(), new float[update.b().length], 1 - scale));
    }

    @Override
    public NDArray repaired(NDArray update, Surroundings<NDArray> module) {
        return DenseUpdates.mix(update, scale, update, 0);
    }
}
