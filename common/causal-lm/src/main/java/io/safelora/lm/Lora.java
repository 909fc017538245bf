package io.safelora.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.torch.Tensors;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A LoRA adapter on a model: A (r, in), B (out, r) and the scale of every adapted module, in float32. The model's weights
 * are not touched, so several adapters can stand on one model.
 */
public final class Lora {
    final List<NDArray> a = new ArrayList<>();
    final List<NDArray> b = new ArrayList<>();
    final double[] scales;
    private final Map<String, NDArray> parameters = new LinkedHashMap<>();

    /**
     * @param manager owns the tensors
     * @throws IllegalArgumentException if a module is none of the model's, or its shapes do not fit
     */
    Lora(NDManager manager, ModelConfig config, Collection<LoraModule> modules) {
        Map<String, LoraModule> given = new LinkedHashMap<>();
        modules.forEach(m -> given.put(m.name(), m));
        List<String> names = Weights.linearModules(config);
        scales = new double[names.size()];
        NDArray none = Tensors.of(manager, new float[0], 0);
        for (int i = 0; i < names.size(); i++) {
            LoraModule module = given.remove(names.get(i));
            if (module == null) {
                a.add(none);
                b.add(none);
                continue;
            }
            long[] shape = Weights.shape(config, Weights.LINEARS.get(i % Weights.LINEARS.size()));
            if (module.out() != shape[0] || module.in() != shape[1]) {
                throw new IllegalArgumentException("adapter: module " + module.name() + " is " + module.out() + " x "
                        + module.in() + ", but the model's is " + shape[0] + " x " + shape[1]);
            }
            NDArray moduleA = Tensors.of(manager, module.a(), module.r(), module.in());
            NDArray moduleB = Tensors.of(manager, module.b(), module.out(), module.r());
            a.add(moduleA);
            b.add(moduleB);
            scales[i] = module.scale();
            parameters.put(module.name() + ".lora_A.weight", moduleA);
            parameters.put(module.name() + ".lora_B.weight", moduleB);
        }
        if (!given.isEmpty()) {
            throw new IllegalArgumentException(
                    "adapter: module " + given.keySet().iterator().next()
                            + " is none that the model has; is the adapter made for this model?");
        }
    }

    /** The tensors by module and name ({@code model.layers.0.self_attn.q_proj.lora_A.weight}), layer by layer. */
    public Map<String, NDArray> parameters() {
        return parameters;
    }
}
