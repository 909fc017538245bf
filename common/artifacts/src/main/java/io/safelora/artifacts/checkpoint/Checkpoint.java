package io.safelora.artifacts.checkpoint;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.Folder;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.LocalFolder;
import io.safelora.artifacts.safetensors.SafetensorsFile;
import io.safelora.artifacts.safetensors.TensorInfo;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.Json;
import java.io.IOException;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * A Hugging Face model directory: {@code config.json} and either {@code model.safetensors} or shards with
 * {@code model.safetensors.index.json}. Opening reads the headers only.
 *
 * <p>Tensors have the names that they have in transformers' causal language model, and modules in PEFT's adapters. A
 * checkpoint that was saved without its head (GPT-2's, or an AutoModel's) lacks the first part of these names in the
 * file; here it has them all the same, so that nobody else needs to know.
 */
public final class Checkpoint {
    private static final String SINGLE = "model.safetensors";
    private static final String INDEX = "model.safetensors.index.json";
    private static final int MAX_JSON = 100_000_000;

    /**
     * What only a model without its head has as the first part of a name, and what that model is called inside the
     * causal language model (transformers' base_model_prefix).
     */
    private static final Map<String, String> BASE_MODELS = Map.of(
            "embed_tokens", "model",
            "embed_in", "gpt_neox",
            "wte", "transformer",
            "word_embeddings", "transformer",
            "h", "transformer");

    /** Output heads, which lie beside the base model. */
    private static final Set<String> HEADS = Set.of("lm_head", "embed_out");

    private final Folder folder;
    private final SortedMap<String, Stored> tensors = new TreeMap<>();

    /** @param name the tensor's name in the file */
    private record Stored(SafetensorsFile file, String name) {}

    /** @param fileOf the file of every tensor by its name there */
    private Checkpoint(Folder folder, SortedMap<String, SafetensorsFile> fileOf) {
        this.folder = folder;
        String prefix = fileOf.keySet().stream()
                .map(name -> BASE_MODELS.get(first(name)))
                .filter(Objects::nonNull)
                .findFirst()
                .orElse(null);
        fileOf.forEach((stored, file) -> {
            boolean whole = prefix == null || first(stored).equals(prefix) || HEADS.contains(first(stored));
            String name = whole ? stored : prefix + "." + stored;
            Stored other = tensors.put(name, new Stored(file, stored));
            if (other != null) {
                throw new InvalidArtifactException(
                        file.name() + ": has both " + quoted(other.name()) + " and " + quoted(stored)
                                + ", two names of one weight; remove the one that does not belong to the model");
            }
        });
    }

    private static String first(String name) {
        int dot = name.indexOf('.');
        return dot < 0 ? name : name.substring(0, dot);
    }

    /**
     * Opens a local model directory.
     *
     * @throws InvalidArtifactException if there is none, a file is missing or broken, or it only has pickles
     */
    public static Checkpoint open(Path directory) throws IOException {
        return open(new LocalFolder(directory));
    }

    /**
     * Opens a model directory in S3 or, as a {@code file:} URI, on this machine. Tensors are read by ranges, in place.
     */
    public static Checkpoint open(URI uri, ArtifactStore store) throws IOException {
        return open(store.folder(uri.toString()));
    }

    /** Opens a model directory wherever it lies. */
    public static Checkpoint open(Folder folder) throws IOException {
        SortedMap<String, Long> files = folder.files();
        SortedMap<String, SafetensorsFile> fileOf = new TreeMap<>();
        if (files.containsKey(SINGLE)) {
            SafetensorsFile file = SafetensorsFile.open(folder.open(SINGLE));
            file.tensors().keySet().forEach(name -> fileOf.put(name, file));
        } else if (files.containsKey(INDEX)) {
            openShards(folder, files, fileOf);
        } else {
            throw new InvalidArtifactException(folder.name() + ": " + whyNoCheckpoint(files));
        }
        return new Checkpoint(folder, fileOf);
    }

    private static void openShards(Folder folder, SortedMap<String, Long> files, Map<String, SafetensorsFile> fileOf)
            throws IOException {
        String index = folder.name() + "/" + INDEX;
        JsonNode weightMap = json(folder, INDEX).get("weight_map");
        if (weightMap == null || !weightMap.isObject()) {
            throw new InvalidArtifactException(index + ": has no weight_map");
        }
        Map<String, SafetensorsFile> shards = new TreeMap<>();
        for (Map.Entry<String, JsonNode> entry : weightMap.properties()) {
            String shard = entry.getValue().asText();
            if (!entry.getValue().isTextual() || !shard.matches("[^/\\\\]+\\.safetensors") || shard.startsWith(".")) {
                throw new InvalidArtifactException(index + ": the weight_map has for tensor " + quoted(entry.getKey())
                        + " " + quoted(entry.getValue().asText())
                        + ", not the name of a .safetensors file of the same folder");
            }
            SafetensorsFile file = shards.get(shard);
            if (file == null) {
                if (!files.containsKey(shard)) {
                    throw new InvalidArtifactException(
                            folder.name() + "/" + quoted(shard) + ": the shard is missing, but " + INDEX
                                    + " names it for tensor " + quoted(entry.getKey()) + "; download it again");
                }
                file = SafetensorsFile.open(folder.open(shard));
                shards.put(shard, file);
            }
            if (!file.tensors().containsKey(entry.getKey())) {
                throw new InvalidArtifactException(file.name() + ": has no tensor " + quoted(entry.getKey()) + ", but "
                        + INDEX + " says so; download both again");
            }
            fileOf.put(entry.getKey(), file);
        }
        // What a shard holds belongs to the model, whether the index lists it or not.
        shards.forEach((name, file) -> file.tensors().keySet().forEach(tensor -> fileOf.putIfAbsent(tensor, file)));
    }

    private static String whyNoCheckpoint(SortedMap<String, Long> files) {
        List<String> pickles = files.keySet().stream()
                .filter(f -> f.matches("(?i).*\\.(bin|pt|pth|ckpt|pkl)"))
                .toList();
        if (!pickles.isEmpty()) {
            return "has " + pickles.get(0)
                    + ", a pickle, which can run code when it is read and is refused; save the model as safetensors"
                    + " (model.save_pretrained(..., safe_serialization=True))";
        }
        return "has neither " + SINGLE + " nor " + INDEX + "; give the directory of a Hugging Face model";
    }

    /** The names of all tensors, sorted. */
    public SortedSet<String> names() {
        return Collections.unmodifiableSortedSet(new TreeSet<>(tensors.keySet()));
    }

    /** Whether there is a tensor of that name. */
    public boolean has(String name) {
        return tensors.containsKey(name);
    }

    /** @throws InvalidArtifactException if there is no tensor of that name */
    public TensorInfo info(String name) {
        Stored tensor = stored(name);
        TensorInfo info = tensor.file().info(tensor.name());
        return new TensorInfo(name, info.dtype(), info.shape(), info.begin(), info.end());
    }

    /** The tensor's bytes in a direct, read-only, little-endian buffer: a memory map where the checkpoint is local. */
    public ByteBuffer map(String name) {
        Stored tensor = stored(name);
        return tensor.file().map(tensor.name());
    }

    /** Fills {@code into} with the tensor's bytes from {@code offset} on; see {@link SafetensorsFile#read}. */
    public void read(String name, long offset, ByteBuffer into) {
        Stored tensor = stored(name);
        tensor.file().read(tensor.name(), offset, into);
    }

    /** What error messages call the file that holds the tensor. */
    public String fileOf(String name) {
        return stored(name).file().name();
    }

    /** Where in that file the tensor's first byte is. */
    public long offsetOf(String name) {
        Stored tensor = stored(name);
        return tensor.file().offset(tensor.name());
    }

    /** {@code config.json}. */
    public JsonNode config() throws IOException {
        if (!folder.files().containsKey("config.json")) {
            throw new InvalidArtifactException(
                    folder.name() + ": has no config.json; give the directory of a Hugging Face model");
        }
        return json(folder, "config.json");
    }

    /**
     * A small file beside the weights; empty if there is none.
     *
     * @throws InvalidArtifactException if it is larger than {@code maxBytes}
     */
    public Optional<byte[]> file(String name, int maxBytes) throws IOException {
        return folder.files().containsKey(name) ? Optional.of(folder.read(name, maxBytes)) : Optional.empty();
    }

    /** What identifies the content of this checkpoint; see {@link Folder#digest()}. */
    public String digest() throws IOException {
        return folder.digest();
    }

    /** What error messages call this checkpoint. */
    public String name() {
        return folder.name();
    }

    private Stored stored(String name) {
        Stored tensor = tensors.get(name);
        if (tensor == null) {
            throw new InvalidArtifactException(folder.name() + ": has no tensor " + quoted(name));
        }
        return tensor;
    }

    static JsonNode json(Folder folder, String file) throws IOException {
        byte[] bytes = folder.read(file, MAX_JSON);
        try {
            JsonNode node = Json.MAPPER.readTree(bytes);
            if (node == null || !node.isObject()) {
                throw new InvalidArtifactException(folder.name() + "/" + file + ": is not a JSON object");
            }
            return node;
        } catch (JsonProcessingException e) {
            throw new InvalidArtifactException(
                    folder.name() + "/" + file + ": is not valid JSON: " + line(e.getOriginalMessage()), e);
        } catch (IOException e) {
            throw new InvalidArtifactException(
                    folder.name() + "/" + file + ": is not UTF-8: " + line(e.getMessage()), e);
        }
    }

    /** A name from a file, fit for one line of a log. */
    private static String quoted(String name) {
        return SafetensorsFile.quoted(name);
    }

    private static String line(String text) {
        return text == null ? "" : text.lines().findFirst().orElse("").replaceAll("\\p{Cntrl}", "?");
    }
}
