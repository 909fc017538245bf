package io.safelora.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.SafetensorsWriter;
import io.safelora.artifacts.safetensors.TensorData;
import io.safelora.contract.Json;
import io.safelora.torch.Tensors;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Writes a model as the directory that transformers and {@link CausalLm#load} read. */
public final class ModelWriter {
    private static final List<String> TOKENIZER_FILES = List.of(
            "tokenizer.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "chat_template.jinja",
            "generation_config.json");

    private ModelWriter() {}

    /**
     * Writes config.json, model.safetensors and the tokenizer's files. One weight at a time is converted.
     *
     * @param config the config.json that the model was made from; its dtype is set to {@code dtype}, its
     *     tie_word_embeddings to what holds
     * @param tokenizerDirectory holds tokenizer.json and its companions
     * @param dtype one of {@link Dtype#WEIGHTS}: the type in which the weights are stored, rounded to nearest even
     * @param out the directory to write; may be {@code tokenizerDirectory}
     */
    public static void write(CausalLm model, JsonNode config, Path tokenizerDirectory, Dtype dtype, Path out)
            throws IOException {
        Files.createDirectories(out);
        Map<String, TensorData> tensors = new LinkedHashMap<>();
        model.weights()
                .forEach((name, weight) -> tensors.put(
                        name, new TensorData(dtype, weight.getShape().getShape(), () -> bytes(model, weight, dtype))));
        SafetensorsWriter.write(out.resolve("model.safetensors"), tensors, Map.of("format", "pt"));
        ObjectNode json = config.deepCopy();
        json.remove("torch_dtype"); // transformers 4's name of the same
        json.put("dtype", dtype.torchName());
        boolean tied = model.config().tieWordEmbeddings();
        if (ModelConfig.of(config).tieWordEmbeddings() != tied) {
            json.put("tie_word_embeddings", tied); // the files of the model that was read said otherwise
        }
        Files.write(out.resolve("config.json"), Json.pretty(json));
        for (String file : TOKENIZER_FILES) {
            Path from = tokenizerDirectory.resolve(file);
            if (Files.exists(from) && !(Files.exists(out.resolve(file)) && Files.isSameFile(from, out.resolve(file)))) {
                Files.copy(from, out.resolve(file), StandardCopyOption.REPLACE_EXISTING);
            }
        }
    }

    private static ByteBuffer bytes(CausalLm model, NDArray weight, Dtype type) {
        try (NDManager step = model.newManager()) {
            return Tensors.bytes(Tensors.to(step, weight, type));
        }
    }
}
