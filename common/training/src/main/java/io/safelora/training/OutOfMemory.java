package io.safelora.training;

import ai.djl.engine.EngineException;
import ai.djl.pytorch.jni.JniUtils;
import java.util.Locale;

/** PyTorch tells that a device's memory is full by the words of its message only. */
final class OutOfMemory {
    private OutOfMemory() {}

    /**
     * Whether a device's memory was too small: "CUDA out of memory", "DefaultCPUAllocator: can't allocate memory", or,
     * for something small of PyTorch's own, "std::bad_alloc".
     */
    static boolean is(EngineException e) {
        String message = String.valueOf(e.getMessage()).toLowerCase(Locale.ROOT);
        return message.contains("out of memory")
                || message.contains("can't allocate memory")
                || message.contains("not enough memory")
                || message.contains("bad_alloc");
    }

    /** Gives back what PyTorch keeps of a GPU's memory, which is in pieces now. */
    static void tidy(boolean gpu) {
        if (gpu) {
            JniUtils.emptyCudaCache();
        }
    }
}
