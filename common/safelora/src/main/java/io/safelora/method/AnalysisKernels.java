package io.safelora.method;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.torch.TorchScript;

/** The methods of analysis.torchscript, whose comments give shapes and formulas. */
final class AnalysisKernels {
    static final String FILE = "analysis.torchscript";

    private static final TorchScript SCRIPT = TorchScript.load(AnalysisKernels.class, FILE, Device.cpu());

    private AnalysisKernels() {}

    static NDArray empty(NDManager manager, long rows, long columns, Dtype type) {
        return SCRIPT.call(manager, "empty", rows, columns, type.number()).get(0);
    }

    /** Memory that is used again for every block of rows: {@code x}, {@code y} float32, {@code z} integers. */
    record Scratch(NDArray x, NDArray y, NDArray z) {}

    /**
     * What some rows of both weights tell; their difference is written into {@code v} from {@code row} on.
     *
     * @param coarse the type in which elements are compared
     * @param every one row in so many is looked at for rounding
     */
    static double[] rows(
            NDManager manager,
            NDArray v,
            long row,
            Scratch scratch,
            NDArray base,
            NDArray aligned,
            Dtype coarse,
            int every) {
        return SCRIPT.call(
                        manager,
                        "rows",
                        v,
                        row,
                        scratch.x(),
                        scratch.y(),
                        scratch.z(),
                        base,
                        aligned,
                        coarse.number(),
                        every)
                .get(0)
                .toDoubleArray();
    }

    /**
     * Squared singular values, ascending, and three norms of what they miss.
     *
     * @param norm |V|_F
     * @param exact the type of orthonormal bases
     * @param least the share below which a direction counts as rounding
     */
    static double[] spectrum(
            NDManager manager,
            NDArray v,
            NDArray omega,
            int width,
            int powers,
            double norm,
            Dtype exact,
            double least) {
        return SCRIPT.call(manager, "spectrum", v, omega, width, powers, norm, exact.number(), least)
                .get(0)
                .toDoubleArray();
    }
}
