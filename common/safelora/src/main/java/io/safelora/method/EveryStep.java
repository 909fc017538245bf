package io.safelora.method;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.ModelTensors;
import io.safelora.artifacts.checkpoint.ModuleName;
import io.safelora.contract.SelectionOptions;
import io.safelora.torch.Tensors;
import io.safelora.torch.Torch;
import io.safelora.torch.TorchScript;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/**
 * Projection while training: after every optimizer step B becomes U_k U_k^T B, so that the update never leaves what
 * alignment spans. Only for projectors that are idempotent (exact, subspace): the paper's C is not, and would shrink
 * the update again at every step.
 *
 * <p>The bases are made at the first step, when the adapter's modules are known; memory is (out, k) per chosen module.
 */
public final class EveryStep implements AutoCloseable {
    private static final String B = ".lora_B.weight";

    private final Checkpoint base;
    private final Checkpoint aligned;
    private final Set<String> selected;
    private final SelectionOptions options;
    private final Map<String, NDArray> bases = new HashMap<>();
    private NDManager manager;
    private TorchScript script;

    /** @param selected names of modules, as the checkpoint has them */
    public EveryStep(Checkpoint base, Checkpoint aligned, Set<String> selected, SelectionOptions options) {
        this.base = base;
        this.aligned = aligned;
        this.selected = selected;
        this.options = options;
    }

    /** @param parameters LoRA tensors by module and name; the chosen modules' B are changed in place */
    public void project(Map<String, NDArray> parameters) {
        if (manager == null) {
            prepare(parameters);
        }
        try (NDManager scratch = manager.newSubManager()) {
            bases.forEach((name, u) -> script.call(scratch, "project", u, parameters.get(name)));
        }
    }

    private void prepare(Map<String, NDArray> parameters) {
        Device device = parameters.values().iterator().next().getDevice();
        manager = Torch.manager(device);
        script = TorchScript.load(EveryStep.class, "everystep.torchscript", device);
        CheckpointPair pair = new CheckpointPair(base, aligned, ModelTensors.transposed(aligned, false));
        for (Map.Entry<String, NDArray> parameter : parameters.entrySet()) {
            if (!parameter.getKey().endsWith(B)) {
                continue;
            }
            String module = parameter.getKey().substring(0, parameter.getKey().length() - B.length());
            if (!selected.contains(module)) {
                continue;
            }
            try (NDManager scratch = Torch.manager(Device.cpu())) {
                NDArray u = ProjectorKernel.basis(pair.delta(new ModuleName(module)), options, scratch);
                if (u != null) {
                    bases.put(
                            parameter.getKey(),
                            Tensors.of(manager, Tensors.floats(u), u.getShape().getShape()));
                }
            }
        }
    }

    @Override
    public void close() {
        if (manager != null) {
            script.close();
            manager.close();
        }
    }
}
