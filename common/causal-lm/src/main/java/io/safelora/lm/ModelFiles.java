package io.safelora.lm;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.ModelTensors;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.lm.GenerationOptions.Sampling;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What the files of a model say but for its weights: enough to encode texts, to render conversations, and to know what
 * cannot be run, in a moment and a few megabytes.
 */
public final class ModelFiles implements AutoCloseable {
    private final ModelConfig config;
    private final GenerationConfig generationConfig;
    private final Texts texts;

    /**
     * @param directory where the tokenizer's files, the chat template and generation_config.json are
     * @param adapter where an adapter lies whose tokenizer and chat template come first, or null
     */
    ModelFiles(ModelConfig config, Path directory, Path adapter) throws IOException {
        this.config = config;
        generationConfig = GenerationConfig.of(Tokenizer.read(directory, "generation_config.json"));
        Texts beside = adapter == null ? null : Texts.beside(adapter, directory);
        texts = beside != null ? beside : Texts.of(directory);
    }

    private ModelFiles(ModelConfig config, GenerationConfig generationConfig, Texts texts) {
        this.config = config;
        this.generationConfig = generationConfig;
        this.texts = texts;
    }

    /** The same with other texts, which somebody else closes. */
    ModelFiles with(Texts others) {
        return others == texts ? this : new ModelFiles(config, generationConfig, others);
    }

    /**
     * Opens a model's files, and compares the headers of its weights with what config.json says.
     *
     * @param checkpoint the model, wherever it lies
     * @param texts a folder of this machine with the model's small files
     * @throws UnsupportedModelException if it is a model that is not run here
     * @throws InvalidArtifactException if a file is broken, or a weight is missing, of another shape, or not the
     *     model's
     */
    public static ModelFiles open(Checkpoint checkpoint, Path texts) throws IOException {
        StoredWeights weights = new StoredWeights(checkpoint, null, false);
        Weights.of(weights.config()).forEach(weight -> weights.info(weight.name(), weight.shape()));
        return new ModelFiles(weights.config(), texts, null);
    }

    public ModelConfig config() {
        return config;
    }

    public Tokenizer tokenizer() {
        return texts.tokenizer();
    }

    public ChatTemplate chatTemplate() {
        return texts.chatTemplate();
    }

    Texts texts() {
        return texts;
    }

    GenerationConfig generationConfig() {
        return generationConfig;
    }

    /**
     * How tokens are drawn: as given, and what is null as generation_config.json says, else as transformers does
     * (temperature 1, top_k 50, top_p 1, min_p 0).
     */
    public Sampling sampling(Double temperature, Integer topK, Double topP, Double minP, long seed) {
        return generationConfig.sampling(temperature, topK, topP, minP, seed);
    }

    /**
     * Refuses what generation_config.json asks for and is not run here.
     *
     * @param draws whether tokens are drawn; else the likeliest is taken
     * @throws UnsupportedModelException naming the option
     */
    public void checkGeneration(boolean draws) {
        generationConfig.check(draws);
    }

    /** Full names of the modules that LoRA can adapt, layer by layer, with their shapes (out, in). */
    public Map<String, long[]> linearModules() {
        Map<String, long[]> modules = new LinkedHashMap<>();
        Weights.linears(config).forEach((name, linear) -> modules.put(name, new long[] {linear.out(), linear.in()}));
        return modules;
    }

    /**
     * Refuses an adapter that is not made for this model.
     *
     * @throws InvalidArtifactException naming the module or tensor
     */
    public void check(PeftAdapter adapter) {
        adapter.check(modelTensors("the model", config));
    }

    /**
     * What adapters can be made for: the model's tensors by their full names.
     *
     * @param model what messages call it
     */
    static ModelTensors modelTensors(String model, ModelConfig config) {
        Map<String, long[]> shapes = new HashMap<>();
        Weights.byModule(config).forEach((name, weight) -> shapes.put(name, weight.shape()));
        return new ModelTensors(
                model, shapes, Family.ALL.get(config.modelType()).has("transposed"));
    }

    @Override
    public void close() {
        texts.close();
    }
}
