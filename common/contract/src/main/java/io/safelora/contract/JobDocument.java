package io.safelora.contract;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import com.networknt.schema.JsonSchema;
import com.networknt.schema.JsonSchemaFactory;
import com.networknt.schema.SchemaValidatorsConfig;
import com.networknt.schema.SpecVersion;
import com.networknt.schema.ValidationMessage;
import java.util.Locale;
import java.util.stream.Collectors;
import org.yaml.snakeyaml.LoaderOptions;

/** Reads a job request from YAML or JSON, and says which field is wrong when one is. */
public final class JobDocument {
    private static final int MAX_CHARS = 1_000_000;
    private static final ObjectMapper YAML =
            new ObjectMapper(YAMLFactory.builder().loaderOptions(hostileInput()).build());
    private static final JsonSchema SCHEMA = JsonSchemaFactory.getInstance(SpecVersion.VersionFlag.V202012)
            .getSchema(
                    Schemas.of(JobRequest.class),
                    SchemaValidatorsConfig.builder().locale(Locale.ENGLISH).build());

    private JobDocument() {}

    /**
     * Parses and validates a job request.
     *
     * @param text YAML or JSON (JSON is YAML)
     * @throws InvalidJobException if it is not YAML, has an unknown field, a wrong type or a value out of range
     */
    public static JobRequest parse(String text) {
        if (text.length() > MAX_CHARS) {
            throw new InvalidJobException("the job document has " + text.length() + " characters; at most " + MAX_CHARS
                    + " are read. Data belongs in S3, referred to by URI");
        }
        JsonNode document;
        try {
            document = YAML.readTree(text);
        } catch (JsonProcessingException e) {
            throw new InvalidJobException(
                    "the job document is neither YAML nor JSON: " + firstLine(e.getOriginalMessage()), e);
        }
        if (document == null || !document.isObject()) {
            throw new InvalidJobException(
                    "the job document is empty or no mapping; it needs at least base and aligned");
        }
        var problems = SCHEMA.validate(document);
        if (!problems.isEmpty()) {
            throw new InvalidJobException(problems.stream()
                    .map(JobDocument::describe)
                    .sorted()
                    .distinct()
                    .collect(Collectors.joining("; ")));
        }
        JobRequest request;
        try {
            request = Json.MAPPER.treeToValue(document, JobRequest.class);
        } catch (JsonProcessingException e) {
            throw new InvalidJobException("the job document cannot be read: " + firstLine(e.getOriginalMessage()), e);
        }
        check(request);
        return request;
    }

    /** What a schema cannot say. */
    private static void check(JobRequest request) {
        if (request.training() == null && request.adapter() == null) {
            throw new InvalidJobException(
                    "training: is missing; give training options, or adapter with the URI of a PEFT adapter to skip training");
        }
        if (request.training() != null && request.adapter() != null) {
            throw new InvalidJobException("adapter: is given together with training; give only one of them");
        }
        for (int i = 0; i < request.evaluation().size(); i++) {
            EvaluationTask task = request.evaluation().get(i);
            if (task.numFewshot() > 0 && task.fewshotData() == null) {
                throw new InvalidJobException("evaluation[" + i + "].fewshot_data: is missing, but num_fewshot is "
                        + task.numFewshot() + "; give the rows to take examples from, or num_fewshot: 0");
            }
        }
    }

    private static String describe(ValidationMessage problem) {
        String at = problem.getInstanceLocation().toString().replaceFirst("^\\$\\.?", "");
        if (problem.getProperty() != null) {
            at = at.isEmpty() ? problem.getProperty() : at + "." + problem.getProperty();
        }
        String what =
                switch (problem.getType()) {
                    case "additionalProperties" -> "is not a field of a job request";
                    case "required" -> "is required";
                    default -> problem.getMessage().replaceFirst("^\\$[^:]*: ", "");
                };
        return (at.isEmpty() ? "document" : at) + ": " + what;
    }

    private static LoaderOptions hostileInput() {
        LoaderOptions options = new LoaderOptions();
        options.setMaxAliasesForCollections(20);
        options.setNestingDepthLimit(50);
        options.setCodePointLimit(MAX_CHARS);
        return options;
    }

    private static String firstLine(String text) {
        return text.lines().findFirst().orElse("");
    }
}
