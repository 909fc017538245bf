package io.safelora.lm;

import java.util.ArrayList;
import java.util.List;

/** What a checkpoint calls the weights, in the order in which decoder.py takes them. */
final class Weights {
    static final String EMBEDDING = "model.embed_tokens.weight";
    static final String NORM = "model.norm.weight";
    static final String HEAD = "lm_head.weight";

    /** The linear modules of a layer that LoRA can adapt, in decoder.py's order. */
    static final List<String> LINEARS = List.of(
            "self_attn.q_proj",
            "self_attn.k_proj",
            "self_attn.v_proj",
            "self_attn.o_proj",
            "mlp.gate_proj",
            "mlp.up_proj",
            "mlp.down_proj");

    private static final List<String> LAYER = List.of(
            "input_layernorm",
            "self_attn.q_proj",
            "self_attn.k_proj",
            "self_attn.v_proj",
            "self_attn.o_proj",
            "post_attention_layernorm",
            "mlp.gate_proj",
            "mlp.up_proj",
            "mlp.down_proj");

    private Weights() {}

    /** A weight: its name in the checkpoint and its shape. */
    record Weight(String name, long[] shape) {}

    /** All weights; the last is the head, which has the embedding's name where both are tied. */
    static List<Weight> of(ModelConfig c) {
        List<Weight> weights = new ArrayList<>();
        weights.add(new Weight(EMBEDDING, new long[] {c.vocabSize(), c.hiddenSize()}));
        for (int layer = 0; layer < c.numHiddenLayers(); layer++) {
            for (String part : LAYER) {
                weights.add(new Weight("model.layers." + layer + "." + part + ".weight", shape(c, part)));
            }
        }
        weights.add(new Weight(NORM, new long[] {c.hiddenSize()}));
        weights.add(new Weight(c.tieWordEmbeddings() ? EMBEDDING : HEAD, new long[] {c.vocabSize(), c.hiddenSize()}));
        return weights;
    }

    /** Full names of all modules that LoRA can adapt, in decoder.py's order. */
    static List<String> linearModules(ModelConfig c) {
        List<String> modules = new ArrayList<>();
        for (int layer = 0; layer < c.numHiddenLayers(); layer++) {
            for (String linear : LINEARS) {
                modules.add("model.layers." + layer + "." + linear);
            }
        }
        return modules;
    }

    /** (out, in) of a linear module, (features,) of a norm. */
    static long[] shape(ModelConfig c, String part) {
        long queries = (long) c.numAttentionHeads() * c.headDim();
        long keys = (long) c.numKeyValueHeads() * c.headDim();
        return switch (part) {
            case "self_attn.q_proj" -> new long[] {queries, c.hiddenSize()};
            case "self_attn.k_proj", "self_attn.v_proj" -> new long[] {keys, c.hiddenSize()};
            case "self_attn.o_proj" -> new long[] {c.hiddenSize(), queries};
            case "mlp.gate_proj", "mlp.up_proj" -> new long[] {c.intermediateSize(), c.hiddenSize()};
            case "mlp.down_proj" -> new long[] {c.hiddenSize(), c.intermediateSize()};
            default -> new long[] {c.hiddenSize()};
        };
    }
}
