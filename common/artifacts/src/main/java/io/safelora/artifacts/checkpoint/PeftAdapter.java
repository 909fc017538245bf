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
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/** A LoRA adapter in PEFT's format: adapter_config.json and adapter_model.safetensors. */
public final class PeftAdapter {
    public static final String CONFIG = "adapter_config.json";
    public static final String WEIGHTS = "adapter_model.safetensors";
    private static final String PREFIX = "base_model.model.";
    private static final String A_SUFFIX = ".lora_A.weight";
    private static final String B_SUFFIX = ".lora_B.weight";

    /**
     * The update of one module: its weight (out, in) becomes {@code W + scale * B A}.
     *
     * @param r rank
     * @param a row by row, shape (r, in)
     * @param b row by row, shape (out, r)
     * @param scale lora_alpha / r, or as the configuration has it
     * @param dtype the type in which A and B are stored
     */
    public record LoraModule(String name, int r, int in, int out, float[] a, float[] b, double scale, Dtype dtype) {}

    private final LoraConfig config;
    private final SortedMap<String, LoraModule> modules;
    private final Map<String, TensorData> tensors;
    private final Map<String, String> metadata;

    private PeftAdapter(
            LoraConfig config,
            SortedMap<String, LoraModule> modules,
            Map<String, TensorData> tensors,
            Map<String, String> metadata) {
        this.config = config;
        this.modules = modules;
        this.tensors = tensors;
        this.metadata = metadata;
    }

    /**
     * Reads an adapter folder.
     *
     * @throws InvalidArtifactException if a file is missing or broken, A and B do not fit each other or the configuration, a
     *     number is not finite, or the configuration has an option that is not supported
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
                                    ? "; adapter_model.bin is a pickle, which can run code when it is read and is refused: save the adapter as safetensors"
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
        SortedMap<String, LoraModule> modules = new TreeMap<>();
        Map<String, TensorData> tensors = new LinkedHashMap<>();
        for (TensorInfo info : file.tensors().values()) {
            String key = info.name();
            tensors.put(key, new TensorData(info.dtype(), info.shape(), () -> file.map(key)));
            if (key.startsWith(PREFIX) && key.endsWith(A_SUFFIX)) {
                String name = key.substring(PREFIX.length(), key.length() - A_SUFFIX.length());
                modules.put(name, module(file, config, name));
            } else if (!key.startsWith(PREFIX) || !key.endsWith(B_SUFFIX)) {
                throw new InvalidArtifactException(
                        file.name() + ": tensor " + key + " is neither " + PREFIX + "<module>" + A_SUFFIX + " nor "
                                + PREFIX + "<module>" + B_SUFFIX + "; only LoRA of linear modules is supported");
            }
        }
        if (modules.isEmpty() || tensors.size() != 2 * modules.size()) {
            throw new InvalidArtifactException(file.name() + ": has " + modules.size() + " tensors lora_A, but "
                    + (tensors.size() - modules.size())
                    + " tensors lora_B; every module needs one of each, and there must be one at least");
        }
        return new PeftAdapter(config, modules, tensors, file.metadata());
    }

    private static LoraModule module(SafetensorsFile file, LoraConfig config, String name) {
        TensorInfo a = file.info(PREFIX + name + A_SUFFIX);
        TensorInfo b = file.info(PREFIX + name + B_SUFFIX);
        if (a.shape().length != 2
                || b.shape().length != 2
                || a.shape()[0] != b.shape()[1]
                || a.elements() == 0
                || b.elements() == 0) {
            throw new InvalidArtifactException(file.name() + ": module " + name + " has lora_A of shape "
                    + Arrays.toString(a.shape()) + " and lora_B of shape " + Arrays.toString(b.shape())
                    + "; (r, in) and (out, r) are needed");
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

    private static float[] finite(SafetensorsFile file, TensorInfo info) {
        if (!info.dtype().isFloat()) {
            throw new InvalidArtifactException(file.name() + ": tensor " + info.name() + " has type " + info.dtype()
                    + ", not a floating-point type");
        }
        float[] values = Floats.decode(file.map(info.name()), info.dtype());
        for (float value : values) {
            if (!Float.isFinite(value)) {
                throw new InvalidArtifactException(file.name() + ": tensor " + info.name() + " holds " + value
                        + "; the training that wrote it diverged");
            }
        }
        return values;
    }

    /** An adapter made of {@code modules}, stored in each module's {@link LoraModule#dtype()}. */
    public static PeftAdapter of(LoraConfig config, Iterable<LoraModule> modules) {
        SortedMap<String, LoraModule> byName = new TreeMap<>();
        Map<String, TensorData> tensors = new LinkedHashMap<>();
        for (LoraModule m : modules) {
            byName.put(m.name(), m);
            tensors.put(PREFIX + m.name() + A_SUFFIX, TensorData.of(m.dtype(), new long[] {m.r(), m.in()}, m.a()));
            tensors.put(PREFIX + m.name() + B_SUFFIX, TensorData.of(m.dtype(), new long[] {m.out(), m.r()}, m.b()));
        }
        return new PeftAdapter(config, byName, tensors, Map.of("format", "pt"));
    }

    /**
     * This adapter with other updates for some modules; everything else stays bit for bit, and so does a matrix that is the
     * same array as before. Where ranks change, the configuration says so, and scales stay.
     *
     * @param changed by module name
     */
    public PeftAdapter with(Map<String, LoraModule> changed) {
        SortedMap<String, LoraModule> all = new TreeMap<>(modules);
        Map<String, TensorData> data = new LinkedHashMap<>(tensors);
        changed.forEach((name, m) -> {
            LoraModule before = all.put(name, m);
            if (m.a() != before.a()) {
                data.put(PREFIX + name + A_SUFFIX, TensorData.of(m.dtype(), new long[] {m.r(), m.in()}, m.a()));
            }
            if (m.b() != before.b()) {
                data.put(PREFIX + name + B_SUFFIX, TensorData.of(m.dtype(), new long[] {m.out(), m.r()}, m.b()));
            }
        });
        boolean sameRanks =
                changed.values().stream().allMatch(m -> modules.get(m.name()).r() == m.r());
        return new PeftAdapter(sameRanks ? config : config.withRanks(all.values()), all, data, metadata);
    }

    public LoraConfig config() {
        return config;
    }

    /** The adapted modules by full name ({@code model.layers.7.self_attn.q_proj}), sorted. */
    public SortedMap<String, LoraModule> modules() {
        return Collections.unmodifiableSortedMap(modules);
    }

    /** Writes adapter_config.json and adapter_model.safetensors into {@code directory}, which PEFT loads. */
    public void write(Path directory) throws IOException {
        Files.createDirectories(directory);
        SafetensorsWriter.write(directory.resolve(WEIGHTS), tensors, metadata);
        Files.write(directory.resolve(CONFIG), Json.pretty(config.json()));
    }
}
