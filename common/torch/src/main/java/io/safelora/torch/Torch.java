package io.safelora.torch;

import ai.djl.Device;
import ai.djl.engine.Engine;
import ai.djl.ndarray.NDManager;
import ai.djl.pytorch.jni.JniUtils;
import java.util.Locale;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * The PyTorch engine of this JVM (libtorch through DJL). It is loaded from the native library on the class path and
 * never from the network.
 *
 * <p>Tensors are {@link ai.djl.ndarray.NDArray} handles, freed by their {@link NDManager}: open one {@link #manager}
 * per model, one {@code newSubManager()} per step, and close them.
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

    /** Sets the seed of what is random from now on (dropout). */
    public static void seed(long seed) {
        engine().setRandomSeed((int) seed);
    }

    static Engine engine() {
        return Engine.getEngine(NAME);
    }

    /** A manager of tensors on {@code device}; closing it frees them, and those of its sub-managers. */
    public static NDManager manager(Device device) {
        return engine().newBaseManager(device);
    }

    /**
     * Threads that each compute on one core: for pieces of work that do not depend on each other, which beats splitting
     * every operator of one piece over all cores, and gives the same bits whatever the number of cores. The caller
     * shuts them down.
     */
    public static ExecutorService singleCoreThreads(int n) {
        engine();
        int others = JniUtils.getNumThreads();
        CountDownLatch ready = new CountDownLatch(n);
        ExecutorService threads = Executors.newFixedThreadPool(n, work -> {
            Thread thread = new Thread(
                    () -> {
                        JniUtils.setNumThreads(1);
                        ready.countDown();
                        work.run();
                    },
                    "torch-single-core");
            thread.setDaemon(true);
            return thread;
        });
        try {
            for (int i = 0; i < n; i++) {
                threads.submit(() -> {
                    ready.await();
                    return null;
                });
            }
            ready.await();
        } catch (InterruptedException e) {
            threads.shutdownNow();
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while threads were started", e);
        } finally {
            // Setting a thread's number also sets what threads get that meet PyTorch later: that is put back.
            JniUtils.setNumThreads(others);
        }
        return threads;
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
