package io.safelora.torch;

import ai.djl.Device;
import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.pytorch.jni.JniUtils;
import java.nio.ByteBuffer;

/** The PyTorch engine: started once, from libraries on the class path, never from the network. */
public final class Torch {
    private static final Engine ENGINE = start();

    private Torch() {}

    private static Engine start() {
        // Natives come from the pytorch-native jar; DJL must not look for others on the network, nor report usage.
        System.setProperty("ai.djl.offline", "true");
        System.setProperty("OPT_OUT_TRACKING", "true");
        Engine engine = Engine.getEngine("PyTorch");
        // The profiling executor recompiles for every new shape; texts and batches have a new shape at every call.
        JniUtils.setGraphExecutorOptimize(false);
        return engine;
    }

    /** A manager on {@code device}: whoever asks for it closes it, and with it every tensor it owns. */
    public static NDManager manager(Device device) {
        return ENGINE.newBaseManager(device);
    }

    /** The devices there are: {@code auto} is the first CUDA device, else the CPU. */
    public static Device device(String name) {
        if (name.equals("cpu") || name.equals("auto") && ENGINE.getGpuCount() == 0) {
            return Device.cpu();
        }
        if (name.equals("auto") || name.matches("cuda(:\\d{1,2})?")) {
            int index = name.startsWith("cuda:") ? Integer.parseInt(name.substring(5)) : 0;
            if (index >= ENGINE.getGpuCount()) {
                throw new IllegalArgumentException("device " + name + ": this machine has " + ENGINE.getGpuCount()
                        + " CUDA devices that PyTorch can use; use device cpu or auto");
            }
            return Device.gpu(index);
        }
        throw new IllegalArgumentException("device " + name + ": unknown; use auto, cpu, cuda or cuda:N");
    }

    /**
     * Raw bytes as an int8 tensor, without a copy on the CPU.
     *
     * @param bytes direct; must stay unchanged and reachable as long as the tensor is used (the tensor keeps it reachable)
     */
    public static NDArray bytes(NDManager manager, ByteBuffer bytes) {
        return manager.create(bytes, new Shape(bytes.remaining()), DataType.INT8);
    }
}
