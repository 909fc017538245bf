package io.safelora.artifacts.checkpoint;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.Folder;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.LocalFolder;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.Floats;
import io.safelora.artifacts.safetensors.SafetensorsFile;
import io.safelora.artifacts.safetensors.SafetensorsWriter;
import io.safelora.artifacts.safetensors.TensorData;
import io.safelora.artifacts.safetensors.TensorInfo;
import io.safelora.contract.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * A LoRA adapter in PEFT's format: adapter_config.json and adapter_model.safetensors, and beside them perhaps the
 * tokenizer that it was trained with.
 *
 * <p>Names are those of transformers' causal language model, as PEFT has them. What the file holds and PEFT would not
 * read is refused, and so is what no module of the model takes; see {@link #check}.
 */
public final class PeftAdapter {
    public static final String CONFIG = "adapter_config.json";
    public static final String WEIGHTS = "adapter_model.safetensors";
    private static final String PREFIX = "base_model.model.";
    private static final String A = ".lora_A.weight";
    private static final String B = ".lora_B.weight";
    private static final String B_BIAS = ".lora_B.bias";
    private static final String MAGNITUDE = ".lora_magnitude_vector";
    private static final String EMBEDDING_A = ".lora_embedding_A";
    private static final String EMBEDDING_B = ".lora_embedding_B";
    private static final String TOKENS = ".token_adapter.trainable_tokens_delta";
    private static final String BASE = ".base_layer.";
    private static final List<String> SUFFIXES = List.of(A, B, B_BIAS, MAGNITUDE, EMBEDDING_A, EMBEDDING_B, TOKENS);

    /** The files of a tokenizer and its chat template, which may lie beside an adapter. */
    public static final Set<String> TEXTS = Set.of(
            "added_tokens.json",
            "chat_template.jinja",
            "chat_template.json",
            "merges.txt",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer.model",
            "tokenizer_config.json",
            "vocab.json",
            "vocab.txt");

    private static final int MAX_TEXT = 1 << 28;

    /**
     * The update of one module: its weight (out, in) becomes {@code W + scale * B A}. An embedding (vocab, hidden)
     * becomes {@code W + scale * (B A)^T}: out is hidden, and in is vocab.
     *
     * @param r rank
     * @param a row by row, shape (r, in)
     * @param b row by row, shape (out, r)
     * @param scale lora_alpha / r, or as the configuration has it
     * @param dtype the type in which A and B are stored
     */
    public record LoraModule(String name, int r, int in, int out, float[] a, float[] b, double scale, Dtype dtype) {}

    /**
     * A weight that the adapter has in the place of the model's.
     *
     * @param key its name in the file after "base_model.model."
     * @param trained whether it came with the training (modules_to_save, bias); else it is the base model's, saved
     *     along
     */
    public record Weight(String key, TensorData data, boolean trained) {}

    /**
     * Rows of an embedding that the adapter has in the place of the model's.
     *
     * @param ids the tokens
     * @param rows row by row, shape (ids, width)
     */
    public record Tokens(int[] ids, float[] rows, int width) {}

    private final LoraConfig config;
    private final SortedMap<String, LoraModule> modules = new TreeMap<>();
    private final SortedMap<String, LoraModule> embeddings = new TreeMap<>();
    private final SortedMap<String, float[]> biases = new TreeMap<>();
    private final SortedMap<String, float[]> magnitudes = new TreeMap<>();
    private final SortedMap<String, Weight> weights = new TreeMap<>();
    private final SortedMap<String, Tokens> tokens = new TreeMap<>();
    private final Map<String, TensorData> tensors;
    private final Map<String, String> metadata;
    private final Folder folder;

    private PeftAdapter(
            LoraConfig config, Map<String, TensorData> tensors, Map<String, String> metadata, Folder folder) {
        this.config = config;
        this.tensors = tensors;
        this.metadata = metadata;
        this.folder = folder;
    }

    /**
     * Reads an adapter folder.
     *
     * @throws InvalidArtifactException if a file is missing or broken, tensors do not fit each other or the
     *     configuration, a number is not finite, or the configuration has an option that is not supported
     */
    public static PeftAdapter open(Path directory) throws IOException {
        return open(new LocalFolder(directory));
    }

    /** Whether a folder says that it holds an adapter, and no checkpoint. */
    public static boolean isIn(Path directory) {
        return Files.exists(directory.resolve(CONFIG));
    }

    /** Reads an adapter folder wherever it lies. */
    public static PeftAdapter open(Folder folder) throws IOException {
        var files = folder.files();
        if (!files.containsKey(CONFIG) || !files.containsKey(WEIGHTS)) {
            throw new InvalidArtifactException(
                    folder.name() + ": has no " + (files.containsKey(CONFIG) ? WEIGHTS : CONFIG)
                            + (files.containsKey("adapter_model.bin")
                                    ? "; adapter_model.bin is a pickle, which can run code when it is read "
                                            + "and is refused: save the adapter as safetensors"
                                    : "; give the directory of a PEFT adapter"));
        }
        try {
            return read(folder);
        } catch (InvalidArtifactException e) {
            // The configuration does not know where it lies.
            throw e.getMessage().startsWith(CONFIG)
                    ? new InvalidArtifactException(folder.name() + "/" + e.getMessage(), e)
                    : e;
        }
    }

    private static PeftAdapter read(Folder folder) throws IOException {
        LoraConfig config = new LoraConfig((ObjectNode) Checkpoint.json(folder, CONFIG));
        SafetensorsFile file = SafetensorsFile.open(folder.open(WEIGHTS));
        Map<String, TensorData> tensors = new LinkedHashMap<>();
        PeftAdapter adapter = new PeftAdapter(config, tensors, file.metadata(), folder);
        for (TensorInfo info : file.tensors().values()) {
            String key = info.name();
            tensors.put(key, new TensorData(info.dtype(), info.shape(), () -> file.map(key)));
            if (!info.dtype().isFloat()) {
                throw new InvalidArtifactException(file.name() + ": tensor " + SafetensorsFile.quoted(key)
                        + " has type " + info.dtype() + ", not a floating-point type");
            }
        }
        for (String key : tensors.keySet()) {
            if (!key.startsWith(PREFIX)) {
                throw unread(file, key, "every name begins with " + PREFIX);
            }
            String name = key.substring(PREFIX.length());
            String suffix = SUFFIXES.stream().filter(name::endsWith).findFirst().orElse(null);
            if (suffix == null) {
                adapter.readWeight(file, key, name);
                continue;
            }
            String module = name.substring(0, name.length() - suffix.length());
            switch (suffix) {
                case A -> adapter.modules.put(module, adapter.lora(file, module, A, B));
                case EMBEDDING_A ->
                    adapter.embeddings.put(module, adapter.lora(file, module, EMBEDDING_A, EMBEDDING_B));
                case B -> adapter.needs(file, key, module + A);
                case EMBEDDING_B -> adapter.needs(file, key, module + EMBEDDING_A);
                case B_BIAS -> adapter.biases.put(module, adapter.vector(file, key, module + B, config.loraBias()));
                case MAGNITUDE -> {
                    String b = tensors.containsKey(PREFIX + module + EMBEDDING_B) ? EMBEDDING_B : B;
                    adapter.magnitudes.put(module, adapter.vector(file, key, module + b, config.useDora()));
                }
                default -> adapter.tokens.put(module, adapter.readTokens(file, key, module));
            }
        }
        adapter.complete(file);
        return adapter;
    }

    private LoraModule lora(SafetensorsFile file, String name, String suffixA, String suffixB) {
        if (!config.adapts(name) && !config.ensureWeightTying()) {
            throw unread(
                    file,
                    PREFIX + name + suffixA,
                    CONFIG + " puts no LoRA on " + name + " (target_modules, exclude_modules, layers_to_transform)");
        }
        needs(file, PREFIX + name + suffixA, name + suffixB);
        TensorInfo a = file.info(PREFIX + name + suffixA);
        TensorInfo b = file.info(PREFIX + name + suffixB);
        if (a.shape().length != 2
                || b.shape().length != 2
                || a.shape()[0] != b.shape()[1]
                || a.elements() == 0
                || b.elements() == 0) {
            throw new InvalidArtifactException(file.name() + ": module " + name + " has " + suffixA.substring(1)
                    + " of shape " + Arrays.toString(a.shape()) + " and " + suffixB.substring(1) + " of shape "
                    + Arrays.toString(b.shape()) + "; (r, in) and (out, r) are needed");
        }
        if (a.shape()[0] != config.rank(name)) {
            throw new InvalidArtifactException(file.name() + ": module " + name + " has rank " + a.shape()[0] + ", but "
                    + CONFIG + " says r = " + config.rank(name));
        }
        return new LoraModule(
                name,
                (int) a.shape()[0],
                Math.toIntExact(a.shape()[1]),
                Math.toIntExact(b.shape()[0]),
                finite(file, a),
                finite(file, b),
                config.scale(name),
                b.dtype());
    }

    /** A vector as long as the rows of B. */
    private float[] vector(SafetensorsFile file, String key, String b, boolean configured) {
        needs(file, key, b);
        if (!configured) {
            throw unread(file, key, CONFIG + " does not ask for it (use_dora, lora_bias)");
        }
        TensorInfo info = file.info(key);
        long out = file.info(PREFIX + b).shape()[0];
        if (!Arrays.equals(info.shape(), new long[] {out})) {
            throw new InvalidArtifactException(file.name() + ": tensor " + key + " has shape "
                    + Arrays.toString(info.shape()) + ", but " + PREFIX + b + " has " + out + " rows");
        }
        return finite(file, info);
    }

    private Tokens readTokens(SafetensorsFile file, String key, String module) {
        TensorInfo info = file.info(key);
        int[] ids = config.tokens(module, ModelTensors.isEmbedding(module));
        if (ids == null) {
            throw unread(file, key, "trainable_token_indices of " + CONFIG + " does not name " + module);
        }
        if (info.shape().length != 2 || info.shape()[0] != ids.length || info.elements() == 0) {
            throw new InvalidArtifactException(file.name() + ": tensor " + key + " has shape "
                    + Arrays.toString(info.shape()) + ", but trainable_token_indices has " + ids.length + " tokens");
        }
        return new Tokens(ids, finite(file, info), Math.toIntExact(info.shape()[1]));
    }

    private void readWeight(SafetensorsFile file, String key, String name) {
        int base = name.lastIndexOf(BASE);
        String module = base >= 0 ? name.substring(0, base) : name.substring(0, Math.max(0, name.lastIndexOf('.')));
        String part = name.substring(name.lastIndexOf('.') + 1);
        boolean adapted =
                tensors.containsKey(PREFIX + module + A) || tensors.containsKey(PREFIX + module + EMBEDDING_A);
        if (!part.equals("weight") && !part.equals("bias")
                || base >= 0 && name.length() != base + BASE.length() + part.length()) {
            throw unread(file, key, "it is neither part of LoRA nor a weight or bias of a module");
        }
        if (base >= 0 != adapted) {
            throw unread(
                    file,
                    key,
                    adapted
                            ? "the module has LoRA, and its own weights are called " + module + BASE + part
                            : "the module has no LoRA");
        }
        boolean trained = config.saves(module)
                || part.equals("bias")
                        && (config.bias().equals("all") || config.bias().equals("lora_only") && adapted);
        weights.put(module + "." + part, new Weight(name, tensors.get(key), trained));
    }

    /** What the configuration says must be in the file, is. */
    private void complete(SafetensorsFile file) {
        if (modules.isEmpty() && embeddings.isEmpty()) {
            throw new InvalidArtifactException(file.name() + ": has no tensor lora_A; there must be one at least");
        }
        for (var loras : List.of(modules, embeddings)) {
            for (String module : loras.keySet()) {
                if (config.useDora() && !magnitudes.containsKey(module)) {
                    throw missing(file, module + MAGNITUDE, "use_dora");
                }
                if (config.loraBias() && !biases.containsKey(module)) {
                    throw missing(file, module + B_BIAS, "lora_bias");
                }
            }
        }
    }

    private void needs(SafetensorsFile file, String key, String other) {
        if (!tensors.containsKey(PREFIX + other)) {
            throw new InvalidArtifactException(file.name() + ": has tensor " + SafetensorsFile.quoted(key)
                    + ", but not " + SafetensorsFile.quoted(PREFIX + other) + "; save the adapter again");
        }
    }

    private static InvalidArtifactException missing(SafetensorsFile file, String name, String option) {
        return new InvalidArtifactException(file.name() + ": has no tensor " + PREFIX + name + ", but " + option
                + " of " + CONFIG + " asks for it; save the adapter again");
    }

    private static InvalidArtifactException unread(SafetensorsFile file, String key, String why) {
        return new InvalidArtifactException(file.name() + ": tensor " + SafetensorsFile.quoted(key)
                + " is one that PEFT would not read: " + why + "; save the adapter again with PEFT's save_pretrained");
    }

    private static float[] finite(SafetensorsFile file, TensorInfo info) {
        float[] values = Floats.decode(file.map(info.name()), info.dtype());
        for (float value : values) {
            if (!Float.isFinite(value)) {
                throw new InvalidArtifactException(file.name() + ": tensor " + info.name() + " holds " + value
                        + "; the training that wrote it diverged");
            }
        }
        return values;
    }

    /**
     * Refuses an adapter that is not made for a model, as PEFT does or as PEFT passes over it: every command asks this
     * first.
     *
     * @throws InvalidArtifactException naming the module or tensor
     */
    public void check(ModelTensors model) {
        String what = folder == null ? "adapter" : folder.name();
        modules.values().forEach(m -> {
            long[] shape = shape(model, what, m.name());
            boolean transposed = model.transposed() && !ModelTensors.isHead(m.name());
            if (shape.length != 2 || shape[transposed ? 1 : 0] != m.out() || shape[transposed ? 0 : 1] != m.in()) {
                throw unfit(what, "module " + m.name() + " is " + m.out() + " x " + m.in(), model, shape);
            }
            if (ModelTensors.isEmbedding(m.name())) {
                throw new InvalidArtifactException(what + ": module " + m.name()
                        + " is an embedding, whose LoRA is called" + EMBEDDING_A.replace('.', ' ')
                        + "; save the adapter again with PEFT's save_pretrained");
            }
        });
        embeddings.values().forEach(m -> {
            long[] shape = shape(model, what, m.name());
            if (!ModelTensors.isEmbedding(m.name())) {
                throw unknown(what, "module " + m.name(), model);
            }
            if (shape.length != 2 || shape[0] != m.in() || shape[1] != m.out()) {
                throw unfit(what, "embedding " + m.name() + " is " + m.in() + " x " + m.out(), model, shape);
            }
        });
        tokens.forEach((name, t) -> {
            long[] shape = shape(model, what, name);
            if (!ModelTensors.isEmbedding(name) && !ModelTensors.isHead(name)) {
                throw unknown(what, "trainable_token_indices: module " + name, model);
            }
            for (int id : t.ids()) {
                if (shape.length != 2 || shape[1] != t.width() || id >= shape[0]) {
                    throw unfit(what, "token " + id + " of " + name + " is " + t.width() + " wide", model, shape);
                }
            }
        });
        weights.forEach((name, w) -> {
            long[] shape = model.shape(name);
            if (shape == null) {
                throw unknown(what, "tensor " + w.key(), model);
            }
            long[] own = w.data().shape();
            boolean words = ModelTensors.isHead(module(name)) || ModelTensors.isEmbedding(module(name));
            // The vocabulary may be another one.
            if (!Arrays.equals(shape, own)
                    && !(words && own.length == 2 && shape.length == 2 && own[0] > 0 && own[1] == shape[1])) {
                throw unfit(what, "tensor " + w.key() + " is " + Arrays.toString(own), model, shape);
            }
        });
        for (String name : model.shapes().keySet()) {
            if (config.saves(module(name)) && !weights.containsKey(name)) {
                throw new InvalidArtifactException(what + ": has no tensor " + PREFIX + name
                        + ", but modules_to_save of " + CONFIG + " asks for it; save the adapter again");
            }
        }
    }

    /** The weight of a module, the adapter's own or else the model's. */
    private long[] shape(ModelTensors model, String what, String module) {
        Weight own = weights.get(module + ".weight");
        long[] shape = own != null ? own.data().shape() : model.shape(module + ".weight");
        if (shape == null) {
            throw unknown(what, "module " + module, model);
        }
        return shape;
    }

    private static String module(String tensor) {
        return tensor.substring(0, Math.max(0, tensor.lastIndexOf('.')));
    }

    private static InvalidArtifactException unknown(String what, String part, ModelTensors model) {
        return new InvalidArtifactException(
                what + ": " + part + " is not part of " + model.name() + "; is the adapter made for this model?");
    }

    private static InvalidArtifactException unfit(String what, String part, ModelTensors model, long[] shape) {
        return new InvalidArtifactException(what + ": " + part + ", but that of " + model.name() + " is "
                + Arrays.toString(shape) + (model.transposed() ? ", stored (in, out)" : "")
                + "; is the adapter made for this model?");
    }

    /** An adapter made of {@code modules}, stored in each module's {@link LoraModule#dtype()}. */
    public static PeftAdapter of(LoraConfig config, Iterable<LoraModule> modules) {
        PeftAdapter adapter = new PeftAdapter(config, new LinkedHashMap<>(), Map.of("format", "pt"), null);
        for (LoraModule m : modules) {
            adapter.modules.put(m.name(), m);
            adapter.tensors.put(PREFIX + m.name() + A, a(m));
            adapter.tensors.put(PREFIX + m.name() + B, b(m));
        }
        return adapter;
    }

    private static TensorData a(LoraModule m) {
        return TensorData.of(m.dtype(), new long[] {m.r(), m.in()}, m.a());
    }

    private static TensorData b(LoraModule m) {
        return TensorData.of(m.dtype(), new long[] {m.out(), m.r()}, m.b());
    }

    /**
     * This adapter with other updates for some modules; everything else stays bit for bit, and so does a matrix that is
     * the same array as before. Where ranks change, the configuration says so, and scales stay.
     *
     * @param changed by module name
     */
    public PeftAdapter with(Map<String, LoraModule> changed) {
        boolean sameRanks =
                changed.values().stream().allMatch(m -> modules.get(m.name()).r() == m.r());
        SortedMap<String, LoraModule> all = new TreeMap<>(modules);
        Map<String, TensorData> data = new LinkedHashMap<>(tensors);
        changed.forEach((name, m) -> {
            LoraModule before = all.put(name, m);
            if (m.a() != before.a()) {
                data.put(PREFIX + name + A, a(m));
            }
            if (m.b() != before.b()) {
                data.put(PREFIX + name + B, b(m));
            }
        });
        List<LoraModule> ranked = new ArrayList<>(all.values());
        ranked.addAll(embeddings.values());
        PeftAdapter result = new PeftAdapter(sameRanks ? config : config.withRanks(ranked), data, metadata, folder);
        result.modules.putAll(all);
        result.embeddings.putAll(embeddings);
        result.biases.putAll(biases);
        result.magnitudes.putAll(magnitudes);
        result.weights.putAll(weights);
        result.tokens.putAll(tokens);
        return result;
    }

    /**
     * Writes this adapter with other values for some tensors, in float32; everything else bit for bit.
     *
     * @param values by the names that the tensors have in the file after "base_model.model."
     */
    public void write(Path directory, Map<String, float[]> values) throws IOException {
        Map<String, TensorData> data = new LinkedHashMap<>(tensors);
        values.forEach((name, value) ->
                data.computeIfPresent(PREFIX + name, (key, before) -> TensorData.of(Dtype.F32, before.shape(), value)));
        Files.createDirectories(directory);
        SafetensorsWriter.write(directory.resolve(WEIGHTS), data, metadata);
        Files.write(directory.resolve(CONFIG), Json.pretty(config.json()));
        for (String text : texts()) {
            Files.write(directory.resolve(text), folder.read(text, MAX_TEXT));
        }
    }

    /**
     * Writes adapter_config.json and adapter_model.safetensors into {@code directory}, which PEFT loads, and the
     * tokenizer that lay beside them.
     */
    public void write(Path directory) throws IOException {
        write(directory, Map.of());
    }

    /** The tokenizer's files beside the adapter, by name. */
    public List<String> texts() throws IOException {
        return folder == null
                ? List.of()
                : folder.files().keySet().stream().filter(TEXTS::contains).toList();
    }

    public LoraConfig config() {
        return config;
    }

    /**
     * The adapted linear modules by full name ({@code model.layers.7.self_attn.q_proj}), the head among them, sorted.
     */
    public SortedMap<String, LoraModule> modules() {
        return Collections.unmodifiableSortedMap(modules);
    }

    /** The adapted embeddings by full name. */
    public SortedMap<String, LoraModule> embeddings() {
        return Collections.unmodifiableSortedMap(embeddings);
    }

    /** The biases (out,) of B by the module's full name: the module's output grows by scale times it. */
    public SortedMap<String, float[]> biases() {
        return Collections.unmodifiableSortedMap(biases);
    }

    /** By the module's full name DoRA's magnitudes (out,), the norms that the rows of W + scale B A are given. */
    public SortedMap<String, float[]> magnitudes() {
        return Collections.unmodifiableSortedMap(magnitudes);
    }

    /** Weights in the place of the model's, by the names that they have there. */
    public SortedMap<String, Weight> weights() {
        return Collections.unmodifiableSortedMap(weights);
    }

    /** Rows of embeddings in the place of the model's, by the module's full name. */
    public SortedMap<String, Tokens> tokens() {
        return Collections.unmodifiableSortedMap(tokens);
    }

    /**
     * The weight in the place of one of the model's. Head and embedding that are tied are one tensor, which PEFT fills
     * by either name, the head's last; but modules_to_save gives each its own.
     *
     * @param tied the name of the tensor that it is tied to, or null
     * @return null if there is none
     */
    public Weight weight(String tensor, String tied) {
        Weight own = weights.get(tensor);
        if (tied == null || config.saves(module(tensor))) {
            return own;
        }
        Weight other = config.saves(module(tied)) ? null : weights.get(tied);
        Weight first = ModelTensors.isHead(module(tensor)) ? own : other;
        Weight second = ModelTensors.isHead(module(tensor)) ? other : own;
        return first != null ? first : second;
    }

    /**
     * The rows in the place of a module's. A tied head has the embedding's, unless it has its own.
     *
     * @param tied the module that it is tied to, or null
     * @return null if there are none
     */
    public Tokens tokens(String module, String tied) {
        Tokens own = tokens.get(module);
        return own == null && tied != null && ModelTensors.isHead(module) ? tokens.get(tied) : own;
    }
}
