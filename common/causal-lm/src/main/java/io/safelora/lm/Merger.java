package io.safelora.lm;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.ModelTensors;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.artifacts.checkpoint.PeftAdapter.Tokens;
import io.safelora.artifacts.checkpoint.PeftAdapter.Weight;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.SafetensorsWriter;
import io.safelora.artifacts.safetensors.TensorData;
import io.safelora.contract.Json;
import io.safelora.torch.Tensors;
import io.safelora.torch.Torch;
import io.safelora.torch.TorchScript;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;

/**
 * Folds an adapter into its model: W + s B A, computed in float32 and rounded to W's own type, and what else the
 * adapter has in the place of the model's; all else bit for bit.
 */
public final class Merger {
    private static final List<String> KEPT = List.of(".json", ".jinja", ".txt", ".model");
    private static final String WEIGHT = ".weight";
    private static final String BIAS = ".bias";

    private final Checkpoint checkpoint;
    private final PeftAdapter adapter;
    private final ModelTensors model;
    private final Family family;
    private final ObjectNode config;
    private final String embedding;
    private final String head;
    private final boolean tied;

    private Merger(Checkpoint checkpoint, PeftAdapter adapter) throws IOException {
        this.checkpoint = checkpoint;
        this.adapter = adapter;
        config = checkpoint.config().deepCopy();
        model = ModelTensors.of(checkpoint, adapter.config().fanInFanOut());
        family = Family.ALL.get(config.path("model_type").asText());
        adapter.check(model);
        embedding = family == null ? null : family.outer().get("embedding");
        head = family == null ? null : family.outer().get("head");
        tied = family != null
                && new StoredWeights(checkpoint, null, false).config().tieWordEmbeddings();
    }

    /**
     * Writes a checkpoint directory.
     *
     * @param model a Hugging Face model directory
     * @param adapter a PEFT adapter of it; the tokenizer and the chat template that lie beside it go with the merged
     *     model
     * @param out the directory to write; its model.safetensors holds all tensors
     * @throws InvalidArtifactException if the adapter is not made for the model, or cannot be a part of such a model's
     *     weights
     */
    public static void merge(Path model, Path adapter, Path out) throws IOException {
        new Merger(Checkpoint.open(model), PeftAdapter.open(adapter)).write(model, adapter, out);
    }

    private void write(Path from, Path peft, Path out) throws IOException {
        Set<String> names = new TreeSet<>(checkpoint.names());
        if (tied && untied()) {
            names.add(head + WEIGHT);
            names.add(embedding + WEIGHT);
            config.put("tie_word_embeddings", false);
        }
        names.addAll(newBiases());
        resize();
        Files.createDirectories(out);
        try (NDManager manager = Torch.manager(Device.cpu());
                TorchScript script = TorchScript.load(Merger.class, "merge.torchscript", Device.cpu())) {
            Map<String, TensorData> tensors = new LinkedHashMap<>();
            for (String name : names) {
                // A merged weight stands in memory only while it is written.
                tensors.put(
                        name,
                        new TensorData(
                                dtype(name),
                                shape(name),
                                () -> touched(name) ? merged(script, manager, name) : checkpoint.map(name)));
            }
            SafetensorsWriter.write(out.resolve("model.safetensors"), tensors, Map.of("format", "pt"));
        }
        try (Stream<Path> files = Files.list(from)) {
            for (Path file : files.toList()) {
                String name = file.getFileName().toString();
                if (KEPT.stream().anyMatch(name::endsWith) && !name.endsWith(".safetensors.index.json")) {
                    Files.copy(file, out.resolve(name), StandardCopyOption.REPLACE_EXISTING);
                }
            }
        }
        if (!config.equals(checkpoint.config())) {
            Files.write(out.resolve("config.json"), Json.pretty(config));
        }
        Texts.write(from, peft, out);
    }

    /** Whether head and embedding are no longer one. */
    private boolean untied() {
        return weight(head + WEIGHT) != weight(embedding + WEIGHT)
                || adapter.tokens(head, embedding) != adapter.tokens(embedding, null)
                || adapter.modules().containsKey(head)
                || adapter.embeddings().containsKey(embedding);
    }

    /** Biases of B where the model has none: the family has an option for them, or it cannot be. */
    private Set<String> newBiases() {
        Set<String> names = new TreeSet<>();
        for (String module : adapter.biases().keySet()) {
            if (checkpoint.has(module + BIAS)) {
                continue;
            }
            String option = option(module);
            if (option == null) {
                throw new InvalidArtifactException("adapter_config.json: lora_bias is true, but module " + module
                        + " has no bias in this model that B's could be added to (PEFT cannot merge it either);"
                        + " use the adapter beside the model");
            }
            config.put(option, true);
            checkpoint.names().stream()
                    .filter(name -> name.endsWith(WEIGHT) && option.equals(option(module(name))))
                    .forEach(name -> names.add(module(name) + BIAS));
        }
        names.removeIf(checkpoint::has);
        return names;
    }

    /** The option of config.json that gives a module a bias, or null. */
    private String option(String module) {
        return family == null
                ? null
                : family.layer().entrySet().stream()
                        .filter(part -> module.startsWith(family.layers()) && module.endsWith("." + part.getValue()))
                        .map(part -> family.biases().getOrDefault(part.getKey(), "true"))
                        .filter(option -> !option.equals("true"))
                        .findFirst()
                        .orElse(null);
    }

    /** Another vocabulary is the configuration's, too. */
    private void resize() {
        for (String name : adapter.weights().keySet()) {
            boolean words = ModelTensors.isHead(module(name))
                    || ModelTensors.isEmbedding(module(name)) && !name.matches(".*(wpe|embed_positions).*");
            long rows = words ? shape(name)[0] : 0;
            if (words
                    && name.endsWith(WEIGHT)
                    && rows != config.path("vocab_size").asLong(rows)) {
                config.put("vocab_size", rows);
            }
        }
        long rows = config.path("vocab_size").asLong();
        if (family != null && (shape(embedding + WEIGHT)[0] != rows || shape(head + WEIGHT)[0] != rows)) {
            throw new InvalidArtifactException(
                    "adapter: has " + shape(embedding + WEIGHT)[0] + " tokens in " + embedding
                            + " and " + shape(head + WEIGHT)[0] + " in " + head
                            + "; a model has as many in both, so the adapter can only be used beside it");
        }
    }

    private Weight weight(String tensor) {
        boolean both = tied && (tensor.equals(head + WEIGHT) || tensor.equals(embedding + WEIGHT));
        return adapter.weight(tensor, !both ? null : tensor.equals(head + WEIGHT) ? embedding + WEIGHT : head + WEIGHT);
    }

    private Tokens tokens(String module) {
        return adapter.tokens(module, tied && module.equals(head) ? embedding : null);
    }

    private boolean touched(String tensor) {
        String module = module(tensor);
        boolean weight = tensor.endsWith(WEIGHT);
        return !checkpoint.has(tensor)
                || weight(tensor) != null
                || weight && (update(module) != null || tokens(module) != null)
                || tensor.endsWith(BIAS) && adapter.biases().containsKey(module);
    }

    private LoraModule update(String module) {
        return adapter.modules().getOrDefault(module, adapter.embeddings().get(module));
    }

    /** The tensor of the checkpoint whose place another one takes: a tied weight lies there under either name. */
    private String stored(String tensor) {
        if (checkpoint.has(tensor)) {
            return tensor;
        }
        return tensor.endsWith(BIAS)
                ? module(tensor) + WEIGHT
                : tensor.equals(head + WEIGHT) ? embedding + WEIGHT : head + WEIGHT;
    }

    private Dtype dtype(String tensor) {
        return checkpoint.info(stored(tensor)).dtype();
    }

    private long[] shape(String tensor) {
        Weight own = weight(tensor);
        long[] shape = own != null
                ? own.data().shape()
                : checkpoint.info(stored(tensor)).shape();
        if (own == null && !checkpoint.has(tensor) && tensor.endsWith(BIAS)) {
            return new long[] {shape[model.transposed() ? 1 : 0]};
        }
        return shape;
    }

    private ByteBuffer merged(TorchScript script, NDManager manager, String tensor) {
        String module = module(tensor);
        try (NDManager step = manager.newSubManager()) {
            Weight own = weight(tensor);
            NDArray before;
            if (own != null) {
                before = Tensors.of(
                        step,
                        own.data().source().get(),
                        mergeable(own.key(), own.data().dtype()),
                        shape(tensor));
                if (!Tensors.isFinite(before)) {
                    throw new InvalidArtifactException("adapter: tensor " + own.key()
                            + " holds NaN or infinity; the training that wrote it diverged");
                }
            } else if (!checkpoint.has(tensor) && tensor.endsWith(BIAS)) {
                before = step.zeros(new ai.djl.ndarray.types.Shape(shape(tensor)));
            } else {
                before = Tensors.of(
                        step, checkpoint.map(stored(tensor)), mergeable(tensor, dtype(tensor)), shape(tensor));
            }
            NDArray result = before;
            if (tensor.endsWith(BIAS)) {
                float[] bias = adapter.biases().get(module);
                if (bias != null) {
                    NDArray b = Tensors.of(step, bias, bias.length);
                    result = script.call(step, "bias", result, b, update(module).scale())
                            .get(0);
                }
            } else {
                Tokens tokens = tokens(module);
                if (tokens != null) {
                    long[] ids = Arrays.stream(tokens.ids()).asLongStream().toArray();
                    result = script.call(
                                    step,
                                    "rows",
                                    result,
                                    Tensors.of(step, ids, ids.length),
                                    Tensors.of(step, tokens.rows(), ids.length, tokens.width()))
                            .get(0);
                }
                if (update(module) != null) {
                    result = updated(script, step, result, update(module));
                }
            }
            return Tensors.bytes(Tensors.to(step, result, mergeable(tensor, dtype(tensor))));
        }
    }

    private NDArray updated(TorchScript script, NDManager step, NDArray w, LoraModule m) {
        boolean transposed = ModelTensors.isEmbedding(m.name()) || model.transposed() && !ModelTensors.isHead(m.name());
        float[] magnitude = adapter.magnitudes().get(m.name());
        return script.call(
                        step,
                        "merge",
                        w,
                        Tensors.of(step, m.a(), m.r(), m.in()),
                        Tensors.of(step, m.b(), m.out(), m.r()),
                        m.scale(),
                        transposed,
                        magnitude == null ? List.of() : List.of(Tensors.of(step, magnitude, m.out())))
                .get(0);
    }

    private static Dtype mergeable(String tensor, Dtype dtype) {
        if (!dtype.isWeight()) {
            throw new UnsupportedModelException(
                    "tensor " + tensor + " is " + dtype + "; " + Dtype.WEIGHTS + " can be merged");
        }
        return dtype;
    }

    private static String module(String tensor) {
        return tensor.substring(0, Math.max(0, tensor.lastIndexOf('.')));
    }
}
