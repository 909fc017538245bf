package io.safelora.trainer;

import ai.djl.engine.EngineException;
import ai.djl.pytorch.jni.JniUtils;
import java.util.Locale;

/** PyTorch tells that a device's memory is full by the words of its message only. */
final class OutOfMemory {
    private OutOfMemory() {}

    /** Whether a device's memory was too small: "CUDA out of memory", "DefaultCPUAllocator: can't allocate memory". */
    static boolean is(EngineException e) {
        String message = String.valueOf(e.getMessage()).toLowerCase(Locale.ROOT);
        return message.contains("out of memory")
                || message.contains("can't allocate memory")
                || message.contains("not enough memory");
    }

    /** Gives back what PyTorch keeps of a GPU's memory, which is in pieces now. */
    static void tidy(boolean gpu) {
        if (gpu) {
            JniUtils.emptyCudaCache();
        }
    }
}
