package io.safelora.method;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;

/**
 * What repairs look at beside what was fine-tuned.
 *
 * @param base the model before alignment
 * @param aligned the aligned model, which was fine-tuned
 * @param safety a PEFT adapter of the aligned model that was trained on safety data; null where no repair needs it
 */
public record Sources(Checkpoint base, Checkpoint aligned, PeftAdapter safety) {
    /** The safety adapter's module of that name and shape. */
    LoraModule safety(String name, long out, long in) {
        if (safety == null) {
            throw new InvalidArtifactException(
                    "selection.safety_adapter: is missing; repair safe-merge blends with a PEFT adapter trained on safety data");
        }
        LoraModule module = safety.modules().get(name);
        if (module == null || module.in() != in || module.out() != out) {
            throw new InvalidArtifactException("selection.safety_adapter: has no module " + name + " of shape (" + out
                    + ", " + in + "); it must adapt the same modules of the same model");
        }
        return module;
    }

    /** What is said of a base and an aligned checkpoint that are equal. */
    static InvalidArtifactException identical(Checkpoint base, Checkpoint aligned) {
        return new InvalidArtifactException(base.name() + " and " + aligned.name()
                + " have equal weights, so there is no alignment to keep; base must be the model before alignment");
    }
}
