package io.safelora.method;

import ai.djl.ndarray.NDArray;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.contract.SelectionOptions;
import java.util.List;

/**
 * SafeMERGE (Djuhera et al., arXiv 2503.17239): a chosen update is blended with that of a safety adapter s' B' A',
 *
 * <pre>(1 - blend) s B A + blend s' B' A',     (1 - blend) dW + blend s' B' A',</pre>
 *
 * in an adapter as one update of rank r + r'.
 */
record SafeMerge(SelectionOptions selection) implements Repair {
    @Override
    public String label() {
        return "safe-merge" + Labels.measuredBy(selection) + ", " + Labels.chosen(selection) + Labels.blend(selection);
    }

    @Override
    public List<String> fields() {
        return List.of("projector", "strategy", "blend");
    }

    @Override
    public LoraModule repaired(LoraModule update, Surroundings<float[]> module) {
        LoraModule safe = module.safety();
        return LoraUpdates.sum(
                update,
                1 - selection.blend(),
                safe.r(),
                safe.b(),
                safe.a(),
                selection.blend() * safe.scale() / update.scale());
    }

    @Override
    public NDArray repaired(NDArray update, Surroundings<NDArray> module) {
        LoraModule safe = module.safety();
        return DenseUpdates.mix(
                update,
                1 - selection.blend(),
                DenseUpdates.product(update, safe.b(), safe.a(), safe.r()),
                selection.blend() * safe.scale());
    }
}
