package io.safelora.contract;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;

/**
 * Where a job document names data: the fields whose schema is that of a URI, or of a task's name or its file, wherever
 * they are, so that none can be forgotten.
 */
public final class JobUris {
    private static final ObjectNode SCHEMA = Schemas.of(JobRequest.class);

    private JobUris() {}

    /**
     * A field of a document.
     *
     * @param in the mapping that has it
     * @param path for messages: {@code evaluation[0].data}
     */
    public record Field(ObjectNode in, String name, String path) {
        public String text() {
            return in.get(name).asText();
        }

        /** Replaces the text in the document. */
        public void set(String text) {
            in.put(name, text);
        }
    }

    /** The fields of {@code document}, which need not be valid, that name data by a text. */
    public static List<Field> of(JsonNode document) {
        List<Field> fields = new ArrayList<>();
        find(document, SCHEMA, "", fields);
        return fields;
    }

    private static void find(JsonNode node, JsonNode schema, String path, List<Field> fields) {
        JsonNode of = schema.has("$ref") ? SCHEMA.at(schema.get("$ref").asText().substring(1)) : schema;
        if (node instanceof ObjectNode mapping) {
            of.path("properties").fields().forEachRemaining(property -> {
                String name = property.getKey();
                String at = path.isEmpty() ? name : path + "." + name;
                JsonNode value = mapping.path(name);
                String pattern = property.getValue().path("pattern").asText();
                boolean named = pattern.equals(EvaluationTask.TASK) && TaskFile.isName(value.asText());
                if (!pattern.equals(ArtifactRef.URI) && !pattern.equals(EvaluationTask.TASK)) {
                    find(value, property.getValue(), at, fields);
                } else if (value.isTextual() && !named) {
                    fields.add(new Field(mapping, name, at));
                }
            });
        }
        for (int i = 0; node.isArray() && i < node.size(); i++) {
            find(node.get(i), of.path("items"), path + "[" + i + "]", fields);
        }
    }
}
