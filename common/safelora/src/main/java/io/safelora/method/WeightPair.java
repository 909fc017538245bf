package io.safelora.method;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.TensorInfo;
import io.safelora.torch.ScalarType;
import io.safelora.torch.Tensors;
import io.safelora.torch.TorchScript;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Optional;

/** Streams V = W_aligned - W_base, one module at a time and some rows at a time. Not thread safe. */
final class WeightPair {
    /** Bytes read of each checkpoint before they are worked on: few enough to stay in the CPU's cache. */
    private static final int BLOCK = 4 << 20;

    /** The kernels; loaded once. */
    static final TorchScript SCRIPT = TorchScript.load(WeightPair.class, "delta.py", Device.cpu());

    private final Checkpoint base;
    private final Checkpoint aligned;
    private ByteBuffer baseBlock = ByteBuffer.allocateDirect(0);
    private ByteBuffer alignedBlock = ByteBuffer.allocateDirect(0);

    /**
     * One module's V and its norms.
     *
     * @param v float32, shape as stored; null if it was not asked for
     */
    record Delta(NDArray v, long[] shape, double deltaNorm, double baseNorm, double equalShare) {
        double relative() {
            return baseNorm == 0 ? Double.POSITIVE_INFINITY : deltaNorm / baseNorm;
        }
    }

    WeightPair(Checkpoint base, Checkpoint aligned) {
        this.base = base;
        this.aligned = aligned;
    }

    /**
     * The weight's tensor name. Checkpoints of a bare model (GPT-2's) lack the first part of the name that the adapter of its
     * causal language model has.
     */
    String weightOf(String module) {
        String full = module + ".weight";
        String bare = full.substring(full.indexOf('.') + 1);
        return Optional.of(full)
                .filter(aligned::has)
                .or(() -> Optional.of(bare).filter(aligned::has))
                .orElseThrow(() -> new InvalidArtifactException(aligned.name() + ": has no tensor " + full
                        + ", but the adapter has LoRA for it; the adapter belongs to another model"));
    }

    /**
     * Reads both weights.
     *
     * @param manager owns V; null for the norms alone
     * @throws InvalidArtifactException if a checkpoint lacks the weight, shapes differ, it is no floating-point matrix, or it
     *     holds NaN or infinity
     */
    Delta read(String weight, NDManager manager) {
        TensorInfo b = base.info(weight);
        TensorInfo a = aligned.info(weight);
        if (!Arrays.equals(a.shape(), b.shape())) {
            throw new InvalidArtifactException("tensor " + weight + " has shape " + Arrays.toString(b.shape()) + " in "
                    + base.fileOf(weight) + ", but " + Arrays.toString(a.shape()) + " in " + aligned.fileOf(weight)
                    + "; base and aligned must be the same architecture");
        }
        if (a.shape().length != 2 || a.elements() == 0) {
            throw new InvalidArtifactException(aligned.fileOf(weight) + ": tensor " + weight + " has shape "
                    + Arrays.toString(a.shape()) + "; a matrix is needed");
        }
        ScalarType baseType = type(base, b);
        ScalarType alignedType = type(aligned, a);
        long rows = a.shape()[0];
        long columns = a.shape()[1];
        int step =
                (int) Math.max(1, Math.min(rows, BLOCK / (columns * Math.max(baseType.bytes(), alignedType.bytes()))));
        double[] sums = new double[4];
        try (NDManager scratch = io.safelora.torch.Torch.manager(Device.cpu())) {
            NDArray v = manager == null
                    ? Tensors.of(scratch, new float[0], 0, 0)
                    : Tensors.of(
                            manager,
                            ByteBuffer.allocateDirect(Math.toIntExact(4 * rows * columns)),
                            ScalarType.FLOAT32,
                            rows,
                            columns);
            for (long row = 0; row < rows; row += step) {
                long n = Math.min(step, rows - row);
                baseBlock = block(base, b, baseBlock, row * columns, n * columns);
                alignedBlock = block(aligned, a, alignedBlock, row * columns, n * columns);
                try (NDManager local = scratch.newSubManager()) {
                    double[] part = SCRIPT.call(
                                    local,
                                    "rows",
                                    v,
                                    row,
                                    Tensors.of(local, baseBlock, baseType, n, columns),
                                    Tensors.of(local, alignedBlock, alignedType, n, columns))
                            .get(0)
                            .toDoubleArray();
                    for (int i = 0; i < sums.length; i++) {
                        sums[i] += part[i];
                    }
                }
            }
            refuseNonFinite(base, weight, sums[1]);
            refuseNonFinite(aligned, weight, sums[2]);
            return new Delta(
                    manager == null ? null : v,
                    a.shape(),
                    Math.sqrt(sums[0]),
                    Math.sqrt(sums[1]),
                    sums[3] / a.elements());
        }
    }

    private static ByteBuffer block(Checkpoint from, TensorInfo tensor, ByteBuffer reused, long first, long elements) {
        int bytes = Math.toIntExact(elements * tensor.dtype().bytes());
        ByteBuffer buffer = reused.capacity() < bytes ? ByteBuffer.allocateDirect(bytes) : reused;
        buffer.clear().limit(bytes);
        from.read(tensor.name(), first * tensor.dtype().bytes(), buffer);
        return buffer.flip();
    }

    private static ScalarType type(Checkpoint checkpoint, TensorInfo tensor) {
        return switch (tensor.dtype()) {
            case F64 -> ScalarType.FLOAT64;
            case F32 -> ScalarType.FLOAT32;
            case F16 -> ScalarType.FLOAT16;
            case BF16 -> ScalarType.BFLOAT16;
            default ->
                throw new InvalidArtifactException(checkpoint.fileOf(tensor.name()) + ": tensor " + tensor.name()
                        + " has type " + tensor.dtype() + "; " + Arrays.asList(Dtype.F32, Dtype.F16, Dtype.BF16)
                        + " are supported, so give the checkpoint before quantization");
        };
    }

    private static void refuseNonFinite(Checkpoint checkpoint, String weight, double squares) {
        if (!Double.isFinite(squares)) {
            throw new InvalidArtifactException(checkpoint.fileOf(weight) + ": tensor " + weight
                    + " holds NaN or infinity; the checkpoint is broken");
        }
    }
}
