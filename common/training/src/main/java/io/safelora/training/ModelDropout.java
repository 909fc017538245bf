package io.safelora.training;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The dropout that a model's config.json asks for while the model is trained. transformers applies it, as it does by
 * default; here only {@code lora_dropout} is applied, and that is said.
 */
final class ModelDropout {
    private ModelDropout() {}

    /** One sentence, or null if config.json asks for none. */
    static String note(JsonNode config) {
        Map<String, Double> asked = Stream.of(
                        "attention_dropout",
                        "attn_pdrop",
                        "embd_pdrop",
                        "resid_pdrop",
                        "hidden_dropout",
                        "embedding_dropout")
                .filter(name -> config.path(name).asDouble() > 0)
                .collect(
                        Collectors.toMap(name -> name, name -> config.get(name).asDouble(), (a, b) -> a, TreeMap::new));
        return asked.isEmpty()
                ? null
                : "the model's own dropout is not applied: config.json asks for "
                        + asked.entrySet().stream()
                                .map(e -> e.getKey() + " " + e.getValue())
                                .collect(Collectors.joining(", "));
    }
}
