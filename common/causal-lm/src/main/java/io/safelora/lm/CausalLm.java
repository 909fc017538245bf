package io.safelora.lm;

import ai.djl.Device;
import ai.djl.engine.EngineException;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.contract.InvalidInputException;
import io.safelora.torch.Tensors;
import io.safelora.torch.Torch;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;

/**
 * A causal language model as Hugging Face checkpoints hold it: text in, log-probabilities, text or gradients out.
 *
 * <p>It owns the weights (mapped from the checkpoint, not copied, where their type is the one that is computed in) and
 * the adapters on them. The arithmetic is in {@link Decoder}'s kernels; what is done with it in {@link Scorer}, {@link
 * Generator} and {@link TrainingPass}. Not thread safe.
 */
public final class CausalLm implements AutoCloseable {
    private final ModelFiles files;
    private final ModelConfig config;
    private final Path directory;
    private final NDManager manager;
    private final Decoder decoder;
    private final KvCache cache;
    private final Map<String, NDArray> weights = new LinkedHashMap<>();
    /** By the kernels' names, layer by layer, and last those outside. */
    private final List<Map<String, NDArray>> layers = new ArrayList<>();

    private final Map<String, Lora> adapters = new HashMap<>();

    /** Whether the weights may be changed. */
    private enum Use {
        READ,
        TRAIN
    }

    /** @param adapter whose tokenizer and chat template are the model's, where it has some; or null */
    private CausalLm(ModelConfig config, Path directory, Path adapter, Device device, WeightSource source)
            throws IOException {
        this.config = config;
        this.directory = directory;
        this.files = new ModelFiles(config, directory, adapter);
        this.manager = Torch.manager(device);
        try {
            decoder = new Decoder(device, config);
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
            outer.put("inv_freq", inverseFrequencies(config.rope()));
            decoder.load(manager, layers);
            cache = new KvCache(decoder, config, manager);
        } catch (RuntimeException e) {
            manager.close();
            files.close();
            throw e;
        }
    }

    private NDArray inverseFrequencies(Rope rope) {
        if (rope == null) {
            return Tensors.of(manager, new float[0], 0);
        }
        float[] plain =
                decoder.inverseFrequencies(manager, rope.theta(), rope.dim()).toFloatArray();
        return Tensors.of(manager, rope.scaled(plain), plain.length);
    }

    /**
     * Loads a Hugging Face model directory (config.json, *.safetensors, tokenizer.json).
     *
     * @param device cpu, cuda, cuda:N or auto
     * @param dtype auto: the checkpoint's own; float32; bfloat16
     * @throws UnsupportedModelException if it is a model that is not run here
     * @throws InvalidArtifactException if a file is broken, or a weight is missing, of another shape, or not the
     *     model's
     */
    public static CausalLm load(Path directory, String device, String dtype) throws IOException {
        return load(directory, null, device, computed(dtype), Use.READ);
    }

    /**
     * The same for one adapter, to train it further: the tokenizer and the chat template that lie beside the adapter
     * are the model's.
     *
     * @param adapter a PEFT folder, or null
     */
    public static CausalLm load(Path directory, Path adapter, String device, String dtype) throws IOException {
        return load(directory, adapter, device, computed(dtype), Use.READ);
    }

    /**
     * The same for a model whose {@link #weights} are to be trained: in float32, and in memory of its own, so that
     * nothing is ever written to the checkpoint.
     */
    public static CausalLm loadToTrain(Path directory, String device) throws IOException {
        return load(directory, null, device, Dtype.F32, Use.TRAIN);
    }

    private static CausalLm load(Path directory, Path adapter, String device, Dtype dtype, Use use) throws IOException {
        StoredWeights stored = new StoredWeights(Checkpoint.open(directory), dtype, use == Use.TRAIN);
        return new CausalLm(stored.config(), directory, adapter, device(device), stored);
    }

    /** What models compute in, by the name that a user gives; null: what the checkpoint asks for. */
    private static Dtype computed(String name) {
        if (name == null || name.equals("auto")) {
            return null;
        }
        return Dtype.of(name)
                .filter(dtype -> dtype == Dtype.F32 || dtype == Dtype.BF16)
                .orElseThrow(() -> new InvalidInputException("dtype " + name + ": use auto, float32 or bfloat16"));
    }

    /**
     * A model with random weights in float32: matrices normal with the deviation 0.02, norms one.
     *
     * @param config a config.json
     * @param tokenizerDirectory holds tokenizer.json and its companions
     */
    public static CausalLm create(JsonNode config, Path tokenizerDirectory, long seed) throws IOException {
        return new CausalLm(
                ModelConfig.of(config), tokenizerDirectory, null, Torch.device("cpu"), WeightSource.random(seed));
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

    /**
     * What of these came with a loaded adapter (null: with the one that the model was loaded for), for people; or null.
     */
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
     * Makes this model faster, at the price of a second copy of its linear weights: for models that are only run from
     * now on. Neither may {@link #weights} be changed afterwards, nor a {@link #trainingPass} run. Does nothing on a
     * GPU.
     */
    public CausalLm forInference() {
        if (!manager.getDevice().isGpu()) {
            try (NDManager step = newManager()) {
                decoder.pack(step);
            } catch (EngineException e) {
                // A CPU without oneDNN: the model runs as it is.
            }
        }
        return this;
    }

    /** A manager on this model's device, for the tensors of one step; the caller closes it. */
    public NDManager newManager() {
        return manager.newSubManager();
    }

    /**
     * Loads a PEFT adapter under a name of the caller's choice, with the tokenizer and the chat template that lie
     * beside it.
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
     * log p(ids[t] | ids[&lt;t]) for t &gt;= from, for many texts; what they begin with alike is computed once.
     *
     * @param done called with the number of finished texts, or null
     * @return per text (ids.length - from) natural logarithms
     */
    public List<double[]> score(List<Continuation> texts, IntConsumer done) {
        return new Scorer(this, texts).run(done);
    }

    /** The logits (vocab,) of the token that follows {@code ids}. */
    public float[] lastLogits(int[] ids, String adapter) {
        check(ids, adapter);
        try (NDManager step = newManager()) {
            Batch batch = Batch.of(List.of(ids), adapter);
            NDArray hidden = decoder.hidden(step, batch.on(decoder, step, 0));
            NDArray last = Tensors.of(step, batch.lastRows(), 1);
            return decoder.logits(step, hidden, last, batch.adapters()).toFloatArray();
        }
    }

    /**
     * Continues every text. A sequence ends with an end token (kept), a stop string (kept), or {@code maxNewTokens};
     * the tokens of the same texts do not depend on the batch size (in bfloat16, a shared prefix rounds
     * otherwise). Texts with different adapters go through the weights together.
     *
     * @param done called with the number of finished texts, or null
     * @return the new tokens of every text, in the texts' order
     * @throws InvalidInputException if a text cannot fit into the model or the memory budget
     */
    public List<int[]> generate(List<GenerationRequest> requests, GenerationOptions options, IntConsumer done) {
        try (Generator generator = new Generator(this, requests, options)) {
            return generator.run(done);
        }
    }

    /** The same, all with one adapter. */
    public List<int[]> generate(List<int[]> prompts, GenerationOptions options, String adapter, IntConsumer done) {
        return generate(
                prompts.stream().map(p -> new GenerationRequest(p, adapter)).toList(), options, done);
    }

    /** Forward and backward passes of a loaded adapter; null: of the model's weights. */
    public TrainingPass trainingPass(String adapter) {
        checkAdapter(adapter);
        return new TrainingPass(this, adapter, adapter == null ? null : adapters.get(adapter));
    }

    Decoder decoder() {
        return decoder;
    }

    KvCache cache() {
        return cache;
    }

    /** The embedding would read outside its memory for an id that the model does not have. */
    void check(int[] ids, String adapter) {
        checkAdapter(adapter);
        int vocab = adapter == null ? config.vocabSize() : adapters.get(adapter).vocabSize();
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

    @Override
    public void close() {
        if (!manager.isOpen()) {
            return;
        }
        try (NDManager scratch = newManager()) {
            decoder.unload(scratch);
        }
        decoder.close();
        manager.close();
        files.close();
        adapters.values().forEach(Lora::closeTexts);
    }
}
