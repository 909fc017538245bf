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
public final class Lora implements AutoCloseable {
    private final NDManager manager;
    private final List<Map<String, NDArray>> layers = new ArrayList<>();
    private final Map<String, NDArray> parameters = new LinkedHashMap<>();

    /**
     * @param owner closes the tensors, if {@link #close} does not
     * @throws IllegalArgumentException if a module is none of the model's, or its shapes do not fit
     */
    Lora(NDManager owner, ModelConfig config, Collection<LoraModule> modules) {
        manager = owner.newSubManager();
        try {
            for (int layer = 0; layer < config.numHiddenLayers(); layer++) {
                layers.add(new LinkedHashMap<>());
            }
            Map<String, LoraModule> given = new LinkedHashMap<>();
            modules.forEach(m -> given.put(m.name(), m));
            for (Weights.Linear linear : Weights.linears(config).values()) {
                LoraModule module = given.remove(linear.name());
                if (module != null) {
                    add(linear, module);
                }
            }
            if (!given.isEmpty()) {
                throw new IllegalArgumentException(
                        "adapter: module " + given.keySet().iterator().next()
                                + " is none that the model has; is the adapter made for this model?");
            }
        } catch (RuntimeException e) {
            manager.close();
            throw e;
        }
    }

    private void add(Weights.Linear linear, LoraModule module) {
        if (module.out() != linear.out() || module.in() != linear.in()) {
            throw new IllegalArgumentException("adapter: module " + module.name() + " is " + module.out() + " x "
                    + module.in() + ", but the model's is " + linear.out() + " x " + linear.in());
        }
        NDArray a = Tensors.of(manager, module.a(), module.r(), module.in());
        NDArray b = Tensors.of(manager, module.b(), module.out(), module.r());
        Map<String, NDArray> layer = layers.get(linear.layer());
        layer.put(linear.key() + ".a", a);
        layer.put(linear.key() + ".b", b);
        layer.put(linear.key() + ".scale", Tensors.of(manager, new float[] {(float) module.scale()}, 1));
        parameters.put(module.name() + ".lora_A.weight", a);
        parameters.put(module.name() + ".lora_B.weight", b);
    }

    /** The first layer with an adapted module; below it nothing needs a gradient. */
    int lowestLayer() {
        int layer = 0;
        while (layers.get(layer).isEmpty()) {
            layer++;
        }
        return layer;
    }

    /** By decoder.py's names, layer by layer. */
    List<Map<String, NDArray>> layers() {
        return layers;
    }

    /** The tensors by module and name ({@code model.layers.0.self_attn.q_proj.lora_A.weight}), layer by layer. */
    public Map<String, NDArray> parameters() {
        return parameters;
    }

    @Override
    public void close() {
        manager.close();
    }
}
