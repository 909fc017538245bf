package io.safelora.contract;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.contract.JobRequest.Dtype;
import jakarta.validation.Valid;
import jakarta.validation.constraints.Max;
import jakarta.validation.constraints.Min;
import jakarta.validation.constraints.NotNull;
import jakarta.validation.constraints.Pattern;
import jakarta.validation.constraints.Size;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A judge that a job brings: a guard model that is run here, or a model behind an OpenAI-compatible endpoint. Tasks
 * name it by its id.
 */
public record JudgeOptions(
        @NotNull
        @Pattern(regexp = "^[a-z0-9][a-z0-9._-]{0,63}$")
        @JsonPropertyDescription("What tasks, scores and verdicts call it: lower-case letters, digits, . _ -")
        String id,

        @NotNull
        @JsonPropertyDescription("qwen3guard: Qwen3Guard-Gen; llama-guard-3: Llama Guard 3; "
                + "harmbench-classifier: HarmBench's; endpoint: any OpenAI-compatible chat "
                + "endpoint, which grades by a rubric of 1 to 5")
        Type type,

        @Pattern(regexp = ArtifactRef.URI)
        @JsonPropertyDescription("qwen3guard, llama-guard-3, harmbench-classifier: s3:// or file: URI of the "
                + "guard model (a Hugging Face model directory); required")
        String model,

        @JsonProperty(defaultValue = "auto")
        @JsonPropertyDescription("Guard models: what they compute in: auto, the checkpoint's own; float32; bfloat16")
        Dtype dtype,

        @Min(1)
        @Max(1024)
        @JsonProperty(defaultValue = "16")
        @JsonPropertyDescription("Guard models: exchanges that are judged together, if the memory allows")
        Integer batchSize,

        @Pattern(regexp = ArtifactRef.URI)
        @JsonPropertyDescription("harmbench-classifier (required), endpoint: s3:// or file: URI of the "
                + "prompt, a text with {request} and {answer} (or HarmBench's {behavior} and "
                + "{generation}); default of an endpoint: the rubric of docs/evaluation.md")
        String template,

        @Size(max = 1000)
        @Pattern(regexp = "^https?://[^\\s?#@]+$")
        @JsonPropertyDescription("endpoint: the API's base, to which /chat/completions is appended: "
                + "https://api.example.com/v1; required")
        String url,

        @Size(min = 1, max = 200) @JsonPropertyDescription("endpoint: the model's name there; required")
        String modelName,

        @Pattern(regexp = "^[A-Z][A-Z0-9_]{0,80}_API_KEY$")
        @JsonPropertyDescription("endpoint: the environment variable of the services that holds the key; its "
                + "name ends in _API_KEY, so that a job cannot send other secrets; default: no "
                + "key")
        String apiKeyEnv,

        @Min(1)
        @Max(3600)
        @JsonProperty(defaultValue = "60")
        @JsonPropertyDescription("endpoint: seconds for one reply, whole")
        Integer timeoutSeconds,

        @Min(1)
        @Max(10_000_000)
        @JsonProperty(defaultValue = "10000")
        @JsonPropertyDescription("endpoint: the budget: most requests of one evaluation, repeated ones "
                + "included; replies that are known already cost none")
        Integer maxRequests,

        @Min(1)
        @Max(64)
        @JsonProperty(defaultValue = "4")
        @JsonPropertyDescription("endpoint: requests at the same time")
        Integer concurrency) {

    /** Judges by words, which need no declaration. */
    public static final List<String> BUILT_IN = List.of("refusal-phrases", "gcg-keywords");

    private static final Set<String> OF_ALL = Set.of("id", "type");

    /** What judges. */
    public enum Type {
        @JsonProperty("qwen3guard")
        qwen3guard(List.of("model"), Set.of("dtype", "batch_size"), true),
        @JsonProperty("llama-guard-3")
        llama_guard_3(List.of("model"), Set.of("dtype", "batch_size"), false),
        @JsonProperty("harmbench-classifier")
        harmbench_classifier(List.of("model", "template"), Set.of("dtype", "batch_size"), false),
        @JsonProperty("endpoint")
        endpoint(
                List.of("url", "model_name"),
                Set.of("template", "api_key_env", "timeout_seconds", "max_requests", "concurrency"),
                false);

        private final List<String> needs;
        private final Set<String> takes;
        private final boolean saysRefusal;

        Type(List<String> needs, Set<String> takes, boolean saysRefusal) {
            this.needs = needs;
            this.takes = takes;
            this.saysRefusal = saysRefusal;
        }

        /** Whether it says of an answer if it refuses, and not only if it is harmful. */
        public boolean saysRefusal() {
            return saysRefusal;
        }

        /** As documents have it. */
        @Override
        public String toString() {
            return name().replace('_', '-');
        }
    }

    public JudgeOptions {
        if (type != null && type != Type.endpoint) {
            dtype = dtype == null ? Dtype.auto : dtype;
            batchSize = batchSize == null ? 16 : batchSize;
        } else if (type == Type.endpoint) {
            timeoutSeconds = timeoutSeconds == null ? 60 : timeoutSeconds;
            maxRequests = maxRequests == null ? 10_000 : maxRequests;
            concurrency = concurrency == null ? 4 : concurrency;
        }
    }

    /** The part of a job document that declares judges. */
    public record Declaration(
            @NotNull @Valid @Size(max = 20) List<JudgeOptions> judges) {

        /** @throws InvalidJobException if the document has anything else, or a declaration is not whole */
        public static Declaration of(JsonNode document) {
            Declaration declaration = Validation.read(document, Declaration.class, "a declaration of judges");
            byId(declaration.judges());
            return declaration;
        }
    }

    /** What verdicts depend on but for the content of files: not how fast or how often it is asked. */
    public ObjectNode identity() {
        ObjectNode json = Json.MAPPER.valueToTree(this);
        json.remove(List.of(
                "model", "template", "batch_size", "api_key_env", "timeout_seconds", "max_requests", "concurrency"));
        return json;
    }

    /** @throws InvalidJobException naming what is missing, or not of the type */
    private void check(String at) {
        ObjectNode given = Json.MAPPER.valueToTree(this);
        for (String field : type.needs) {
            if (!given.has(field)) {
                throw new InvalidJobException(at + field + ": is missing, and a judge of type " + type
                        + " needs it; docs/job.md says what it is");
            }
        }
        given.fieldNames().forEachRemaining(field -> {
            if (!OF_ALL.contains(field) && !type.needs.contains(field) && !type.takes.contains(field)) {
                throw new InvalidJobException(at + field + ": is not for a judge of type " + type + "; leave it out");
            }
        });
    }

    /**
     * Refuses declarations that are not whole, and tasks that ask for a judge that nobody declared, or for one that
     * cannot say what the task counts.
     *
     * @throws InvalidJobException naming the field
     */
    static void check(JobRequest request) {
        Map<String, JudgeOptions> declared = byId(request.judges());
        for (int i = 0; i < request.evaluation().size(); i++) {
            EvaluationTask task = request.evaluation().get(i);
            check(task, TaskFile.named(task.task()).orElse(null), "evaluation[" + i + "].judge[%d]", declared);
        }
    }

    /** The same for the options of a command line. */
    static void check(EvaluationTask task, List<JudgeOptions> judges) {
        check(task, TaskFile.named(task.task()).orElse(null), Options.option("judge"), byId(judges));
    }

    /** The same where the task's file is read: it may name judges, too. */
    public static void check(EvaluationTask task, TaskFile file, List<JudgeOptions> judges) {
        check(task, file, "judge[%d]", byId(judges));
    }

    private static Map<String, JudgeOptions> byId(List<JudgeOptions> judges) {
        Map<String, JudgeOptions> declared = new LinkedHashMap<>();
        for (int i = 0; i < judges.size(); i++) {
            JudgeOptions judge = judges.get(i);
            judge.check("judges[" + i + "].");
            if (BUILT_IN.contains(judge.id()) || declared.put(judge.id(), judge) != null) {
                throw new InvalidJobException("judges[" + i + "].id: " + judge.id()
                        + (BUILT_IN.contains(judge.id()) ? " is a judge already" : " is declared twice")
                        + "; give this one another id");
            }
        }
        return declared;
    }

    /**
     * @param file null: not read yet
     * @param at what messages call the field, with a place for the index where it is a list's
     */
    private static void check(EvaluationTask task, TaskFile file, String at, Map<String, JudgeOptions> declared) {
        List<String> known = new ArrayList<>(BUILT_IN);
        known.addAll(declared.keySet());
        boolean refusals = file != null && file.metrics().contains("refused");
        List<String> own = file == null || file.judge() == null ? List.of() : file.judge();
        List<String> ids = task.judge() == null ? own : task.judge();
        for (int i = 0; i < ids.size(); i++) {
            String id = ids.get(i);
            if (!known.contains(id)) {
                throw new InvalidJobException(at.formatted(i) + ": must be one of " + String.join(", ", known)
                        + ", or the id of a judge that is declared under judges, not " + JobId.shown(id)
                        + Nearest.hint(id, known));
            }
            JudgeOptions judge = declared.get(id);
            if (judge != null && refusals && !judge.type().saysRefusal()) {
                throw new InvalidJobException(at.formatted(i) + ": " + id + " is of type " + judge.type()
                        + ", which does not say whether an answer refuses; use it for harmfulness");
            }
        }
    }
}
