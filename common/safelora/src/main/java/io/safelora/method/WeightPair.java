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
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/**
 * Streams the two weights of a module, some rows at a time, so that V = W_aligned - W_base need not stand in memory. What
 * fits is kept for a second pass; the rest is read again. One per thread.
 */
final class WeightPair {
    /** Bytes read of each checkpoint at once. */
    private static final int CHUNK = 8 << 20;

    /** Bytes kept of both checkpoints for the next pass, by all threads together, whatever the model's size. */
    private static final int KEPT = 384 << 20;

    /** Bytes of float32 rows that a kernel works on at once: few enough to stay in the CPU's cache. */
    private static final int BLOCK = 3 << 18;

    /** The kernels; loaded once. */
    static final TorchScript SCRIPT = TorchScript.load(WeightPair.class, "delta.py", Device.cpu());

    /** Families whose linear modules are Conv1D, which stores weights (in, out); their heads are tied. */
    private static final Set<String> CONV1D = Set.of("gpt2", "openai-gpt");

    private final Checkpoint base;
    private final Checkpoint aligned;
    private final int keep;
    private final List<ByteBuffer> baseChunks = new ArrayList<>();
    private final List<ByteBuffer> alignedChunks = new ArrayList<>();
    private String kept;
    private int keptChunks;

    /** Keeps nothing between passes: for one pass, or where memory is for other things. */
    WeightPair(Checkpoint base, Checkpoint aligned) {
        this.base = base;
        this.aligned = aligned;
        this.keep = 0;
    }

    /** @param threads how many pairs share the memory that is kept between passes */
    WeightPair(Checkpoint base, Checkpoint aligned, int threads) {
        this.base = base;
        this.aligned = aligned;
        this.keep = KEPT / (2 * CHUNK * threads);
    }

    /**
     * Whether the checkpoint stores linear weights (in, out). Its own configuration says so, and PEFT, too, believes the
     * model rather than the adapter's fan_in_fan_out.
     *
     * @param otherwise where there is no configuration
     */
    static boolean transposed(Checkpoint checkpoint, boolean otherwise) {
        try {
            String family = checkpoint.config().path("model_type").asText();
            return family.isEmpty() ? otherwise : CONV1D.contains(family);
        } catch (InvalidArtifactException e) {
            return otherwise;
        } catch (IOException e) {
            throw new UncheckedIOException(checkpoint.name() + ": cannot be read: " + e.getMessage(), e);
        }
    }

    /**
     * A module's weight in both checkpoints.
     *
     * @param name of the tensor
     * @param rows first dimension, as stored
     * @param columns second dimension, as stored
     * @param block rows that a kernel should work on at once
     */
    record Weight(String name, TensorInfo base, TensorInfo aligned, long rows, long columns, long block) {}

    /** Some rows of both weights. */
    interface Rows {
        /**
         * @param manager owns the tensors, and is closed afterwards
         * @param row the first of the rows
         * @param base (n, columns), in the checkpoint's type
         * @param aligned the same rows of the other checkpoint
         */
        void at(NDManager manager, long row, NDArray base, NDArray aligned);
    }

    /** The name of a module's weight, which the aligned checkpoint must have. */
    String weightOf(String module) {
        String name = module + ".weight";
        if (!aligned.has(name)) {
            throw new InvalidArtifactException(aligned.name() + ": has no tensor " + name
                    + ", but the adapter has LoRA for it; the adapter belongs to another model");
        }
        return name;
    }

    /**
     * The weight of that name.
     *
     * @throws InvalidArtifactException if a checkpoint lacks it, shapes differ, or it is no floating-point matrix
     */
    Weight weight(String name) {
        TensorInfo b = base.info(name);
        TensorInfo a = aligned.info(name);
        if (!Arrays.equals(a.shape(), b.shape())) {
            throw new InvalidArtifactException("tensor " + name + " has shape " + Arrays.toString(b.shape()) + " in "
                    + base.fileOf(b.name()) + ", but " + Arrays.toString(a.shape()) + " in "
                    + aligned.fileOf(a.name())
                    + "; base and aligned must be the same architecture");
        }
        if (a.shape().length != 2 || a.elements() == 0) {
            throw new InvalidArtifactException(aligned.fileOf(a.name()) + ": tensor " + name + " has shape "
                    + Arrays.toString(a.shape()) + "; a matrix is needed");
        }
        type(base, b);
        type(aligned, a);
        long columns = a.shape()[1];
        if (columns * Math.max(a.dtype().bytes(), b.dtype().bytes()) > CHUNK) {
            throw new InvalidArtifactException(aligned.fileOf(a.name()) + ": tensor " + name + " has rows of " + columns
                    + " elements; no linear module of a language model is that wide");
        }
        return new Weight(name, b, a, a.shape()[0], columns, Math.max(1, BLOCK / (4 * columns)));
    }

    /** Visits all rows in order. */
    void forEach(Weight weight, NDManager manager, Rows visitor) {
        int bytes =
                Math.max(weight.base().dtype().bytes(), weight.aligned().dtype().bytes());
        int step = (int) Math.max(1, Math.min(weight.rows(), CHUNK / (weight.columns() * bytes)));
        if (!weight.name().equals(kept)) {
            kept = weight.name();
            keptChunks = 0;
        }
        int chunk = 0;
        for (long row = 0; row < weight.rows(); row += step, chunk++) {
            long n = Math.min(step, weight.rows() - row);
            // The chunks beyond those that are kept take turns in the last place.
            int place = Math.min(chunk, keep);
            if (chunk >= keptChunks) {
                read(base, weight.base(), baseChunks, place, row, n);
                read(aligned, weight.aligned(), alignedChunks, place, row, n);
                keptChunks = Math.min(chunk + 1, keep);
            }
            try (NDManager local = manager.newSubManager()) {
                visitor.at(
                        local,
                        row,
                        tensor(local, base, weight.base(), baseChunks.get(place), n),
                        tensor(local, aligned, weight.aligned(), alignedChunks.get(place), n));
            }
        }
    }

    private static void read(
            Checkpoint from, TensorInfo tensor, List<ByteBuffer> chunks, int place, long row, long rows) {
        long rowBytes = tensor.shape()[1] * tensor.dtype().bytes();
        int bytes = Math.toIntExact(rows * rowBytes);
        while (chunks.size() <= place) {
            chunks.add(ByteBuffer.allocateDirect(0));
        }
        if (chunks.get(place).capacity() < bytes) {
            chunks.set(place, ByteBuffer.allocateDirect(bytes));
        }
        ByteBuffer buffer = chunks.get(place).clear().limit(bytes);
        from.read(tensor.name(), row * rowBytes, buffer);
        buffer.flip();
    }

    private static NDArray tensor(NDManager manager, Checkpoint of, TensorInfo tensor, ByteBuffer bytes, long rows) {
        return Tensors.of(manager, bytes, type(of, tensor), rows, tensor.shape()[1]);
    }

    /**
     * Says which weight is broken.
     *
     * @param squares |V|_F^2 and |W_base|_F^2
     * @throws InvalidArtifactException if one of them is no finite number
     */
    void refuseNonFinite(Weight weight, double[] squares) {
        if (!Double.isFinite(squares[0]) || !Double.isFinite(squares[1])) {
            boolean first = !Double.isFinite(squares[1]);
            String name = (first ? weight.base() : weight.aligned()).name();
            throw new InvalidArtifactException((first ? base : aligned).fileOf(name) + ": tensor " + name
                    + " holds NaN or infinity; the checkpoint is broken");
        }
    }

    static ScalarType type(Checkpoint checkpoint, TensorInfo tensor) {
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
}
