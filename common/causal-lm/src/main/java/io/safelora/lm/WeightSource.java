package io.safelora.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.torch.Tensors;
import java.util.Arrays;
import java.util.Random;

/** Where a model's weights come from: {@link StoredWeights}, or {@link #random}. */
interface WeightSource {
    /** A weight by its name in the checkpoint, owned by the manager. */
    NDArray get(NDManager manager, String name, long[] shape);

    /** Matrices normal with the deviation 0.02, norms one, in float32. */
    static WeightSource random(long seed) {
        Random random = new Random(seed); // java.util.Random is specified to the bit, so models are the same everywhere
        return (manager, name, shape) -> {
            float[] values = new float[Math.toIntExact(Arrays.stream(shape).reduce(1, Math::multiplyExact))];
            for (int i = 0; i < values.length; i++) {
                values[i] = shape.length == 1 ? 1 : (float) (0.02 * random.nextGaussian());
            }
            return Tensors.of(manager, values, shape);
        };
    }
}
