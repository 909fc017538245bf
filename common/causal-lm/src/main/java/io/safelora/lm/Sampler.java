package io.safelora.lm;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.lm.GenerationOptions.Sampling;
import io.safelora.torch.Tensors;
import io.safelora.torch.TorchScript;
import java.util.List;

/** The next tokens of sequences, given their logits (rows, vocab): the methods of sampling.torchscript. */
final class Sampler {
    static final String FILE = "sampling.torchscript";

    /** It holds no tensors, so that it runs on whichever device the logits are. */
    private static final TorchScript SCRIPT = TorchScript.load(Sampler.class, FILE, Device.cpu());

    private Sampler() {}

    static long[] likeliest(NDManager manager, NDArray logits) {
        return SCRIPT.call(manager, "likeliest", logits).get(0).toLongArray();
    }

    /** @param seen the ids of every row that were there before */
    static NDArray penalize(NDManager manager, NDArray logits, List<int[]> seen, double penalty) {
        int longest = seen.stream().mapToInt(s -> s.length).max().orElse(0);
        long[] ids = new long[seen.size() * longest];
        for (int i = 0; i < seen.size(); i++) {
            for (int t = 0; t < longest; t++) {
                ids[i * longest + t] = seen.get(i)[Math.min(t, seen.get(i).length - 1)];
            }
        }
        return SCRIPT.call(manager, "penalize", logits, Tensors.of(manager, ids, seen.size(), longest), penalty)
                .get(0);
    }

    /** @param u per row a number drawn uniformly from [0, 1) */
    static long[] sample(NDManager manager, NDArray logits, float[] u, Sampling sampling) {
        return SCRIPT.call(
                        manager,
                        "sample",
                        logits,
                        Tensors.of(manager, u, u.length),
                        sampling.temperature(),
                        sampling.topK(),
                        sampling.topP(),
                        sampling.minP())
                .get(0)
                .toLongArray();
    }
}
