package io.safelora.lm;

import static java.util.Map.entry;

import ai.djl.Device;
import ai.djl.engine.EngineException;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.contract.InvalidInputException;
import io.safelora.contract.Json;
import io.safelora.lm.GenerationOptions.Sampling;
import io.safelora.torch.ScalarType;
import io.safelora.torch.Tensors;
import io.safelora.torch.Torch;
import io.safelora.torch.TorchScript;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.function.IntConsumer;

/**
 * A causal language model as Hugging Face checkpoints hold it: text in, log-probabilities, text or gradients out.
 *
 * <p>The arithmetic is in decoder.py; this class holds the weights (mapped from the checkpoint, not copied, where their
 * type is the one that is computed in), lays sequences out for it, and keeps the caches. Not thread safe.
 */
public final class CausalLm implements AutoCloseable {
    private final ModelFiles files;
    private final ModelConfig config;
    private final Path directory;
    private final NDManager manager;
    /**
     * Compiled decoders that no model uses. libtorch never frees all of what it compiled, so models that come and go take the
     * same ones again.
     */
    private static final Map<String, Deque<TorchScript>> IDLE = new ConcurrentHashMap<>();

    private final TorchScript decoder;
    private final Map<String, NDArray> weights = new LinkedHashMap<>();
    /** By decoder.py's names, layer by layer, and last those outside. */
    private final List<Map<String, NDArray>> layers = new ArrayList<>();

    private final Map<String, Lora> adapters = new HashMap<>();

    /** Whether the weights may be changed. */
    private enum Use {
        READ,
        TRAIN
    }

    /** Where the weights come from: a tensor by name, owned by the given manager. */
    private interface Source {
        NDArray get(NDManager manager, String name, long[] shape);
    }

    /** @param adapter whose tokenizer and chat template are the model's, where it has some; or null */
    private CausalLm(ModelConfig config, Path directory, Path adapter, Device device, Source source)
            throws IOException {
        this.config = config;
        this.directory = directory;
        this.files = new ModelFiles(config, directory, adapter);
        this.manager = Torch.manager(device);
        try {
            decoder = decoder(device, attributes(config));
            for (int i = 0; i <= config.numHiddenLayers(); i++) {
                layers.add(new LinkedHashMap<>());
            }
            Map<String, NDArray> outer = layers.get(config.numHiddenLayers());
            for (Weights.Weight weight : Weights.of(config)) {
                NDArray tensor = weights.get(weight.name());
                if (tensor == null) {
                    tensor = source.get(manager, weight.name(), weight.shape());
                    weights.put(weight.name(), tensor);
                }
                (weight.layer() < 0 ? outer : layers.get(weight.layer())).put(weight.key(), tensor);
            }
            outer.put("inv_freq", invFreq(config.rope()));
            decoder.call(manager, "load", layers);
        } catch (RuntimeException e) {
            manager.close();
            files.close();
            throw e;
        }
    }

    private static TorchScript decoder(Device device, Map<String, Object> attributes) {
        TorchScript idle = idle(device, attributes).poll();
        return idle != null ? idle : TorchScript.load(CausalLm.class, "decoder.py", device, attributes);
    }

    private static Deque<TorchScript> idle(Device device, Map<String, Object> attributes) {
        String key = device + " " + Json.MAPPER.valueToTree(new TreeMap<>(attributes));
        return IDLE.computeIfAbsent(key, k -> new ConcurrentLinkedDeque<>());
    }

    private static Map<String, Object> attributes(ModelConfig c) {
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

    private NDArray invFreq(Rope rope) {
        if (rope == null) {
            return Tensors.of(manager, new float[0], 0);
        }
        float[] plain = decoder.call(manager, "inv_freq", rope.theta(), rope.dim())
                .get(0)
                .toFloatArray();
        return Tensors.of(manager, rope.scaled(plain), plain.length);
    }

    /**
     * Loads a Hugging Face model directory (config.json, *.safetensors, tokenizer.json).
     *
     * @param device cpu, cuda, cuda:N or auto
     * @param dtype auto: the checkpoint's own; float32; bfloat16
     * @throws UnsupportedModelException if it is a model that is not run here
     * @throws InvalidArtifactException if a file is broken, or a weight is missing, of another shape, or not the model's
     */
    public static CausalLm load(Path directory, String device, String dtype) throws IOException {
        return load(directory, null, device, dtype, Use.READ);
    }

    /**
     * The same for one adapter, to train it further: the tokenizer and the chat template that lie beside the adapter are the
     * model's.
     *
     * @param adapter a PEFT folder, or null
     */
    public static CausalLm load(Path directory, Path adapter, String device, String dtype) throws IOException {
        return load(directory, adapter, device, dtype, Use.READ);
    }

    /**
     * The same for a model whose {@link #weights} are to be trained: in float32, and in memory of its own, so that nothing is
     * ever written to the checkpoint.
     */
    public static CausalLm loadToTrain(Path directory, String device) throws IOException {
        return load(directory, null, device, "float32", Use.TRAIN);
    }

    private static CausalLm load(Path directory, Path adapter, String device, String dtype, Use use)
            throws IOException {
        ScalarType type =
                switch (dtype == null ? "auto" : dtype) {
                    case "auto" -> null;
                    case "float32" -> ScalarType.FLOAT32;
                    case "bfloat16" -> ScalarType.BFLOAT16;
                    default -> throw new InvalidInputException("dtype " + dtype + ": use auto, float32 or bfloat16");
                };
        StoredWeights stored = new StoredWeights(Checkpoint.open(directory), type, use == Use.TRAIN);
        return new CausalLm(stored.config(), directory, adapter, device(device), stored::get);
    }

    /**
     * A model with random weights in float32: matrices normal with the deviation 0.02, norms one.
     *
     * @param config a config.json
     * @param tokenizerDirectory holds tokenizer.json and its companions
     */
    public static CausalLm create(JsonNode config, Path tokenizerDirectory, long seed) throws IOException {
        Random random = new Random(seed); // java.util.Random is specified to the bit, so models are the same everywhere
        Source source = (manager, name, shape) -> {
            float[] values = new float[Math.toIntExact(Arrays.stream(shape).reduce(1, Math::multiplyExact))];
            for (int i = 0; i < values.length; i++) {
                values[i] = shape.length == 1 ? 1 : (float) (0.02 * random.nextGaussian());
            }
            return Tensors.of(manager, values, shape);
        };
        return new CausalLm(ModelConfig.of(config), tokenizerDirectory, null, Torch.device("cpu"), source);
    }

    /** The device that a user chose. */
    private static Device device(String name) {
        try {
            return Torch.device(name);
        } catch (IllegalArgumentException e) {
            throw new InvalidInputException(e.getMessage(), e);
        }
    }

    public ModelConfig config() {
        return config;
    }

    /** What this model's files say but for its weights. */
    public ModelFiles files() {
        return files;
    }

    public Tokenizer tokenizer() {
        return files.tokenizer();
    }

    public ChatTemplate chatTemplate() {
        return files.chatTemplate();
    }

    /** The same with the tokenizer and chat template of a loaded adapter, which may have its own; null: the model's. */
    public ModelFiles files(String adapter) {
        return files.with(texts(adapter));
    }

    /** Whether two loaded adapters (null: the model itself) have the same tokenizer and chat template. */
    public boolean sameTexts(String one, String other) {
        return texts(one).content().equals(texts(other).content());
    }

    /** The tokenizer that a loaded adapter (null: none) is used with: the one that lay beside it, else the model's. */
    public Tokenizer tokenizer(String adapter) {
        return texts(adapter).tokenizer();
    }

    /** The same of the chat template. */
    public ChatTemplate chatTemplate(String adapter) {
        return texts(adapter).chatTemplate();
    }

    /** What of these came with a loaded adapter (null: with the one that the model was loaded for), for people; or null. */
    public String textsNote(String adapter) {
        return texts(adapter).note();
    }

    private Texts texts(String adapter) {
        checkAdapter(adapter);
        Texts beside = adapter == null ? null : adapters.get(adapter).texts();
        return beside != null ? beside : files.texts();
    }

    /** All weights by their names in the checkpoint; a tied head is the embedding and stands there once. */
    public Map<String, NDArray> weights() {
        return weights;
    }

    /**
     * Makes this model faster, at the price of a second copy of its linear weights: for models that are only run from now
     * on. Neither may {@link #weights} be changed afterwards, nor {@link #loss} be called. Does nothing on a GPU.
     */
    public CausalLm forInference() {
        if (!manager.getDevice().isGpu()) {
            try (NDManager step = newManager()) {
                decoder.call(step, "pack");
            } catch (EngineException e) {
                // A CPU without oneDNN: the model runs as it is.
            }
        }
        return this;
    }

    /** Full names of the modules that LoRA can adapt, layer by layer, with their shapes (out, in). */
    public Map<String, long[]> linearModules() {
        return files.linearModules();
    }

    /** A manager on this model's device, for the tensors of one step; the caller closes it. */
    public NDManager newManager() {
        return manager.newSubManager();
    }

    /**
     * Loads a PEFT adapter under a name of the caller's choice, with the tokenizer and the chat template that lie beside it.
     *
     * @throws InvalidArtifactException if it is broken, or not made for this model
     */
    public Lora loadAdapter(String name, Path directory) throws IOException {
        PeftAdapter adapter = PeftAdapter.open(directory);
        return add(name, adapter, Texts.beside(directory, this.directory), false);
    }

    /** Puts an adapter on this model under a name of the caller's choice. */
    public Lora addAdapter(String name, PeftAdapter adapter) {
        return add(name, adapter, null, false);
    }

    /** The same, and what PEFT would train of it can be trained. */
    public Lora addAdapterToTrain(String name, PeftAdapter adapter) {
        return add(name, adapter, null, true);
    }

    private Lora add(String name, PeftAdapter adapter, Texts beside, boolean train) {
        Lora lora;
        try {
            lora = new Lora(manager, directory.toString(), config, layers, adapter, beside, train);
            lora.set(decoder, name);
        } catch (RuntimeException e) {
            if (beside != null) {
                beside.close();
            }
            throw e;
        }
        Lora before = adapters.put(name, lora);
        if (before != null) {
            before.close();
        }
        return lora;
    }

    /** Takes an adapter off this model and frees it. */
    public void removeAdapter(String name) {
        checkAdapter(name);
        decoder.call(manager, "remove_adapter", name);
        adapters.remove(name).close();
    }

    /** How many tokens an adapter (null: the model itself) has. */
    private int vocabSize(String adapter) {
        return adapter == null ? config.vocabSize() : adapters.get(adapter).vocabSize();
    }

    private void checkAdapter(String name) {
        if (name != null && !adapters.containsKey(name)) {
            throw new IllegalArgumentException("no adapter called " + name + " is loaded");
        }
    }

    /**
     * log p(ids[t] | ids[&lt;t]) for t &gt;= 1.
     *
     * @param ids at least one token
     * @param adapter a loaded adapter's name, or null for the model itself
     * @return (ids.length - 1) natural logarithms
     */
    public double[] logprobs(int[] ids, String adapter) {
        check(ids, adapter);
        return ids.length == 1
                ? new double[0]
                : score(List.of(new Continuation(ids, 1, adapter)), null).get(0);
    }

    /**
     * A text whose end is scored.
     *
     * @param from the first token that is scored; at least 1
     * @param adapter a loaded adapter's name, or null
     */
    public record Continuation(int[] ids, int from, String adapter) {}

    /**
     * log p(ids[t] | ids[&lt;t]) for t &gt;= from, for many texts; what they begin with alike is computed once.
     *
     * @param done called with the number of finished texts, or null
     * @return per text (ids.length - from) natural logarithms
     */
    public List<double[]> score(List<Continuation> texts, IntConsumer done) {
        for (Continuation text : texts) {
            check(text.ids(), text.adapter());
            if (text.from() < 1 || text.from() >= text.ids().length) {
                throw new IllegalArgumentException("a text of " + text.ids().length
                        + " tokens cannot be scored from token " + text.from() + " on");
            }
        }
        return new Scorer(this, decoder, texts).run(done);
    }

    /** The logits (vocab,) of the token that follows {@code ids}. */
    public float[] lastLogits(int[] ids, String adapter) {
        check(ids, adapter);
        try (NDManager step = newManager()) {
            NDArray last = Tensors.of(step, new long[] {ids.length - 1}, 1);
            NDArray hidden = hidden(step, Run.of(List.of(ids), adapter));
            return decoder.call(step, "logits", hidden, last, List.of(Run.name(adapter)), new long[] {1})
                    .get(0)
                    .toFloatArray();
        }
    }

    /** The last layer's output (tokens, hidden) after the final norm, without autograd. */
    NDArray hidden(NDManager step, Run run) {
        return decoder.call(step, "hidden", run.arguments(step, 0)).get(0);
    }

    /** Keys and values (layers, 2, 1, kv_heads, tokens, head_dim) of what texts begin with. */
    NDArray prefix(NDManager owner, int[] ids, String adapter) {
        NDArray cache = newCache(owner, 1, ids.length);
        for (int past = 0; past < ids.length; past += Generator.MAX_TOKENS_PER_STEP) {
            int[] piece = Arrays.copyOfRange(ids, past, Math.min(ids.length, past + Generator.MAX_TOKENS_PER_STEP));
            try (NDManager step = newManager()) {
                hidden(
                        step,
                        new Run(List.of(new Run.Part(piece, ids.length, past, 0, adapter, null, 0)), cache, false));
            }
        }
        return cache;
    }

    NDArray newCache(NDManager owner, int slots, int capacity) {
        long[] shape = {config.numHiddenLayers(), 2, slots, config.numKeyValueHeads(), capacity, config.headDim()};
        return decoder.call(owner, "zeros", shape).get(0);
    }

    /** What so many tokens' keys and values take. */
    long cacheBytes(int tokens) {
        NDArray any = weights.values().iterator().next();
        long element = any.getDataType() == ai.djl.ndarray.types.DataType.FLOAT32 ? 4 : 2;
        return element * config.numHiddenLayers() * 2L * config.numKeyValueHeads() * config.headDim() * tokens;
    }

    long defaultMemoryBudget() {
        var system = (com.sun.management.OperatingSystemMXBean)
                java.lang.management.ManagementFactory.getOperatingSystemMXBean();
        return system.getTotalMemorySize() / 4;
    }

    /** With dynamic RoPE a token's keys depend on the length of the whole text, so no two texts share any. */
    boolean sharesPrefixes() {
        return config.rope() == null || !config.rope().type().equals("dynamic");
    }

    GenerationConfig generationConfig() {
        return files.generationConfig();
    }

    /**
     * How tokens are drawn: as given, and what is null as generation_config.json says, else as transformers does (temperature 1,
     * top_k 50, top_p 1, min_p 0).
     */
    public Sampling sampling(Double temperature, Integer topK, Double topP, Double minP, long seed) {
        GenerationConfig own = generationConfig();
        return new Sampling(
                temperature == null ? own.temperature() : temperature,
                topK == null ? own.topK() : topK,
                topP == null ? own.topP() : topP,
                minP == null ? own.minP() : minP,
                seed);
    }

    /**
     * The sum over all labelled tokens of -log p(label | what comes before), with autograd: {@link Tensors#backward} of
     * the result adds to the gradients of every tensor that requires one.
     *
     * @param step owns the result and everything between; close it after the backward pass
     * @param sequences token ids, each at least two tokens
     * @param labels of the same lengths: labels[i][t] is the token that position t - 1 of sequence i should say, or -100
     * @param adapter a loaded adapter's name, or null
     * @param dropout the probability that an element of an adapter's input is dropped
     * @return a scalar in float32
     */
    public NDArray loss(NDManager step, List<int[]> sequences, List<int[]> labels, String adapter, double dropout) {
        Targets targets = Targets.of(step, labels);
        return decoder.callWithGrad(
                        step,
                        "loss",
                        hiddenWithGrad(step, sequences, adapter, dropout),
                        targets.rows,
                        targets.labels,
                        Run.name(adapter),
                        dropout)
                .get(0);
    }

    /** How a training pass runs. */
    public record Pass(double dropout, long dropoutSeed, boolean gradientCheckpointing) {}

    /**
     * {@link #loss}, and {@link Tensors#backward} of {@code scale} times it, in one: the gradient at the head is taken
     * together with the loss, some rows at a time, so that logits (rows, vocab) never stand whole. With gradient
     * checkpointing only the layers' inputs are kept, and each layer runs again when its turn comes.
     *
     * @param step owns the result
     * @return the loss, not scaled, a scalar in float32 without autograd
     */
    public NDArray backward(
            NDManager step, List<int[]> sequences, List<int[]> labels, String adapter, Pass pass, double scale) {
        try (NDManager scratch = step.newSubManager()) {
            Targets targets = Targets.of(scratch, labels);
            NDArray loss;
            if (pass.gradientCheckpointing()) {
                loss = layerByLayer(scratch, sequences, adapter, targets, pass, scale);
            } else {
                seed(pass, 0);
                NDArray answers = decoder.callWithGrad(
                                scratch,
                                "answers",
                                hiddenWithGrad(scratch, sequences, adapter, pass.dropout()),
                                targets.rows)
                        .get(0);
                loss = headBackward(scratch, answers, targets, adapter, pass, scale);
            }
            loss.attach(step);
            return loss;
        }
    }

    /** The loss; its gradient goes on from what the head reads, and to the head where that is trained. */
    private NDArray headBackward(
            NDManager scratch, NDArray answers, Targets targets, String adapter, Pass pass, double scale) {
        if (adapter != null && adapters.get(adapter).adaptsHead()) {
            return adaptedHeadBackward(scratch, answers, targets, adapter, pass, scale);
        }
        NDList head = decoder.call(scratch, "head_gradient", answers, targets.labels, scale);
        Tensors.backward(answers, head.get(1));
        if (head.get(2).size() > 0) {
            Tensors.backward(decoder.callWithGrad(scratch, "head_weight").get(0), head.get(2));
        }
        return head.get(0);
    }

    /** The same by autograd, some rows at a time, for a head that an adapter changes. */
    private NDArray adaptedHeadBackward(
            NDManager scratch, NDArray answers, Targets targets, String adapter, Pass pass, double scale) {
        NDArray read = Tensors.clone(scratch, answers);
        Tensors.requiresGrad(read, true);
        long rows = read.getShape().get(0);
        long most = Math.max(16, (4 << 20) / vocabSize(adapter));
        seed(pass, config.numHiddenLayers());
        NDArray sum = scratch.zeros(new Shape());
        for (long begin = 0; begin < rows; begin += most) {
            try (NDManager part = scratch.newSubManager()) {
                long size = Math.min(most, rows - begin);
                NDArray loss = decoder.callWithGrad(
                                part, "loss_of_rows", read, begin, size, targets.labels, adapter, pass.dropout())
                        .get(0);
                decoder.call(part, "add", sum, loss);
                Tensors.backward(loss, part.full(loss.getShape(), (float) scale));
            }
        }
        if (adapters.get(adapter).adaptsBelowHead()) {
            Tensors.backward(answers, Tensors.gradient(scratch, read).orElseThrow());
        }
        return sum;
    }

    private NDArray hiddenWithGrad(NDManager step, List<int[]> sequences, String adapter, double dropout) {
        sequences.forEach(ids -> check(ids, adapter));
        return decoder.callWithGrad(
                        step, "hidden", Run.toTrain(sequences, adapter).arguments(step, dropout))
                .get(0);
    }

    private NDArray layerByLayer(
            NDManager scratch, List<int[]> sequences, String adapter, Targets targets, Pass pass, double scale) {
        sequences.forEach(ids -> check(ids, adapter));
        Object[] run = Run.toTrain(sequences, adapter).arguments(scratch, pass.dropout());
        List<NDArray> inputs = new ArrayList<>();
        inputs.add(
                decoder.call(scratch, "embed", run[0], run[1], run[3], run[4]).get(0));
        for (int i = 0; i < config.numHiddenLayers(); i++) {
            seed(pass, i);
            inputs.add(decoder.call(scratch, "one_layer", layer(i, inputs.get(i), run))
                    .get(0));
        }
        NDArray top = inputs.get(inputs.size() - 1);
        Tensors.requiresGrad(top, true);
        NDArray answers = decoder.callWithGrad(scratch, "finish", targets.rows, top, Run.name(adapter))
                .get(0);
        NDArray loss = headBackward(scratch, answers, targets, adapter, pass, scale);
        NDArray gradient = Tensors.gradient(scratch, top).orElseThrow();
        // Without an adapter the weights themselves are trained, down to the embedding, below the first layer.
        int lowest = adapter == null ? -1 : adapters.get(adapter).lowestLayer();
        for (int i = config.numHiddenLayers() - 1; i >= Math.max(0, lowest); i--) {
            try (NDManager again = scratch.newSubManager()) {
                NDArray input = inputs.get(i);
                Tensors.requiresGrad(input, i > lowest);
                seed(pass, i);
                NDArray output = decoder.callWithGrad(again, "one_layer", layer(i, input, run))
                        .get(0);
                Tensors.backward(output, gradient);
                gradient.close();
                inputs.remove(i + 1).close();
                if (i > lowest) {
                    gradient = Tensors.gradient(scratch, input).orElseThrow();
                }
            }
        }
        if (lowest < 0) {
            Tensors.backward(
                    decoder.callWithGrad(scratch, "embed", run[0], run[1], run[3], run[4])
                            .get(0),
                    gradient);
        }
        return loss;
    }

    /** The arguments of {@code one_layer}: a run's, with x in place of the token ids. */
    private static Object[] layer(int i, NDArray x, Object[] run) {
        Object[] arguments = new Object[run.length + 1];
        arguments[0] = i;
        arguments[1] = x;
        System.arraycopy(run, 1, arguments, 2, run.length - 1);
        return arguments;
    }

    /** A layer that runs twice must drop the same elements both times. */
    private static void seed(Pass pass, int layer) {
        if (pass.dropout() > 0) {
            Torch.seed(pass.dropoutSeed() + layer);
        }
    }

    /** Where the loss looks: positions of the tokens that come before labelled ones, and these labels. */
    private record Targets(NDArray rows, NDArray labels) {
        static Targets of(NDManager step, List<int[]> labels) {
            List<Long> rows = new ArrayList<>();
            List<Long> targets = new ArrayList<>();
            long begin = 0;
            for (int[] label : labels) {
                for (int t = 1; t < label.length; t++) {
                    if (label[t] != -100) {
                        rows.add(begin + t - 1);
                        targets.add((long) label[t]);
                    }
                }
                begin += label.length;
            }
            if (rows.isEmpty()) {
                throw new InvalidInputException("no token of the batch has a label, so there is no loss");
            }
            return new Targets(
                    Tensors.of(step, longs(rows), rows.size()), Tensors.of(step, longs(targets), targets.size()));
        }
    }

    /**
     * A text to continue.
     *
     * @param adapter a loaded adapter's name, or null
     */
    public record Request(int[] prompt, String adapter) {}

    /**
     * Continues every text. A sequence ends with an end token (kept), a stop string (kept), or {@code maxNewTokens}; the
     * tokens of the same texts do not depend on the batch size (in bfloat16, a shared prefix rounds
     * otherwise). Texts with different adapters go through the weights together.
     *
     * @param done called with the number of finished texts, or null
     * @return the new tokens of every text, in the texts' order
     * @throws IllegalArgumentException if a text cannot fit into the model or the memory budget
     */
    public List<int[]> generate(List<Request> requests, GenerationOptions options, IntConsumer done) {
        for (Request request : requests) {
            check(request.prompt(), request.adapter());
        }
        files.checkGeneration(options.sampling() != null);
        try (Generator generator = new Generator(this, decoder, requests, options)) {
            return generator.run(done);
        }
    }

    /** The same, all with one adapter. */
    public List<int[]> generate(List<int[]> prompts, GenerationOptions options, String adapter, IntConsumer done) {
        return generate(prompts.stream().map(p -> new Request(p, adapter)).toList(), options, done);
    }

    /** The embedding would read outside its memory for an id that the model does not have. */
    private void check(int[] ids, String adapter) {
        checkAdapter(adapter);
        int vocab = vocabSize(adapter);
        if (ids.length == 0) {
            throw new InvalidInputException("the text has no tokens; give at least one");
        }
        if (ids.length >= config.maxPositionEmbeddings()) {
            throw new InvalidInputException("the text has " + ids.length + " tokens; the model's limit, "
                    + "max_position_embeddings, is " + config.maxPositionEmbeddings());
        }
        for (int id : ids) {
            if (id < 0 || id >= vocab) {
                throw new InvalidInputException("token id " + id + " is outside the model's vocabulary of " + vocab
                        + "; is the tokenizer this model's?");
            }
        }
    }

    static long[] longs(List<Long> values) {
        return values.stream().mapToLong(Long::longValue).toArray();
    }

    @Override
    public void close() {
        if (!manager.isOpen()) {
            return;
        }
        try (NDManager scratch = newManager()) {
            decoder.call(scratch, "unload");
        }
        idle(manager.getDevice(), attributes(config)).push(decoder);
        manager.close();
        files.close();
        adapters.values().forEach(Lora::closeTexts);
    }
}
