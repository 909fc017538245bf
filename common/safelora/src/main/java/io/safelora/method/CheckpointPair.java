package io.safelora.method;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.ModuleName;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.TensorInfo;
import io.safelora.torch.Tensors;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Two checkpoints of one architecture, whose differences are {@link Delta}s. They are read some rows at a time; what
 * fits is kept for a second pass over the same weight, the rest is read again. Owns the buffers, so it is for one
 * thread.
 */
final class CheckpointPair {
    /** Bytes read of each checkpoint at once. */
    private static final int CHUNK = 8 << 20;

    /** Bytes kept of both checkpoints for the next pass, by all threads together, whatever the model's size. */
    private static final int KEPT = 384 << 20;

    private final Checkpoint base;
    private final Checkpoint aligned;
    private final boolean transposed;
    private final int keep;
    private final List<ByteBuffer> baseChunks = new ArrayList<>();
    private final List<ByteBuffer> alignedChunks = new ArrayList<>();
    private String kept;
    private int keptChunks;

    /**
     * Keeps nothing between passes: for one pass, or where memory is for other things.
     *
     * @param base what is subtracted
     * @param aligned what it is subtracted from
     * @param transposed whether linear weights are stored (in, out); see {@link
     *     io.safelora.artifacts.checkpoint.ModelTensors}
     */
    CheckpointPair(Checkpoint base, Checkpoint aligned, boolean transposed) {
        this(base, aligned, transposed, 0);
    }

    private CheckpointPair(Checkpoint base, Checkpoint aligned, boolean transposed, int keep) {
        this.base = base;
        this.aligned = aligned;
        this.transposed = transposed;
        this.keep = keep;
    }

    /** The same, for one of several threads, which share the memory that is kept between passes. */
    static CheckpointPair ofThread(Checkpoint base, Checkpoint aligned, boolean transposed, int threads) {
        return new CheckpointPair(base, aligned, transposed, KEPT / (2 * CHUNK * threads));
    }

    Checkpoint base() {
        return base;
    }

    Checkpoint aligned() {
        return aligned;
    }

    boolean transposed() {
        return transposed;
    }

    /**
     * The difference of a module's weights.
     *
     * @throws InvalidArtifactException if a checkpoint lacks it, shapes differ, or it is not a floating-point matrix
     */
    Delta delta(ModuleName module) {
        String name = module.weight();
        TensorInfo b = base.info(name);
        TensorInfo a = aligned.info(name);
        if (!Arrays.equals(a.shape(), b.shape())) {
            throw new InvalidArtifactException("tensor " + name + " has shape " + Arrays.toString(b.shape()) + " in "
                    + base.fileOf(name) + ", but " + Arrays.toString(a.shape()) + " in "
                    + aligned.fileOf(name)
                    + "; base and aligned must be the same architecture");
        }
        if (a.shape().length != 2 || a.elements() == 0) {
            throw new InvalidArtifactException(aligned.fileOf(name) + ": tensor " + name + " has shape "
                    + Arrays.toString(a.shape()) + "; a matrix is needed");
        }
        type(base, b);
        type(aligned, a);
        long columns = a.shape()[1];
        if (columns * Math.max(a.dtype().bytes(), b.dtype().bytes()) > CHUNK) {
            throw new InvalidArtifactException(aligned.fileOf(name) + ": tensor " + name + " has rows of " + columns
                    + " elements; no linear module of a language model is that wide");
        }
        return new Delta(this, module, b, a);
    }

    /** Visits all rows of both weights in order. */
    void forEach(Delta delta, NDManager manager, Delta.Rows visitor) {
        int bytes =
                Math.max(delta.base().dtype().bytes(), delta.aligned().dtype().bytes());
        int step = (int) Math.max(1, Math.min(delta.rows(), CHUNK / (delta.columns() * bytes)));
        if (!delta.module().full().equals(kept)) {
            kept = delta.module().full();
            keptChunks = 0;
        }
        int chunk = 0;
        for (long row = 0; row < delta.rows(); row += step, chunk++) {
            long n = Math.min(step, delta.rows() - row);
            // The chunks beyond those that are kept take turns in the last place.
            int place = Math.min(chunk, keep);
            if (chunk >= keptChunks) {
                read(base, delta.base(), baseChunks, place, row, n);
                read(aligned, delta.aligned(), alignedChunks, place, row, n);
                keptChunks = Math.min(chunk + 1, keep);
            }
            try (NDManager local = manager.newSubManager()) {
                visitor.at(
                        local,
                        row,
                        tensor(local, base, delta.base(), baseChunks.get(place), n),
                        tensor(local, aligned, delta.aligned(), alignedChunks.get(place), n));
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

    /** @throws InvalidArtifactException if the tensor's type is not a floating-point type */
    static Dtype type(Checkpoint checkpoint, TensorInfo tensor) {
        if (!tensor.dtype().isFloat()) {
            throw new InvalidArtifactException(checkpoint.fileOf(tensor.name()) + ": tensor " + tensor.name()
                    + " has type " + tensor.dtype() + "; " + Dtype.WEIGHTS
                    + " are supported, so give the checkpoint before quantization");
        }
        return tensor.dtype();
    }
}
