package io.safelora.torch;

import ai.djl.Device;
import ai.djl.engine.Engine;
import ai.djl.ndarray.NDManager;
import java.util.Locale;

/**
 * The PyTorch engine of this JVM (libtorch through DJL). It is loaded from the native library on the class path and never
 * from the network.
 *
 * <p>Tensors are {@link ai.djl.ndarray.NDArray} handles, freed by their {@link NDManager}: open one {@link #manager} per
 * model, one {@code newSubManager()} per step, and close them.
 */
public final class Torch {
    private static final String NAME = "PyTorch";

    static {
        System.setProperty("ai.djl.offline", "true");
        System.setProperty("OPT_OUT_TRACKING", "true");
        // libtorch counts the machine's cores, Java those that the container may use.
        setDefault(
                "ai.djl.pytorch.num_threads",
                Integer.toString(Runtime.getRuntime().availableProcessors()));
        setDefault("ai.djl.pytorch.graph_optimizer", "false");
    }

    private Torch() {}

    private static void setDefault(String property, String value) {
        if (System.getProperty(property) == null) {
            System.setProperty(property, value);
        }
    }

    static Engine engine() {
        return Engine.getEngine(NAME);
    }

    /** A manager of tensors on {@code device}; closing it frees them, and those of its sub-managers. */
    public static NDManager manager(Device device) {
        return engine().newBaseManager(device);
    }

    /**
     * The device of that name.
     *
     * @param name {@code cpu}, {@code cuda}, {@code cuda:N}, or {@code auto}: a GPU where there is one
     * @throws IllegalArgumentException if the name is none of these, or this machine has no such GPU
     */
    public static Device device(String name) {
        String lower = name == null ? "auto" : name.toLowerCase(Locale.ROOT);
        int gpus = engine().getGpuCount();
        if (lower.equals("auto")) {
            return gpus > 0 ? Device.gpu(0) : Device.cpu();
        }
        if (lower.equals("cpu")) {
            return Device.cpu();
        }
        if (!lower.matches("cuda(:\\d{1,3})?")) {
            throw new IllegalArgumentException("device " + name + ": use cpu, cuda, cuda:N or auto");
        }
        int index = lower.equals("cuda") ? 0 : Integer.parseInt(lower.substring(5));
        if (index >= gpus) {
            throw new IllegalArgumentException("device " + name + ": PyTorch sees " + gpus
                    + " GPUs; use cpu, or put pytorch-native-cu128 on the class path on a machine with a GPU");
        }
        return Device.gpu(index);
    }
}
