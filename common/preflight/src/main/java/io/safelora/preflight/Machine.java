package io.safelora.preflight;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.torch.Tensors;
import io.safelora.torch.Torch;
import io.safelora.torch.TorchScript;

/**
 * How fast a machine is, as far as an estimate needs it.
 *
 * @param operationsPerSecond multiplications and additions of large matrix products, per second
 * @param bytesPerSecond how fast weights are read that do not fit into a cache, in a product with few rows
 * @param secondsPerCall what a kernel takes that has hardly anything to compute
 */
public record Machine(double operationsPerSecond, double bytesPerSecond, double secondsPerCall) {
    private static final int SIZE = 1024;

    /** More than a cache holds: 64 MiB in bfloat16. */
    private static final int LARGE = 32 * SIZE;

    private static final long BURST_NANOS = 5_000_000;

    private static final int BURSTS = 8;

    /** A kernel, so many times. */
    private interface Work {
        void run(int times);
    }

    /**
     * Multiplies matrices for some half a second.
     *
     * @param dtype what models are computed in
     */
    static Machine measured(Device device, Dtype dtype) {
        try (TorchScript script = TorchScript.load(Machine.class, "machine.torchscript", device);
                NDManager manager = Torch.manager(device)) {
            NDArray few = matrix(manager, 8, SIZE, dtype);
            NDArray many = matrix(manager, SIZE / 2, SIZE, dtype);
            NDArray square = matrix(manager, SIZE, SIZE, dtype);
            NDArray large = matrix(manager, LARGE, SIZE, dtype);
            NDArray tiny = matrix(manager, 1, 16, dtype);
            double product = seconds(times -> linear(script, manager, many, square, times));
            double reading = seconds(times -> linear(script, manager, few, large, times));
            double call = seconds(times -> linear(script, manager, tiny, tiny, times));
            return new Machine(
                    SIZE / 2.0 * SIZE * SIZE * 2 / product, (double) LARGE * SIZE * dtype.bytes() / reading, call);
        }
    }

    private static NDArray matrix(NDManager manager, int rows, int columns, Dtype dtype) {
        return Tensors.to(manager, manager.ones(new Shape(rows, columns)), dtype);
    }

    private static void linear(TorchScript script, NDManager manager, NDArray x, NDArray w, int times) {
        try (NDManager scratch = manager.newSubManager()) {
            script.call(scratch, "linear", x, w, times).singletonOrThrow().getFloat();
        }
    }

    /** Of one time: the least of some bursts, because other programs only make it more. */
    private static double seconds(Work work) {
        work.run(1);
        int times = 1;
        long took = nanos(work, times);
        while (took < BURST_NANOS) {
            times *= 2;
            took = nanos(work, times);
        }
        for (int burst = 0; burst < BURSTS; burst++) {
            took = Math.min(took, nanos(work, times));
        }
        return took / 1e9 / (times + 1);
    }

    private static long nanos(Work work, int times) {
        long began = System.nanoTime();
        work.run(times);
        return System.nanoTime() - began;
    }
}
