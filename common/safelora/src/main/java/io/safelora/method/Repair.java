package io.safelora.method;

import ai.djl.ndarray.NDArray;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.contract.SelectionOptions;
import java.util.List;

/**
 * What becomes of the updates that fine-tuning made: one class a repair. Nothing else knows how many there are;
 * docs/recipes/add-a-repair.md says how to add one.
 *
 * <p>An update has two forms, and so has a repair: s B A of a LoRA adapter, and the dense dW = W_fine-tuned - W_aligned of a
 * checkpoint. A repair that has one form only throws {@link InvalidArtifactException} in the other, and names itself there.
 */
public sealed interface Repair permits SafeLora, SafeMerge, SafetyVector, Drop, Scale {
    /** The repair that a job's selection names, with its options. */
    static Repair of(SelectionOptions selection) {
        return switch (selection.repair()) {
            case safe_lora -> new SafeLora(selection);
            case safe_merge -> new SafeMerge(selection);
            case safety_vector -> new SafetyVector(selection.rank(), selection.gamma());
            case drop -> new Drop(selection);
            case scale -> new Scale(selection.scale());
        };
    }

    /** What tables call it: its name, and every option that it looks at. */
    String label();

    /** The fields of a job's selection that it looks at: what a sweep varies, in this order. */
    List<String> fields();

    /** Whether it is for every module, whatever the strategy chooses. */
    default boolean everyModule() {
        return false;
    }

    /**
     * The form for adapters.
     *
     * @return {@code update} itself if it stays bit for bit
     * @throws InvalidArtifactException if something that the repair needs is missing, or does not fit
     */
    LoraModule repaired(LoraModule update, Surroundings<float[]> module);

    /**
     * The form for checkpoints.
     *
     * @param update dW (out, in), float32; may be changed in place
     * @return what dW becomes; {@code update} itself if the weight stays bit for bit
     * @throws InvalidArtifactException as in the other form
     */
    NDArray repaired(NDArray update, Surroundings<NDArray> module);

    /**
     * What the numbers of this repair mean, where they are easily misread; or null.
     *
     * @param medianShrinkage median of |C dW|_F / |dW|_F over the chosen modules
     */
    default String note(double medianShrinkage) {
        return null;
    }

    /**
     * What a repair may look at beside a module's update.
     *
     * @param <P> how C dW is given: of an adapter as C B (out, r), row by row; of a checkpoint as C dW (out, in), float32
     */
    interface Surroundings<P> {
        /** The projected update; null where V = 0, so that there is nothing to project onto. */
        P projected();

        /** @throws InvalidArtifactException if there is no safety adapter, or it does not adapt the module */
        LoraModule safety();

        /** The k largest singular triplets of V, or all if they are fewer; null where V = 0. */
        SingularTriplets triplets(int k);
    }
}
