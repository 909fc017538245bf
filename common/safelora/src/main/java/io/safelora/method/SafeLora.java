package io.safelora.method;

import ai.djl.ndarray.NDArray;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.contract.SelectionOptions;
import java.util.List;
import java.util.Locale;

/**
 * SafeLoRA (Hsu et al., NeurIPS 2024, arXiv 2405.16833, equations 1 and 2): V = W_aligned - W_base spans what alignment
 * changed, and an update that points away from it is replaced by its projection,
 *
 * <pre>B := (1 - blend) B + blend C B,     dW := (1 - blend) dW + blend C dW,</pre>
 *
 * blend being 1 in the paper. {@link ProjectorKernel} has the projectors C.
 */
record SafeLora(SelectionOptions selection) implements Repair {
    /** Below this median shrinkage, projecting is little else than dropping, and the result says so. */
    private static final double SHRINKS = 0.1;

    @Override
    public String label() {
        return "safe-lora " + Labels.projector(selection) + ", " + Labels.chosen(selection) + Labels.blend(selection);
    }

    @Override
    public List<String> fields() {
        return List.of("projector", "strategy", "blend");
    }

    @Override
    public LoraModule repaired(LoraModule update, Surroundings<float[]> module) {
        float[] projected = module.projected();
        return projected == null
                ? update
                : LoraUpdates.withB(update, LoraUpdates.mix(update.b(), projected, selection.blend()));
    }

    @Override
    public NDArray repaired(NDArray update, Surroundings<NDArray> module) {
        NDArray projected = module.projected();
        return projected == null
                ? update
                : DenseUpdates.mix(update, 1 - selection.blend(), projected, selection.blend());
    }

    @Override
    public String note(double medianShrinkage) {
        return medianShrinkage >= SHRINKS
                ? null
                : String.format(
                        Locale.ROOT,
                        "the projector shrinks the selected updates to %.2g of their norm (median): this is"
                                + " nearly the same as dropping them; compare with repair drop, or use projector"
                                + " subspace",
                        medianShrinkage);
    }
}
