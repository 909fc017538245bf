package io.safelora.method;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.TensorInfo;
import io.safelora.method.AnalysisKernels.Scratch;
import io.safelora.torch.Tensors;
import io.safelora.torch.Torch;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.Stream;

/** One module at a time: both weights are read once, some rows at a time; V is kept, in half or full precision. */
final class ModuleAnalysis {
    /** Elements that are worked on at once: few enough to stay in a core's cache. */
    private static final int BLOCK = 1 << 18;

    /** Elements that are read at once. */
    private static final int CHUNK = 1 << 22;

    /** Of larger matrices, one row in so many tells how much is rounding, which is an estimate anyway. */
    private static final int SAMPLED = 1_000_000;

    private static final int EVERY = 8;

    private final Sketch sketch;

    ModuleAnalysis(Sketch sketch) {
        this.sketch = sketch;
    }

    /**
     * Reads both weights. Thread safe; on a thread that computes on one core the result does not depend on how many
     * there are.
     *
     * @throws InvalidArtifactException if a weight holds NaN or infinity
     */
    ModuleAlignment of(Delta delta) {
        TensorInfo a = delta.aligned();
        TensorInfo b = delta.base();
        long rows = delta.rows();
        long columns = delta.columns();
        Dtype coarse = coarser(a.dtype(), b.dtype());
        double[] sums = new double[4 + 2 * Rounding.EXPONENTS];
        Sketch.Spectrum spectrum = Sketch.Spectrum.ZERO;
        try (NDManager manager = Torch.manager(Device.cpu())) {
            Dtype type = Sketch.type(rows, columns);
            NDArray v = AnalysisKernels.empty(manager, rows, columns, type);
            // Blocks of one size as nearly as possible.
            long blocks = Math.max(1, rows * columns / BLOCK);
            long step = (rows + blocks - 1) / blocks;
            Scratch scratch = new Scratch(
                    AnalysisKernels.empty(manager, step, columns, Dtype.F32),
                    AnalysisKernels.empty(manager, step, columns, Dtype.F32),
                    AnalysisKernels.empty(manager, step, columns, coarse.bytes() == 2 ? Dtype.I16 : Dtype.I32));
            // Read are several blocks at once: S3 answers large reads no later than small ones.
            long chunk = step * Math.max(1, CHUNK / (step * columns));
            ByteBuffer baseChunk = buffer(chunk * columns, b);
            ByteBuffer alignedChunk = buffer(chunk * columns, a);
            for (long row = 0; row < rows; row += step) {
                if (row % chunk == 0) {
                    read(delta.pair().base(), b, baseChunk, row, Math.min(chunk, rows - row));
                    read(delta.pair().aligned(), a, alignedChunk, row, Math.min(chunk, rows - row));
                }
                long n = Math.min(step, rows - row);
                try (NDManager local = manager.newSubManager()) {
                    double[] part = AnalysisKernels.rows(
                            local,
                            v,
                            row,
                            scratch,
                            rows(local, b, baseChunk, row % chunk, n),
                            rows(local, a, alignedChunk, row % chunk, n),
                            coarse,
                            rows * columns < SAMPLED ? 1 : EVERY);
                    for (int i = 0; i < sums.length; i++) {
                        sums[i] += part[i];
                    }
                }
            }
            delta.refuseNonFinite(sums);
            if (sums[0] > 0) {
                spectrum = sketch.of(manager, v, sums[0]);
            }
        }
        double rounding = sums[0] == 0
                ? 1
                : Rounding.share(
                        coarse,
                        a.dtype() == b.dtype(),
                        Arrays.copyOfRange(sums, 4, 4 + Rounding.EXPONENTS),
                        Arrays.copyOfRange(sums, 4 + Rounding.EXPONENTS, sums.length));
        return new ModuleAlignment(
                delta.module().full(),
                Arrays.stream(a.shape()).boxed().toList(),
                Math.sqrt(sums[0]),
                Math.sqrt(sums[1]),
                sums[1] == 0 ? null : Math.sqrt(sums[0] / sums[1]),
                spectrum.spectral(),
                sums[0] == 0 ? null : sums[0] / (spectrum.spectral() * spectrum.spectral()),
                spectrum.shares(),
                spectrum.errors(),
                coarse.name(),
                1 - sums[2] / a.elements(),
                sums[3] / a.elements(),
                rounding,
                Rounding.mostly(rounding));
    }

    private static ByteBuffer buffer(long elements, TensorInfo tensor) {
        return ByteBuffer.allocateDirect(
                Math.toIntExact(elements * tensor.dtype().bytes()));
    }

    private static void read(Checkpoint from, TensorInfo tensor, ByteBuffer chunk, long row, long n) {
        long rowBytes = tensor.shape()[1] * tensor.dtype().bytes();
        from.read(tensor.name(), row * rowBytes, chunk.clear().limit(Math.toIntExact(n * rowBytes)));
    }

    /** Rows of a chunk, over its memory; float64 as float32. */
    private static NDArray rows(NDManager manager, TensorInfo tensor, ByteBuffer chunk, long row, long n) {
        int rowBytes = Math.toIntExact(tensor.shape()[1] * tensor.dtype().bytes());
        ByteBuffer bytes = chunk.slice(Math.toIntExact(row * rowBytes), Math.toIntExact(n * rowBytes));
        NDArray rows = Tensors.of(manager, bytes, tensor.dtype(), n, tensor.shape()[1]);
        return tensor.dtype() == Dtype.F64 ? Tensors.to(manager, rows, Dtype.F32) : rows;
    }

    /** The one with fewer bits of mantissa, and float32 at most. */
    private static Dtype coarser(Dtype x, Dtype y) {
        return Stream.of(x, y, Dtype.F32)
                .min(Comparator.comparingInt(Dtype::mantissaBits))
                .get();
    }
}
