package io.safelora.lm;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.TensorInfo;
import io.safelora.torch.ScalarType;
import io.safelora.torch.Tensors;
import io.safelora.torch.Torch;
import io.safelora.torch.TorchScript;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.IntConsumer;

/**
 * A causal language model as Hugging Face checkpoints hold it: text in, log-probabilities, text or gradients out.
 *
 * <p>The arithmetic is in decoder.py; this class holds the weights (mapped from the checkpoint, not copied, where their
 * type is the one that is computed in), lays sequences out for it, and keeps the caches. Not thread safe.
 */
public final class CausalLm implements AutoCloseable {
    /** Prompts enter a batch until this many tokens run through the layers at once; bounds the memory of a step. */
    private static final int MAX_TOKENS_PER_STEP = 2048;

    private final ModelConfig config;
    private final Tokenizer tokenizer;
    private final ChatTemplate chatTemplate;
    private final NDManager manager;
    private final TorchScript decoder;
    private final List<NDArray> weights = new ArrayList<>();
    private final Map<String, NDArray> byName = new LinkedHashMap<>();
    private final Map<String, Lora> adapters = new HashMap<>();
    private final NDArray invFreq;
    private final long[] dims;
    private final Lora none;

    /** Where the weights come from: a tensor by name, owned by the given manager. */
    private interface Source {
        NDArray get(NDManager manager, String name, long[] shape) throws IOException;
    }

    private CausalLm(ModelConfig config, Tokenizer tokenizer, ChatTemplate chatTemplate, Device device, Source source)
            throws IOException {
        this.config = config;
        this.tokenizer = tokenizer;
        this.chatTemplate = chatTemplate;
        this.manager = Torch.manager(device);
        try {
            decoder = TorchScript.load(CausalLm.class, "decoder.py", device);
            for (Weights.Weight weight : Weights.of(config)) {
                NDArray tensor = byName.get(weight.name());
                if (tensor == null) {
                    tensor = source.get(manager, weight.name(), weight.shape());
                    byName.put(weight.name(), tensor);
                }
                weights.add(tensor);
            }
            float[] plain = decoder.call(manager, "inv_freq", config.rope().theta(), config.headDim())
                    .get(0)
                    .toFloatArray();
            invFreq = Tensors.of(manager, config.rope().scaled(plain), plain.length);
            dims = new long[] {
                config.numHiddenLayers(), config.numAttentionHeads(), config.numKeyValueHeads(), config.headDim()
            };
            none = new Lora(manager, config, List.of());
        } catch (IOException | RuntimeException e) {
            manager.close();
            throw e;
        }
    }

    /**
     * Loads a Hugging Face model directory (config.json, *.safetensors, tokenizer.json).
     *
     * @param device cpu, cuda, cuda:N or auto
     * @param dtype auto: the checkpoint's own; float32; bfloat16
     * @throws UnsupportedModelException if it is a model that is not run here
     * @throws InvalidArtifactException if a file is broken, or a weight is missing or of another shape
     */
    public static CausalLm load(Path directory, String device, String dtype) throws IOException {
        Checkpoint checkpoint = Checkpoint.open(directory);
        ModelConfig config = ModelConfig.of(checkpoint.config());
        ScalarType type =
                switch (dtype == null ? "auto" : dtype) {
                    case "auto" -> null;
                    case "float32" -> ScalarType.FLOAT32;
                    case "bfloat16" -> ScalarType.BFLOAT16;
                    default -> throw new IllegalArgumentException("dtype " + dtype + ": use auto, float32 or bfloat16");
                };
        Source source = (manager, name, shape) -> {
            if (!checkpoint.has(name)) {
                throw new InvalidArtifactException(
                        checkpoint.name() + ": tensor " + name + " is missing; config.json says that the model has it");
            }
            TensorInfo info = checkpoint.info(name);
            if (!Arrays.equals(info.shape(), shape)) {
                throw new InvalidArtifactException(checkpoint.fileOf(name) + ": tensor " + name + " has shape "
                        + Arrays.toString(info.shape()) + ", but config.json makes it " + Arrays.toString(shape));
            }
            ScalarType stored = scalarType(info);
            // float16 has no fast kernels on CPUs; its values fit float32.
            ScalarType computed = type != null ? type : stored == ScalarType.BFLOAT16 ? stored : ScalarType.FLOAT32;
            NDArray tensor = Tensors.of(manager, checkpoint.map(name), stored, shape);
            return stored == computed ? tensor : Tensors.to(manager, tensor, computed);
        };
        return new CausalLm(
                config, Tokenizer.load(directory), ChatTemplate.load(directory), Torch.device(device), source);
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
        return new CausalLm(
                ModelConfig.of(config),
                Tokenizer.load(tokenizerDirectory),
                ChatTemplate.load(tokenizerDirectory),
                Torch.device("cpu"),
                source);
    }

    private static ScalarType scalarType(TensorInfo info) {
        return switch (info.dtype()) {
            case F32 -> ScalarType.FLOAT32;
            case BF16 -> ScalarType.BFLOAT16;
            case F16 -> ScalarType.FLOAT16;
            default ->
                throw new UnsupportedModelException("tensor " + info.name() + " is " + info.dtype() + "; supported: "
                        + Dtype.F32 + ", " + Dtype.F16 + ", " + Dtype.BF16);
        };
    }

    public ModelConfig config() {
        return config;
    }

    public Tokenizer tokenizer() {
        return tokenizer;
    }

    public ChatTemplate chatTemplate() {
        return chatTemplate;
    }

    /** All weights by their names in the checkpoint; a tied head is the embedding and stands there once. */
    public Map<String, NDArray> weights() {
        return byName;
    }

    /** Full names of the modules that LoRA can adapt, layer by layer, with their shapes (out, in). */
    public Map<String, long[]> linearModules() {
        Map<String, long[]> modules = new LinkedHashMap<>();
        for (String name : Weights.linearModules(config)) {
            modules.put(name, byName.get(name + ".weight").getShape().getShape());
        }
        return modules;
    }

    /** A manager on this model's device, for the tensors of one step; the caller closes it. */
    public NDManager newManager() {
        return manager.newSubManager();
    }

    /** Loads a PEFT adapter under a name of the caller's choice. */
    public Lora loadAdapter(String name, Path directory) throws IOException {
        return addAdapter(name, PeftAdapter.open(directory).modules().values());
    }

    /** Puts LoRA modules on this model under a name of the caller's choice. */
    public Lora addAdapter(String name, Collection<LoraModule> modules) {
        Lora adapter = new Lora(manager, config, modules);
        adapters.put(name, adapter);
        return adapter;
    }

    private Lora adapter(String name) {
        Lora adapter = name == null ? none : adapters.get(name);
        if (adapter == null) {
            throw new IllegalArgumentException("no adapter called " + name + " is loaded");
        }
        return adapter;
    }

    /**
     * log p(ids[t] | ids[&lt;t]) for t &gt;= 1.
     *
     * @param ids at least one token
     * @param adapter a loaded adapter's name, or null for the model itself
     * @return (ids.length - 1) natural logarithms
     */
    public double[] logprobs(int[] ids, String adapter) {
        check(ids);
        if (ids.length == 1) {
            return new double[0];
        }
        Lora lora = adapter(adapter);
        try (NDManager step = newManager()) {
            Packed packed = Packed.of(step, List.of(ids));
            return decoder.call(
                            step,
                            "logprobs",
                            packed.ids,
                            packed.positions,
                            invFreq,
                            weights,
                            lora.a,
                            lora.b,
                            lora.scales,
                            dims,
                            config.rmsNormEps())
                    .get(0)
                    .toDoubleArray();
        }
    }

    /** The logits (vocab,) of the token that follows {@code ids}. */
    public float[] lastLogits(int[] ids, String adapter) {
        check(ids);
        Lora lora = adapter(adapter);
        try (NDManager step = newManager()) {
            Packed packed = Packed.of(step, List.of(ids));
            return decoder.call(
                            step,
                            "logits",
                            Tensors.of(step, new long[] {ids.length - 1}, 1),
                            packed.ids,
                            packed.positions,
                            invFreq,
                            weights,
                            lora.a,
                            lora.b,
                            lora.scales,
                            dims,
                            config.rmsNormEps(),
                            packed.lengths,
                            new long[] {0},
                            List.of())
                    .get(0)
                    .toFloatArray();
        }
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
        Lora lora = adapter(adapter);
        Packed packed = Packed.of(step, sequences);
        List<Long> rows = new ArrayList<>();
        List<Long> targets = new ArrayList<>();
        long begin = 0;
        for (int i = 0; i < sequences.size(); i++) {
            check(sequences.get(i));
            int[] label = labels.get(i);
            for (int t = 1; t < label.length; t++) {
                if (label[t] != -100) {
                    rows.add(begin + t - 1);
                    targets.add((long) label[t]);
                }
            }
            begin += label.length;
        }
        if (rows.isEmpty()) {
            throw new IllegalArgumentException("no token of the batch has a label, so there is no loss");
        }
        return decoder.callWithGrad(
                        step,
                        "loss",
                        Tensors.of(step, longs(rows), rows.size()),
                        Tensors.of(step, longs(targets), targets.size()),
                        packed.ids,
                        packed.positions,
                        invFreq,
                        weights,
                        lora.a,
                        lora.b,
                        lora.scales,
                        dims,
                        config.rmsNormEps(),
                        dropout,
                        packed.lengths)
                .get(0);
    }

    /**
     * Continues every prompt greedily. A sequence ends with an end token (kept), a stop string (kept), or
     * {@code maxNewTokens}; the tokens are the same whatever the batch size, up to rounding.
     *
     * @param adapter a loaded adapter's name, or null
     * @param done called with the number of finished prompts, or null
     * @return the new tokens of every prompt, in the prompts' order
     */
    public List<int[]> generate(List<int[]> prompts, GenerationOptions options, String adapter, IntConsumer done) {
        prompts.forEach(this::check);
        Lora lora = adapter(adapter);
        int[][] results = new int[prompts.size()][];
        Deque<Integer> waiting = new ArrayDeque<>();
        for (int i = 0; i < prompts.size(); i++) {
            waiting.add(i);
        }
        List<Running> running = new ArrayList<>();
        int finished = 0;
        try {
            while (!waiting.isEmpty() || !running.isEmpty()) {
                int tokens = running.size();
                while (!waiting.isEmpty()
                        && running.size() < options.batchSize()
                        && (tokens == running.size()
                                || tokens + prompts.get(waiting.peek()).length <= MAX_TOKENS_PER_STEP)) {
                    int next = waiting.poll();
                    tokens += prompts.get(next).length;
                    running.add(new Running(next, prompts.get(next), options.maxNewTokens()));
                }
                long[] said = step(running, lora);
                for (int i = running.size() - 1; i >= 0; i--) {
                    Running sequence = running.get(i);
                    sequence.add((int) said[i]);
                    if (sequence.isFinished(options)) {
                        results[sequence.index] = sequence.answer();
                        sequence.close();
                        running.remove(i);
                        finished++;
                        if (done != null) {
                            done.accept(finished);
                        }
                    }
                }
            }
        } finally {
            running.forEach(Running::close);
        }
        return Arrays.asList(results);
    }

    /** One pass over what every running sequence has not seen yet: a whole prompt, or its last token. */
    private long[] step(List<Running> running, Lora lora) {
        try (NDManager step = newManager()) {
            long[] lengths = running.stream().mapToLong(s -> s.unseen.length).toArray();
            long[] past = running.stream().mapToLong(s -> s.past).toArray();
            Packed packed = Packed.of(step, running.stream().map(s -> s.unseen).toList(), past);
            long[] rows = new long[lengths.length];
            long end = 0;
            for (int i = 0; i < rows.length; i++) {
                end += lengths[i];
                rows[i] = end - 1;
            }
            return decoder.call(
                            step,
                            "next",
                            Tensors.of(step, rows, rows.length),
                            packed.ids,
                            packed.positions,
                            invFreq,
                            weights,
                            lora.a,
                            lora.b,
                            lora.scales,
                            dims,
                            config.rmsNormEps(),
                            lengths,
                            past,
                            running.stream().map(s -> s.cache).toList())
                    .get(0)
                    .toLongArray();
        }
    }

    /** A sequence that is being continued, with the keys and values of the tokens it has seen. */
    private final class Running implements AutoCloseable {
        private final int index;
        private final NDManager owner = newManager();
        private final NDArray cache;
        private final List<Integer> answer = new ArrayList<>();
        private final int room;
        private int[] unseen;
        private int past;

        Running(int index, int[] prompt, int maxNewTokens) {
            this.index = index;
            this.unseen = prompt;
            this.room = Math.min(maxNewTokens, config.maxPositionEmbeddings() - prompt.length);
            long[] shape = {
                config.numHiddenLayers(), 2, config.numKeyValueHeads(), prompt.length + room, config.headDim()
            };
            this.cache = decoder.call(owner, "zeros", weights.get(0), shape).get(0);
        }

        void add(int token) {
            past += unseen.length;
            unseen = new int[] {token};
            answer.add(token);
        }

        boolean isFinished(GenerationOptions options) {
            int last = answer.get(answer.size() - 1);
            if (answer.size() >= room || Arrays.stream(tokenizer.eosTokenIds()).anyMatch(eos -> eos == last)) {
                return true;
            }
            if (options.stopStrings().isEmpty()) {
                return false;
            }
            String text = tokenizer.decode(answer(), false);
            return options.stopStrings().stream().anyMatch(text::contains);
        }

        int[] answer() {
            return answer.stream().mapToInt(Integer::intValue).toArray();
        }

        @Override
        public void close() {
            owner.close();
        }
    }

    /** Sequences one after another, without padding. */
    private record Packed(NDArray ids, NDArray positions, long[] lengths) {
        static Packed of(NDManager step, List<int[]> sequences) {
            return of(step, sequences, new long[sequences.size()]);
        }

        static Packed of(NDManager step, List<int[]> sequences, long[] past) {
            long[] lengths = sequences.stream().mapToLong(s -> s.length).toArray();
            int total = Math.toIntExact(Arrays.stream(lengths).sum());
            long[] ids = new long[total];
            long[] positions = new long[total];
            int at = 0;
            for (int i = 0; i < lengths.length; i++) {
                for (int t = 0; t < lengths[i]; t++) {
                    ids[at] = sequences.get(i)[t];
                    positions[at++] = past[i] + t;
                }
            }
            return new Packed(Tensors.of(step, ids, total), Tensors.of(step, positions, total), lengths);
        }
    }

    /** The embedding would read outside its memory for an id that the model does not have. */
    private void check(int[] ids) {
        if (ids.length == 0) {
            throw new IllegalArgumentException("the text has no tokens; give at least one");
        }
        if (ids.length >= config.maxPositionEmbeddings()) {
            throw new IllegalArgumentException("the text has " + ids.length + " tokens; the model's limit, "
                    + "max_position_embeddings, is " + config.maxPositionEmbeddings());
        }
        for (int id : ids) {
            if (id < 0 || id >= config.vocabSize()) {
                throw new IllegalArgumentException("token id " + id + " is outside the model's vocabulary of "
                        + config.vocabSize() + "; is the tokenizer this model's?");
            }
        }
    }

    private static long[] longs(List<Long> values) {
        return values.stream().mapToLong(Long::longValue).toArray();
    }

    @Override
    public void close() {
        decoder.close();
        manager.close();
    }
}
