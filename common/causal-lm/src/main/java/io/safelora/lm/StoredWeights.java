package io.safelora.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.TensorInfo;
import io.safelora.torch.Tensors;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;

/**
 * A checkpoint's tensors as the weights of a model. Where config.json and the files disagree, the files are right about
 * a tied head, as they are for transformers; every other disagreement is an error.
 */
final class StoredWeights implements WeightSource {
    /** Buffers that old versions of transformers saved: all follow from config.json, and none is read. */
    private static final Pattern BUFFERS =
            Pattern.compile("(.*\\.)?(rotary_emb\\.(inv_freq|cos_cached|sin_cached)|position_ids"
                    + "|(attn|attention)\\.(masked_)?bias)");

    /** Bytes that are compared at once. */
    private static final int PIECE = 8 << 20;

    private final Checkpoint checkpoint;
    private final ModelConfig config;
    /** The embedding's name, where only the head that it is tied to was saved; else null. */
    private final String headOnly;

    private final String head;
    private final Dtype type;
    private final boolean copied;

    /**
     * @param type what is computed in; null: the checkpoint's own, but float32 for float16, which has no fast kernels
     *     on CPUs
     * @param copied whether the weights must stand in memory of their own
     * @throws InvalidArtifactException if the checkpoint has a tensor that config.json gives no place in the model
     */
    StoredWeights(Checkpoint checkpoint, Dtype type, boolean copied) throws IOException {
        this.checkpoint = checkpoint;
        this.type = type;
        this.copied = copied;
        ModelConfig said = ModelConfig.of(checkpoint.config());
        Family family = Family.ALL.get(said.modelType());
        String embedding = family.outer().get("embedding") + ".weight";
        head = family.outer().get("head") + ".weight";
        boolean both = checkpoint.has(embedding) && checkpoint.has(head);
        config = said.tied(said.tieWordEmbeddings() && (!both || equal(embedding, head)));
        headOnly = config.tieWordEmbeddings() && !checkpoint.has(embedding) ? embedding : null;
        refuseUnknown(family);
    }

    /** Read in pieces, up to the first difference: the checkpoint may lie in S3. */
    private boolean equal(String one, String other) {
        TensorInfo info = checkpoint.info(one);
        if (info.dtype() != checkpoint.info(other).dtype()
                || !Arrays.equals(info.shape(), checkpoint.info(other).shape())) {
            return false;
        }
        ByteBuffer a = ByteBuffer.allocateDirect((int) Math.min(info.bytes(), PIECE));
        ByteBuffer b = ByteBuffer.allocateDirect(a.capacity());
        for (long at = 0; at < info.bytes(); at += PIECE) {
            int size = (int) Math.min(info.bytes() - at, PIECE);
            checkpoint.read(one, at, a.clear().limit(size));
            checkpoint.read(other, at, b.clear().limit(size));
            if (!a.flip().equals(b.flip())) {
                return false;
            }
        }
        return true;
    }

    /** A tensor that nobody reads is part of another model than the one that would be computed. */
    private void refuseUnknown(Family family) {
        Set<String> unknown = new TreeSet<>(checkpoint.names());
        Weights.of(config).forEach(weight -> unknown.remove(weight.name()));
        unknown.remove(head);
        unknown.removeIf(name -> BUFFERS.matcher(name).matches());
        if (!unknown.isEmpty()) {
            String name = unknown.iterator().next();
            throw new InvalidArtifactException(checkpoint.fileOf(name) + ": tensor " + ModelConfig.shown(name)
                    + (unknown.size() > 1 ? " (one of " + unknown.size() + " such)" : "")
                    + " has no place in the model that config.json describes (model_type " + config.modelType()
                    + "); correct config.json" + biasRemedy(family, name, true)
                    + ", or remove the tensor if it is a leftover");
        }
    }

    /** Which option of config.json says whether the model has a bias of that name. */
    private static String biasRemedy(Family family, String name, boolean value) {
        return family.layer().entrySet().stream()
                .filter(part -> name.matches(".*\\.\\d+\\." + Pattern.quote(part.getValue() + ".bias")))
                .map(part -> family.biases().getOrDefault(part.getKey(), "true"))
                .filter(option -> !option.equals("true"))
                .findFirst()
                .map(option -> " (" + option + ": " + value + ")")
                .orElse("");
    }

    /** config.json's, but for the head. */
    ModelConfig config() {
        return config;
    }

    /**
     * A weight, owned by the manager; mapped where nothing need be converted or copied.
     *
     * @throws InvalidArtifactException if it is missing, or of another shape
     */
    @Override
    public NDArray get(NDManager manager, String weight, long[] shape) {
        TensorInfo info = info(weight, shape);
        Dtype stored = info.dtype();
        Dtype computed = type != null ? type : stored == Dtype.BF16 ? stored : Dtype.F32;
        if (stored == computed && !copied) {
            return Tensors.of(manager, checkpoint.map(info.name()), stored, shape);
        }
        try (NDManager scratch = manager.newSubManager()) {
            NDArray tensor = Tensors.of(scratch, checkpoint.map(info.name()), stored, shape);
            return stored == computed ? Tensors.clone(manager, tensor) : Tensors.to(manager, tensor, computed);
        }
    }

    /** Which tensor holds a weight; the same errors. */
    TensorInfo info(String weight, long[] shape) {
        String name = weight.equals(headOnly) ? head : weight;
        if (!checkpoint.has(name)) {
            throw new InvalidArtifactException(checkpoint.name() + ": tensor " + weight
                    + " is missing, but config.json says that the model has it; " + remedy(weight));
        }
        TensorInfo info = checkpoint.info(name);
        if (!Arrays.equals(info.shape(), shape)) {
            throw new InvalidArtifactException(checkpoint.fileOf(name) + ": tensor " + name + " has shape "
                    + Arrays.toString(info.shape()) + ", but config.json makes it " + Arrays.toString(shape));
        }
        if (!info.dtype().isWeight()) {
            throw new UnsupportedModelException(
                    "tensor " + info.name() + " is " + info.dtype() + "; supported: " + Dtype.WEIGHTS);
        }
        return info;
    }

    private String remedy(String weight) {
        String bias = biasRemedy(Family.ALL.get(config.modelType()), weight, false);
        return weight.equals(head)
                ? "set tie_word_embeddings to true if the head is the embedding, else save the model again"
                : bias.isEmpty()
                        ? "download it again, or save the whole model"
                        : "correct config.json" + bias + ", or save the whole model";
    }
}
