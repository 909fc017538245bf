package io.safelora.artifacts.checkpoint;

import io.safelora.artifacts.InvalidArtifactException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/**
 * What an adapter must fit: the tensors of a model.
 *
 * @param name what error messages call the model
 * @param shapes by the tensors' names in transformers' causal language model; a tied head may be missing
 * @param transposed whether the layers store their linear weights (in, out), as GPT-2's Conv1D does
 */
public record ModelTensors(String name, Map<String, long[]> shapes, boolean transposed) {
    /** Families whose linear modules are Conv1D; their heads are not. */
    private static final Set<String> CONV1D = Set.of("gpt2", "openai-gpt");

    private static final Set<String> EMBEDDINGS =
            Set.of("embed_tokens", "embed_in", "wte", "word_embeddings", "wpe", "embed_positions");
    private static final Set<String> HEADS = Set.of("lm_head", "embed_out");

    /**
     * The tensors of a checkpoint, by its headers.
     *
     * @param otherwise whether linear weights are transposed where no config.json tells
     */
    public static ModelTensors of(Checkpoint checkpoint, boolean otherwise) {
        Map<String, long[]> shapes = new HashMap<>();
        checkpoint
                .names()
                .forEach(name -> shapes.put(name, checkpoint.info(name).shape()));
        return new ModelTensors(checkpoint.name(), shapes, transposed(checkpoint, otherwise));
    }

    /**
     * Whether a checkpoint's layers store their linear weights (in, out). Its own configuration says so, and PEFT, too,
     * believes the model rather than the adapter's fan_in_fan_out.
     *
     * @param otherwise where there is no configuration
     */
    public static boolean transposed(Checkpoint checkpoint, boolean otherwise) {
        try {
            String family = checkpoint.config().path("model_type").asText();
            return family.isEmpty() ? otherwise : CONV1D.contains(family);
        } catch (InvalidArtifactException e) {
            return otherwise;
        } catch (IOException e) {
            throw new UncheckedIOException(checkpoint.name() + ": cannot be read: " + e.getMessage(), e);
        }
    }

    /** Whether a module is an embedding, of tokens or of positions, by the last part of its name. */
    public static boolean isEmbedding(String module) {
        return EMBEDDINGS.contains(last(module));
    }

    /** Whether a module is the head, which makes logits, by the last part of its name. */
    public static boolean isHead(String module) {
        return HEADS.contains(last(module));
    }

    /**
     * A tensor's shape, or null if the model has none of that name. A head that is not there is tied to the embedding.
     */
    long[] shape(String tensor) {
        long[] shape = shapes.get(tensor);
        if (shape == null && tensor.endsWith(".weight") && HEADS.contains(tensor.substring(0, tensor.length() - 7))) {
            return shapes.entrySet().stream()
                    .filter(e -> e.getKey().matches(".*(embed_tokens|embed_in|wte|word_embeddings)\\.weight"))
                    .map(Map.Entry::getValue)
                    .findFirst()
                    .orElse(null);
        }
        return shape;
    }

    private static String last(String module) {
        return module.substring(module.lastIndexOf('.') + 1);
    }
}
