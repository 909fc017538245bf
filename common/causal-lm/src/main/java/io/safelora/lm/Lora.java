package io.safelora.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.TensorData;
import io.safelora.torch.Tensors;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * An adapter on a model: A (r, in), B (out, r) and the scale of every adapted module, in float32, and what else it
 * brings (see set_adapter in adapters.torchscript). The model's weights are not touched, so several adapters can stand
 * on one model.
 */
public final class Lora implements AutoCloseable {
    /** Where a weight is: its layer, and its name in the kernels. */
    private record Place(int layer, String key) {}

    private final NDManager manager;
    private final List<Map<String, NDArray>> base;
    private final List<Map<String, NDArray>> layers = new ArrayList<>();
    private final List<Map<String, NDArray>> own = new ArrayList<>();
    private final Map<String, Place> places = new LinkedHashMap<>();
    private final Map<String, NDArray> parameters = new LinkedHashMap<>();
    private final List<NDArray> decayed = new ArrayList<>();
    private final PeftAdapter adapter;
    private final Texts texts;
    private final boolean train;
    private int lowest;

    /**
     * @param owner closes the tensors, if {@link #close} does not
     * @param model what messages call it
     * @param base the model's tensors by the kernels' names, layer by layer and last those outside
     * @param texts the tokenizer that came with the adapter, or null
     * @param train whether what PEFT would train is to be trained: {@link #parameters} are in float32 then
     * @throws InvalidArtifactException if the adapter is not made for the model, or cannot be trained here
     */
    Lora(
            NDManager owner,
            String model,
            ModelConfig config,
            List<Map<String, NDArray>> base,
            PeftAdapter adapter,
            Texts texts,
            boolean train) {
        this.base = base;
        this.adapter = adapter;
        this.texts = texts;
        this.train = train;
        lowest = config.numHiddenLayers();
        manager = owner.newSubManager();
        try {
            for (int layer = 0; layer <= config.numHiddenLayers(); layer++) {
                layers.add(new LinkedHashMap<>());
                own.add(new LinkedHashMap<>());
            }
            Weights.byModule(config).forEach((name, weight) -> {
                int layer = weight.layer() < 0 ? config.numHiddenLayers() : weight.layer();
                places.put(name, new Place(layer, weight.key()));
            });
            adapter.check(ModelFiles.modelTensors(model, config));
            if (train && adapter.config().ensureWeightTying()) {
                throw new InvalidArtifactException(
                        "adapter_config.json: ensure_weight_tying is set; such an adapter cannot be trained"
                                + " further here: merge it"
                                + " into the model, and start a new one");
            }
            // First: updates stand on what the adapter has in the place of the model's.
            Family family = Family.ALL.get(config.modelType());
            String embedding = family.outer().get("embedding");
            String head = family.outer().get("head");
            Map<String, NDArray> outer = base.get(config.numHiddenLayers());
            boolean tied = outer.get("head") == outer.get("embedding");
            places.forEach((name, place) -> {
                String other = tied && !tiedKey(place).isEmpty() ? place.key().equals("head") ? embedding : head : null;
                addWeight(name, place, other == null ? null : other + ".weight");
            });
            addTokens(embedding, place(embedding), null);
            addTokens(head, place(head), tied ? embedding : null);
            adapter.modules().values().forEach(m -> addUpdate(m, ".lora_A.weight", ".lora_B.weight"));
            adapter.embeddings().values().forEach(m -> addUpdate(m, ".lora_embedding_A", ".lora_embedding_B"));
        } catch (RuntimeException e) {
            manager.close();
            throw e;
        }
    }

    private Place place(String module) {
        return places.get(module + ".weight");
    }

    private void addUpdate(LoraModule m, String a, String b) {
        Place place = place(m.name());
        Map<String, NDArray> layer = layers.get(place.layer());
        trained(place);
        boolean frozenB = adapter.config().frozenB();
        layer.put(place.key() + ".a", parameter(m.name() + a, m.a(), true, m.r(), m.in()));
        layer.put(place.key() + ".b", parameter(m.name() + b, m.b(), !frozenB, m.out(), m.r()));
        layer.put(place.key() + ".scale", Tensors.of(manager, new float[] {(float) m.scale()}, 1));
        float[] bias = adapter.biases().get(m.name());
        if (bias != null) {
            layer.put(place.key() + ".b.bias", parameter(m.name() + ".lora_B.bias", bias, true, m.out()));
        }
        float[] magnitude = adapter.magnitudes().get(m.name());
        if (magnitude != null) {
            layer.put(
                    place.key() + ".magnitude",
                    parameter(m.name() + ".lora_magnitude_vector", magnitude, true, m.out()));
        }
    }

    private void addWeight(String name, Place place, String tied) {
        PeftAdapter.Weight weight = adapter.weight(name, tied);
        if (weight == null) {
            return;
        }
        NDArray like = base.get(place.layer()).get(place.key());
        boolean trained = train && weight.trained();
        boolean shared = tied != null && adapter.weight(tied, name) == weight;
        NDArray tensor = shared ? own.get(place.layer()).get(tiedKey(place)) : null;
        if (tensor == null) {
            tensor = tensor(weight, like, trained);
        }
        own.get(place.layer()).put(place.key(), tensor);
        if (trained) {
            trained(place);
            parameters.put(weight.key(), tensor);
            if (!place.key().startsWith("norm") && !place.key().endsWith(".bias")) {
                decayed.add(tensor);
            }
        }
    }

    private static String tiedKey(Place place) {
        return place.key().equals("head") ? "embedding" : place.key().equals("embedding") ? "head" : "";
    }

    /** In the type of the model's, or to be trained in float32. */
    private NDArray tensor(PeftAdapter.Weight weight, NDArray like, boolean trained) {
        TensorData data = weight.data();
        if (!data.dtype().isWeight()) {
            throw new InvalidArtifactException(
                    "adapter: tensor " + weight.key() + " is " + data.dtype() + "; read are " + Dtype.WEIGHTS);
        }
        NDArray tensor = Tensors.of(manager, data.source().get(), data.dtype(), data.shape());
        if (!Tensors.isFinite(tensor)) {
            throw new InvalidArtifactException(
                    "adapter: tensor " + weight.key() + " holds NaN or infinity; the training that wrote it diverged");
        }
        if (!trained) {
            return Tensors.typeAs(manager, tensor, like);
        }
        // A mapped file must not be written to.
        return data.dtype() == Dtype.F32 ? Tensors.clone(manager, tensor) : Tensors.to(manager, tensor, Dtype.F32);
    }

    private void addTokens(String module, Place place, String tied) {
        PeftAdapter.Tokens tokens = adapter.tokens(module, tied);
        if (tokens != null) {
            boolean itsOwn = adapter.tokens().containsKey(module);
            String name = (itsOwn ? module : tied) + ".token_adapter.trainable_tokens_delta";
            NDArray rows = parameters.get(name);
            if (rows == null) {
                rows = parameter(name, tokens.rows(), true, tokens.ids().length, tokens.width());
            }
            trained(place);
            addRows(place, tokens, rows);
        }
    }

    private void addRows(Place place, PeftAdapter.Tokens tokens, NDArray rows) {
        Map<String, NDArray> weights = own.get(place.layer());
        NDArray weight =
                weights.getOrDefault(place.key(), base.get(place.layer()).get(place.key()));
        long[] places = new long[Math.toIntExact(weight.getShape().get(0))];
        Arrays.fill(places, -1);
        for (int i = 0; i < tokens.ids().length; i++) {
            places[tokens.ids()[i]] = i;
        }
        weights.put(place.key() + ".rows", rows);
        weights.put(
                place.key() + ".ids",
                Tensors.of(manager, Arrays.stream(tokens.ids()).asLongStream().toArray(), tokens.ids().length));
        weights.put(place.key() + ".place", Tensors.of(manager, places, places.length));
    }

    private NDArray parameter(String name, float[] values, boolean trained, long... shape) {
        NDArray tensor = Tensors.of(manager, values, shape);
        if (trained) {
            parameters.put(name, tensor);
            if (!name.endsWith(".bias")) {
                decayed.add(tensor);
            }
        }
        return tensor;
    }

    /** Puts this adapter into the decoder under a name. */
    void set(Decoder decoder, String name) {
        decoder.setAdapter(manager, name, layers, own);
        if (train) {
            return; // A and B change, and with them the norms
        }
        for (int i = 0; i < layers.size(); i++) {
            for (String part : List.copyOf(layers.get(i).keySet())) {
                if (part.endsWith(".magnitude")) {
                    String key = part.substring(0, part.length() - ".magnitude".length());
                    layers.get(i).put(key + ".norm", decoder.adapterNorms(manager, name, i, key));
                }
            }
        }
        decoder.setAdapter(manager, name, layers, own);
    }

    private static String module(String tensor) {
        return tensor.substring(0, tensor.lastIndexOf('.'));
    }

    /** The first layer in which something is trained, below which nothing needs a gradient; -1 if the embedding is. */
    int lowestLayer() {
        return lowest;
    }

    /** Notes that a tensor of that place may be trained. */
    private void trained(Place place) {
        boolean first = place.key().startsWith("embedding") || place.key().startsWith("positions");
        lowest = Math.min(lowest, first ? -1 : place.layer());
    }

    /** Whether the head makes other logits than the model's of the same input. */
    boolean adaptsHead() {
        return parts().anyMatch(part -> part.startsWith("head"));
    }

    /** Whether anything but the head is adapted. */
    boolean adaptsBelowHead() {
        return parts().anyMatch(part -> !part.startsWith("head"));
    }

    private Stream<String> parts() {
        return Stream.of(layers, own).flatMap(List::stream).flatMap(weights -> weights.keySet().stream());
    }

    /** How many tokens there are embeddings of. */
    int vocabSize() {
        Map<String, NDArray> words = own.get(own.size() - 1);
        NDArray embedding =
                words.getOrDefault("embedding", base.get(base.size() - 1).get("embedding"));
        return Math.toIntExact(embedding.getShape().get(0));
    }

    void closeTexts() {
        if (texts != null) {
            texts.close();
        }
    }

    /** The tokenizer and chat template that came with the adapter, or null. */
    Texts texts() {
        return texts;
    }

    /**
     * What PEFT trains of such an adapter, by the names that the tensors have in its file after "base_model.model."
     * ({@code model.layers.0.self_attn.q_proj.lora_A.weight}).
     */
    public Map<String, NDArray> parameters() {
        return parameters;
    }

    /** Those that weight decay is for: all but biases and norms, as transformers' Trainer has it. */
    public List<NDArray> decayed() {
        return decayed;
    }

    @Override
    public void close() {
        manager.close();
        closeTexts();
    }
}
