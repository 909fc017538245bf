package io.safelora.lm;

import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/**
 * A row of families.json: what one model_type calls its options and weights, and how its layer differs. That file
 * explains the columns.
 */
record Family(
        Map<String, JsonNode> config,
        Map<String, String> spelling,
        Map<String, String> outer,
        String layers,
        Map<String, String> layer,
        Map<String, String> biases,
        Set<String> traits,
        String window) {

    /** All families by model_type. */
    static final Map<String, Family> ALL = read();

    private static Map<String, Family> read() {
        JsonMapper json =
                JsonMapper.builder().enable(JsonReadFeature.ALLOW_JAVA_COMMENTS).build();
        try (InputStream in = Family.class.getResourceAsStream("families.json")) {
            Map<String, ObjectNode> rows = new LinkedHashMap<>();
            Map<String, Family> families = new LinkedHashMap<>();
            for (Map.Entry<String, JsonNode> row : json.readTree(in).properties()) {
                ObjectNode own = (ObjectNode) row.getValue();
                ObjectNode full = own;
                if (own.has("like")) {
                    full = rows.get(own.remove("like").asText()).deepCopy();
                    ObjectNode config = ((ObjectNode) full.get("config")).setAll((ObjectNode) own.remove("config"));
                    config.properties()
                            .removeIf(option -> option.getValue().asText().equals("-"));
                    full.setAll(own);
                }
                rows.put(row.getKey(), full);
                families.put(row.getKey(), json.convertValue(full, Family.class));
            }
            return families;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** What config.json calls an option. */
    String spelled(String option) {
        return spelling.getOrDefault(option, option);
    }

    boolean has(String trait) {
        return traits.contains(trait);
    }
}
