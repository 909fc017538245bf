package io.safelora.lm;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What a checkpoint calls the weights of a model, and their shapes. */
final class Weights {
    /**
     * A weight.
     *
     * @param layer its layer, or -1
     * @param key its name in families.json and in the kernels
     * @param name its name in the checkpoint
     */
    record Weight(int layer, String key, String name, long[] shape) {}

    private Weights() {}

    /**
     * All weights, in the order in which a new model is made; the head has the embedding's name where both are tied.
     */
    static List<Weight> of(ModelConfig c) {
        Family family = Family.ALL.get(c.modelType());
        List<Weight> weights = new ArrayList<>();
        String embedding = family.outer().get("embedding") + ".weight";
        long[] words = {c.vocabSize(), c.hiddenSize()};
        weights.add(new Weight(-1, "embedding", embedding, words));
        if (family.outer().containsKey("positions")) {
            weights.add(new Weight(-1, "positions", family.outer().get("positions") + ".weight", new long[] {
                c.maxPositionEmbeddings(), c.hiddenSize()
            }));
        }
        for (int layer = 0; layer < c.numHiddenLayers(); layer++) {
            for (Map.Entry<String, String> part : family.layer().entrySet()) {
                String key = part.getKey();
                String name = family.layers() + layer + "." + part.getValue();
                if (key.startsWith("norm")) {
                    norm(weights, family, layer, key, name, key.matches("norm\\.[qk]") ? c.headDim() : c.hiddenSize());
                    continue;
                }
                long[] shape = shape(c, key);
                boolean transposed = family.has("transposed");
                weights.add(
                        new Weight(layer, key, name + ".weight", transposed ? new long[] {shape[1], shape[0]} : shape));
                if (c.biased().contains(key)) {
                    weights.add(new Weight(layer, key + ".bias", name + ".bias", new long[] {shape[0]}));
                }
            }
        }
        norm(weights, family, -1, "norm", family.outer().get("norm"), c.hiddenSize());
        weights.add(new Weight(
                -1, "head", c.tieWordEmbeddings() ? embedding : family.outer().get("head") + ".weight", words));
        return weights;
    }

    /** The weights by the names that adapters know them by: a tied head has its own. */
    static Map<String, Weight> byModule(ModelConfig c) {
        Map<String, Weight> weights = new LinkedHashMap<>();
        String head = Family.ALL.get(c.modelType()).outer().get("head") + ".weight";
        of(c).forEach(weight -> weights.put(weight.key().equals("head") ? head : weight.name(), weight));
        return weights;
    }

    private static void norm(List<Weight> weights, Family family, int layer, String key, String name, long size) {
        weights.add(new Weight(layer, key, name + ".weight", new long[] {size}));
        if (family.has("layer_norm")) {
            weights.add(new Weight(layer, key + ".bias", name + ".bias", new long[] {size}));
        }
    }

    /**
     * The modules that LoRA can adapt.
     *
     * @param name the module's full name in transformers
     */
    record Linear(int layer, String key, String name, int out, int in) {}

    /** All modules that LoRA can adapt by their full names, layer by layer. */
    static Map<String, Linear> linears(ModelConfig c) {
        Family family = Family.ALL.get(c.modelType());
        Map<String, Linear> linears = new LinkedHashMap<>();
        for (int layer = 0; layer < c.numHiddenLayers(); layer++) {
            for (Map.Entry<String, String> part : family.layer().entrySet()) {
                if (!part.getKey().startsWith("norm")) {
                    String name = family.layers() + layer + "." + part.getValue();
                    long[] shape = shape(c, part.getKey());
                    linears.put(name, new Linear(layer, part.getKey(), name, (int) shape[0], (int) shape[1]));
                }
            }
        }
        return linears;
    }

    /** (out, in) of a linear module. */
    private static long[] shape(ModelConfig c, String key) {
        long queries = (long) c.numAttentionHeads() * c.headDim();
        long keys = (long) c.numKeyValueHeads() * c.headDim();
        return switch (key) {
            case "q" -> new long[] {queries, c.hiddenSize()};
            case "k", "v" -> new long[] {keys, c.hiddenSize()};
            case "qkv" -> new long[] {queries + 2 * keys, c.hiddenSize()};
            case "o" -> new long[] {c.hiddenSize(), queries};
            case "gate", "up" -> new long[] {c.intermediateSize(), c.hiddenSize()};
            case "gate_up" -> new long[] {2L * c.intermediateSize(), c.hiddenSize()};
            case "down" -> new long[] {c.hiddenSize(), c.intermediateSize()};
            default -> throw new IllegalStateException("families.json: " + key + " is not a weight of a layer");
        };
    }
}
