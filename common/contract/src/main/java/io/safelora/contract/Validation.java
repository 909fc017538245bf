package io.safelora.contract;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.networknt.schema.JsonNodePath;
import com.networknt.schema.JsonSchema;
import com.networknt.schema.JsonSchemaFactory;
import com.networknt.schema.SchemaValidatorsConfig;
import com.networknt.schema.SpecVersion;
import com.networknt.schema.ValidationMessage;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.ObjDoubleConsumer;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;

/** A document becomes a record, or one line that names each field that is wrong. */
final class Validation {
    private static final int MAX_PROBLEMS = 10;
    private static final JsonSchemaFactory FACTORY = JsonSchemaFactory.getInstance(SpecVersion.VersionFlag.V202012);
    private static final SchemaValidatorsConfig CONFIG =
            SchemaValidatorsConfig.builder().locale(Locale.ENGLISH).build();
    private static final Map<Class<?>, JsonSchema> SCHEMAS = new ConcurrentHashMap<>();

    private Validation() {}

    /**
     * @param what what the document is, for messages: "a job request"
     * @throws InvalidJobException if the document does not match the record's schema
     */
    static <T> T read(JsonNode document, Class<T> type, String what) {
        return read(document, type, what, UnaryOperator.identity());
    }

    /**
     * @param what what the document is, for messages: "a job request"
     * @param names what users call a field
     * @throws InvalidJobException if the document does not match the record's schema
     */
    static <T> T read(JsonNode document, Class<T> type, String what, UnaryOperator<String> names) {
        List<String> problems = new ArrayList<>();
        if (!document.isObject()) {
            throw new InvalidJobException(what + " is a mapping of fields, but this is empty or something else");
        }
        notFinite(
                document,
                "",
                (at, number) -> problems.add(
                        names.apply(at) + (Double.isNaN(number) ? ": must be a number, not NaN" : ": is too large")));
        JsonSchema schema = SCHEMAS.computeIfAbsent(type, t -> FACTORY.getSchema(Schemas.of(t), CONFIG));
        schema.validate(document).stream()
                .map(problem -> describe(problem, schema, what, names))
                .sorted()
                .distinct()
                .forEach(problems::add);
        if (!problems.isEmpty()) {
            String more = problems.size() > MAX_PROBLEMS ? "; and " + (problems.size() - MAX_PROBLEMS) + " more" : "";
            throw new InvalidJobException(
                    problems.stream().limit(MAX_PROBLEMS).collect(Collectors.joining("; ")) + more);
        }
        try {
            return Json.MAPPER.treeToValue(document, type);
        } catch (JsonMappingException e) {
            String field = e.getPath().stream()
                    .map(step -> step.getFieldName() == null ? "[" + step.getIndex() + "]" : step.getFieldName())
                    .collect(Collectors.joining("."));
            throw new InvalidJobException(names.apply(field) + ": " + firstLine(e.getOriginalMessage()), e);
        } catch (JsonProcessingException e) {
            throw new InvalidJobException(what + " cannot be read: " + firstLine(e.getOriginalMessage()), e);
        }
    }

    /** 1e999 is a number to JSON, and infinite to a double; YAML and command lines have .nan and NaN. */
    private static void notFinite(JsonNode node, String at, ObjDoubleConsumer<String> found) {
        if (node.isFloatingPointNumber() && !Double.isFinite(node.doubleValue())) {
            found.accept(at, node.doubleValue());
        }
        for (int i = 0; node.isArray() && i < node.size(); i++) {
            notFinite(node.get(i), at + "[" + i + "]", found);
        }
        if (node.isObject()) {
            node.fields()
                    .forEachRemaining(field -> notFinite(
                            field.getValue(), at.isEmpty() ? field.getKey() : at + "." + field.getKey(), found));
        }
    }

    private static String describe(
            ValidationMessage problem, JsonSchema schema, String what, UnaryOperator<String> names) {
        var location = problem.getInstanceLocation();
        StringBuilder at = new StringBuilder();
        for (int i = 0; i < location.getNameCount(); i++) {
            Object step = location.getElement(i);
            at.append(step instanceof Integer ? "[" + step + "]" : (at.isEmpty() ? "" : ".") + step);
        }
        if (problem.getProperty() != null) {
            at.append(at.isEmpty() ? "" : ".").append(problem.getProperty());
        }
        String message = problem.getMessage();
        JsonNode limit = problem.getSchemaNode();
        String instead = ", not " + shortened(shown(problem.getInstanceNode()));
        String wrong =
                switch (problem.getType()) {
                    case "additionalProperties" ->
                        "is not a field of " + what
                                + Nearest.hint(problem.getProperty(), fieldsBeside(problem, schema));
                    case "required" -> "is required";
                    case "minimum" -> "must be at least " + limit + instead;
                    case "maximum" -> "must be at most " + limit + instead;
                    case "exclusiveMinimum" -> "must be above " + limit + instead;
                    case "exclusiveMaximum" -> "must be below " + limit + instead;
                    case "enum" ->
                        "must be one of " + String.join(", ", texts(limit)) + instead
                                + Nearest.hint(problem.getInstanceNode().asText(), texts(limit));
                    case "pattern" ->
                        problem.getArguments()[0].equals(ArtifactRef.URI)
                                ? "must be an s3:// or file: URI"
                                : problem.getArguments()[0].equals(EvaluationTask.TASK)
                                        ? "must be a task's name, or the s3:// or file: URI of a task file"
                                        : "must match " + problem.getArguments()[0];
                    default ->
                        message.startsWith(location + ": ")
                                ? message.substring(location.toString().length() + 2)
                                : message;
                };
        return names.apply(shortened(at.toString())) + ": " + wrong;
    }

    /** A value as people type it: a command line's numbers are doubles, whether they have a fraction or not. */
    private static String shown(JsonNode value) {
        boolean whole = value.isDouble() && value.canConvertToExactIntegral();
        return whole ? value.bigIntegerValue().toString() : String.valueOf(value);
    }

    private static List<String> texts(JsonNode values) {
        List<String> texts = new ArrayList<>();
        values.forEach(value -> texts.add(value.asText()));
        return texts;
    }

    /** The names that {@code schema} has where {@code problem} found one that it does not have. */
    private static List<String> fieldsBeside(ValidationMessage problem, JsonSchema schema) {
        JsonNodePath rule = problem.getSchemaLocation().getFragment(); // .../additionalProperties
        JsonNode node = schema.getSchemaNode();
        for (int i = 0; i < rule.getNameCount() - 1; i++) {
            node = rule.getElement(i) instanceof Integer index
                    ? node.path(index)
                    : node.path(String.valueOf(rule.getElement(i)));
        }
        List<String> names = new ArrayList<>();
        node.path("properties").fieldNames().forEachRemaining(names::add);
        return names;
    }

    private static String shortened(String text) {
        String line = text.replaceAll("\\p{Cntrl}", "?");
        return line.length() <= 200 ? line : line.substring(0, 200) + "...";
    }

    private static String firstLine(String text) {
        return text.lines().findFirst().orElse("");
    }
}
