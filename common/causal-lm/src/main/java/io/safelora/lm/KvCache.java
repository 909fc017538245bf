package io.safelora.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import com.sun.management.OperatingSystemMXBean;
import io.safelora.torch.Tensors;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.List;

/**
 * Keys and values of a model's earlier tokens: (layers, 2, slots, kv_heads, capacity, head_dim), a sequence in each
 * slot.
 */
final class KvCache {
    /** Prompts enter together until this many tokens run through the layers at once; longer ones run in pieces. */
    static final int MAX_TOKENS_PER_STEP = 1024;

    private final Decoder decoder;
    private final ModelConfig config;
    private final long elementBytes;

    /** @param decoder with its weights, in whose type caches are */
    KvCache(Decoder decoder, ModelConfig config, NDManager manager) {
        this.decoder = decoder;
        this.config = config;
        try (NDManager scratch = manager.newSubManager()) {
            elementBytes = Tensors.bytes(decoder.newCache(scratch, 1)).remaining();
        }
    }

    NDArray allocate(NDManager owner, int slots, int capacity) {
        return decoder.newCache(
                owner, config.numHiddenLayers(), 2, slots, config.numKeyValueHeads(), capacity, config.headDim());
    }

    /** Those of what texts begin with, as a cache of one slot that is full. */
    NDArray prefix(NDManager owner, int[] ids, String adapter) {
        NDArray cache = allocate(owner, 1, ids.length);
        for (int past = 0; past < ids.length; past += MAX_TOKENS_PER_STEP) {
            int[] piece = Arrays.copyOfRange(ids, past, Math.min(ids.length, past + MAX_TOKENS_PER_STEP));
            Batch.Part part = new Batch.Part(piece, ids.length, past, 0, adapter, null, 0);
            try (NDManager step = owner.newSubManager()) {
                decoder.hidden(step, Batch.prefill(List.of(part), cache).on(decoder, step, 0));
            }
        }
        return cache;
    }

    /** Moves a sequence to another slot. */
    void move(NDManager step, NDArray cache, int source, int target, int tokens) {
        decoder.move(step, cache, source, target, tokens);
    }

    /** What so many tokens' keys and values take. */
    long bytes(int tokens) {
        return elementBytes * config.numHiddenLayers() * 2L * config.numKeyValueHeads() * config.headDim() * tokens;
    }

    /** With dynamic RoPE a token's keys depend on the length of the whole text, so no two texts share any. */
    boolean sharesPrefixes() {
        return config.rope() == null || !config.rope().type().equals("dynamic");
    }

    /** Bytes: a quarter of the machine's memory, or the container's. */
    static long defaultBudget() {
        return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getTotalMemorySize() / 4;
    }
}
