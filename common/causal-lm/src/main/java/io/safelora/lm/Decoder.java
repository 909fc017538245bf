package io.safelora.lm;

import static java.util.Map.entry;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import io.safelora.contract.Json;
import io.safelora.torch.TorchScript;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedDeque;

/**
 * The decoder-only transformer: the methods of decoder.torchscript and its parts, whose comments give shapes and
 * formulas. Adapters are called by the names under which they were set; null is the model itself. Results belong to the
 * manager.
 */
final class Decoder implements AutoCloseable {
    static final List<String> FILES =
            List.of("decoder.torchscript", "adapters.torchscript", "attention.torchscript", "head.torchscript");

    /**
     * Compiled decoders that no model uses. libtorch never frees all of what it compiled, so models that come and go
     * take the same ones again.
     */
    private static final Map<String, Deque<TorchScript>> IDLE = new ConcurrentHashMap<>();

    private final TorchScript script;
    private final Deque<TorchScript> idle;

    /** Tokens (tokens,) int64: what they are, their places in their sequences, and how long these are so far. */
    record Tokens(NDArray ids, NDArray positions, NDArray totals) {}

    /** Which adapter ("" for none) acts on how many tokens, one span after another. */
    record Spans(List<String> adapters, long[] lengths, double dropout) {}

    /** Per sequence: its new tokens, its tokens in the cache already, and its slot there. */
    record Sequences(long[] lengths, long[] past, long[] slots) {}

    /** Keys and values (layers, 2, 1, kv_heads, prefix, head_dim) before so many tokens each, or none. */
    record SharedPrefixes(List<NDArray> keysAndValues, long[] lengths) {
        static final SharedPrefixes NONE = new SharedPrefixes(List.of(), new long[0]);
    }

    /**
     * The loss and its gradients at the head.
     *
     * @param ofInput with respect to what the head reads
     * @param ofHead with respect to the head's weight, or without elements where that is not trained
     */
    record HeadGradient(NDArray loss, NDArray ofInput, NDArray ofHead) {}

    Decoder(Device device, ModelConfig config) {
        Map<String, Object> attributes = attributes(config);
        idle = IDLE.computeIfAbsent(
                device + " " + Json.MAPPER.valueToTree(new TreeMap<>(attributes)), k -> new ConcurrentLinkedDeque<>());
        TorchScript compiled = idle.poll();
        script = compiled != null ? compiled : TorchScript.load(Decoder.class, FILES, device, attributes);
    }

    static Map<String, Object> attributes(ModelConfig c) {
        Family family = Family.ALL.get(c.modelType());
        Rope rope = c.rope();
        boolean dynamic = rope != null && rope.type().equals("dynamic");
        return Map.ofEntries(
                entry("heads", c.numAttentionHeads()),
                entry("kv_heads", c.numKeyValueHeads()),
                entry("head_dim", c.headDim()),
                entry("windows", c.windows().stream().mapToLong(w -> w).toArray()),
                entry("score_scale", c.scoreScale()),
                entry("score_softcap", c.scoreSoftcap()),
                entry("logit_softcap", c.logitSoftcap()),
                entry("embedding_scale", c.embeddingScale()),
                entry("eps", c.normEps()),
                entry("one_plus", family.has("one_plus")),
                entry("activation", c.hiddenAct()),
                entry("transposed", family.has("transposed")),
                entry("heads_first", family.has("heads_first")),
                entry("parallel", c.parallelResidual()),
                entry("rotary_dim", rope == null ? 0 : rope.dim()),
                entry("rotary_scale", rope == null ? 1.0 : rope.scale()),
                entry("dynamic_theta", dynamic ? rope.theta() : 0.0),
                entry("dynamic_factor", dynamic ? rope.factor() : 1.0),
                entry("max_positions", dynamic ? (int) rope.positions() : c.maxPositionEmbeddings()));
    }

    /** What the kernels call an adapter. */
    static String name(String adapter) {
        return adapter == null ? "" : adapter;
    }

    private NDArray one(NDManager manager, String method, Object... arguments) {
        return script.call(manager, method, arguments).get(0);
    }

    private NDArray oneWithGrad(NDManager manager, String method, Object... arguments) {
        return script.callWithGrad(manager, method, arguments).get(0);
    }

    /** @param weights by families.json's names, layer by layer, and last those outside */
    void load(NDManager manager, List<Map<String, NDArray>> weights) {
        script.call(manager, "load", weights);
    }

    void pack(NDManager manager) {
        script.call(manager, "pack");
    }

    void setAdapter(NDManager manager, String name, List<Map<String, NDArray>> layers, List<Map<String, NDArray>> own) {
        boolean owns = own.stream().anyMatch(weights -> !weights.isEmpty());
        script.call(manager, "set_adapter", name, layers, own, owns);
    }

    NDArray adapterNorms(NDManager manager, String adapter, int layer, String weight) {
        return one(manager, "adapter_norms", adapter, layer, weight);
    }

    NDArray inverseFrequencies(NDManager manager, double theta, int dim) {
        return one(manager, "inverse_frequencies", theta, dim);
    }

    NDArray newCache(NDManager manager, long... shape) {
        return one(manager, "new_cache", shape);
    }

    void move(NDManager manager, NDArray cache, int source, int target, int tokens) {
        script.call(manager, "move", cache, source, target, tokens);
    }

    TorchScript.Value batch(
            NDManager manager,
            Tokens tokens,
            Spans spans,
            Sequences sequences,
            SharedPrefixes prefixes,
            List<NDArray> cache,
            boolean decode,
            boolean train) {
        return script.callForValue(
                manager,
                "batch",
                tokens.ids,
                tokens.positions,
                tokens.totals,
                spans.adapters,
                spans.lengths,
                spans.dropout,
                sequences.lengths,
                sequences.past,
                sequences.slots,
                prefixes.keysAndValues,
                prefixes.lengths,
                cache,
                decode,
                train);
    }

    NDArray hidden(NDManager manager, TorchScript.Value batch) {
        return one(manager, "hidden", batch);
    }

    NDArray hiddenWithGrad(NDManager manager, TorchScript.Value batch) {
        return oneWithGrad(manager, "hidden", batch);
    }

    NDArray embed(NDManager manager, TorchScript.Value batch) {
        return one(manager, "embed", batch);
    }

    NDArray embedWithGrad(NDManager manager, TorchScript.Value batch) {
        return oneWithGrad(manager, "embed", batch);
    }

    NDArray layer(NDManager manager, int layer, NDArray x, TorchScript.Value batch) {
        return one(manager, "layer", layer, x, batch);
    }

    NDArray layerWithGrad(NDManager manager, int layer, NDArray x, TorchScript.Value batch) {
        return oneWithGrad(manager, "layer", layer, x, batch);
    }

    NDArray finishWithGrad(NDManager manager, NDArray rows, NDArray x, String adapter) {
        return oneWithGrad(manager, "finish", rows, x, name(adapter));
    }

    NDArray selectWithGrad(NDManager manager, NDArray hidden, NDArray rows) {
        return oneWithGrad(manager, "select", hidden, rows);
    }

    /** @param adapters whose rows they are, one each */
    NDArray logits(NDManager manager, NDArray hidden, NDArray rows, List<String> adapters) {
        long[] ones = adapters.stream().mapToLong(adapter -> 1).toArray();
        List<String> names = adapters.stream().map(Decoder::name).toList();
        return one(manager, "logits", hidden, rows, names, ones);
    }

    NDArray logprobs(NDManager manager, NDArray hidden, NDArray rows, NDArray labels, String adapter) {
        return one(manager, "logprobs", hidden, rows, labels, name(adapter));
    }

    NDArray lossWithGrad(
            NDManager manager, NDArray hidden, NDArray rows, NDArray labels, String adapter, double dropout) {
        return oneWithGrad(manager, "loss", hidden, rows, labels, name(adapter), dropout);
    }

    NDArray lossOfRowsWithGrad(
            NDManager manager, NDArray read, long begin, long size, NDArray labels, String adapter, double dropout) {
        return oneWithGrad(manager, "loss_of_rows", read, begin, size, labels, name(adapter), dropout);
    }

    void add(NDManager manager, NDArray sum, NDArray x) {
        script.call(manager, "add", sum, x);
    }

    HeadGradient headGradient(NDManager manager, NDArray read, NDArray labels, double scale) {
        NDList result = script.call(manager, "head_gradient", read, labels, scale);
        return new HeadGradient(result.get(0), result.get(1), result.get(2));
    }

    NDArray headWeightWithGrad(NDManager manager) {
        return oneWithGrad(manager, "head_weight");
    }

    /** Lets go of all weights; the manager is closed by the caller afterwards. */
    void unload(NDManager manager) {
        script.call(manager, "unload");
    }

    /** Lets another model have the compiled decoder; {@link #unload} comes first. */
    @Override
    public void close() {
        idle.push(script);
    }
}
