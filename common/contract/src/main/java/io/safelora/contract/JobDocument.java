package io.safelora.contract;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectReader;
import io.safelora.contract.SelectionOptions.Projector;
import io.safelora.contract.SelectionOptions.Repair;
import io.safelora.contract.SelectionOptions.When;
import io.safelora.contract.TrainingOptions.Method;
import java.net.URI;
import java.nio.file.FileSystemNotFoundException;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.Set;

/** Reads a job request from YAML or JSON, and says which field is wrong when one is. */
public final class JobDocument {
    private static final int MAX_CHARS = 1_000_000;
    private static final ObjectReader JSON = Json.MAPPER
            .reader()
            .with(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .with(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    private JobDocument() {}

    /**
     * Parses and validates a job request.
     *
     * @param text YAML or JSON
     * @throws InvalidJobException if it is neither, has an unknown field, a wrong type or a value out of range; the
     *     message is one line that names the field
     */
    public static JobRequest parse(String text) {
        JobRequest request = Validation.read(tree(text), JobRequest.class, "a job request");
        check(request);
        return request;
    }

    /**
     * The document as a tree, not yet validated.
     *
     * @param text YAML or JSON
     * @throws InvalidJobException if it is neither
     */
    public static JsonNode tree(String text) {
        if (text.length() > MAX_CHARS) {
            throw new InvalidJobException("the job document has " + text.length() + " characters; at most " + MAX_CHARS
                    + " are read. Data belongs in S3, referred to by URI");
        }
        // JSON first: YAML refuses tabs between JSON's tokens and reads surrogate pairs in its own way.
        if (text.stripLeading().startsWith("{")) {
            try {
                return JSON.readTree(text);
            } catch (JsonProcessingException e) {
                return Yaml.read(text, "the job document");
            }
        }
        return Yaml.read(text, "the job document");
    }

    /** What a schema cannot say. */
    private static void check(JobRequest request) {
        JobUris.of(Json.MAPPER.valueToTree(request)).forEach(JobDocument::checkFile);
        checked(request.selection());
        if (request.training() == null && request.adapter() == null) {
            throw new InvalidJobException(
                    "training: is missing; give training options, or adapter with the URI of a PEFT "
                            + "adapter to skip training");
        }
        if (request.training() != null && request.adapter() != null) {
            throw new InvalidJobException("adapter: is given together with training; give only one of them");
        }
        if (request.training() != null) {
            check(request.training(), request);
        }
        if (request.requirements().any() && request.evaluation().isEmpty()) {
            throw new InvalidJobException(
                    "require: nothing measures it; list under evaluation the tasks to measure it by, or leave it out");
        }
        for (int i = 0; i < request.evaluation().size(); i++) {
            String at = "evaluation[" + i + "].";
            request.evaluation().get(i).check(field -> at + field);
        }
        JudgeOptions.check(request);
    }

    /** A file: URI without an absolute path would mean another file in every process, and Java cannot read it. */
    private static void checkFile(JobUris.Field field) {
        if (field.text().startsWith("file:")) {
            file(field.path(), field.text());
        }
    }

    /**
     * The path that a file: URI names.
     *
     * @param field where it was given, for messages
     * @throws InvalidJobException if it names none
     */
    public static Path file(String field, String uri) {
        try {
            return Path.of(URI.create(uri));
        } catch (IllegalArgumentException | FileSystemNotFoundException e) {
            throw new InvalidJobException(field + ": " + JobId.shown(uri)
                    + " is not the URI of a file; write file:///absolute/path, with %20 for a blank");
        }
    }

    private static void check(TrainingOptions training, JobRequest request) {
        training.check();
        training.checkDtype(request.dtype().name());
        if (training.method() == Method.full && request.selection().when() == When.every_step) {
            throw new InvalidJobException(
                    "selection.when: every-step is for adapters; with training.method full leave it out, "
                            + "and the checkpoint is repaired after training");
        }
    }

    /**
     * Refuses options that do not go together.
     *
     * @throws InvalidJobException naming the field
     */
    public static SelectionOptions checked(SelectionOptions selection) {
        JsonNode given = Json.MAPPER.valueToTree(selection);
        for (Repair repair : repairs(selection)) {
            for (String field : repair.needs()) {
                if (!given.has(field)) {
                    throw new InvalidJobException("selection." + field + ": is missing, and repair " + repair
                            + " needs it; docs/job.md says what it is");
                }
            }
        }
        if (selection.when() == When.every_step) {
            boolean idempotent =
                    selection.projector() == Projector.exact || selection.projector() == Projector.subspace;
            if (selection.repair() != Repair.safe_lora || !idempotent || selection.blend() != 1) {
                throw new InvalidJobException(
                        "selection.when: every-step needs repair safe-lora, blend 1 and projector exact or "
                                + "subspace: only those are idempotent, while "
                                + selection.projector() + " would shrink the update again at every step, to nothing");
            }
            if (selection.sweep() != null || selection.byCosine()) {
                throw new InvalidJobException(
                        "selection.when: every-step needs a strategy that chooses before training: all, "
                                + "energy or random");
            }
        }
        return selection;
    }

    private static Set<Repair> repairs(SelectionOptions selection) {
        Set<Repair> repairs = EnumSet.of(selection.repair());
        if (selection.sweep() != null && selection.sweep().repair() != null) {
            repairs.addAll(selection.sweep().repair());
        }
        return repairs;
    }
}
