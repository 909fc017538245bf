package io.safelora.evaluation.judge;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.contract.InvalidInputException;
import io.safelora.contract.JudgeOptions;
import io.safelora.contract.JudgeOptions.Type;
import io.safelora.contract.Nearest;
import io.safelora.lm.CausalLm;
import io.safelora.lm.ModelFiles;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;

/**
 * The judges of a job, by their ids. Each is opened when its turn comes and closed after it: no two models stand in
 * memory.
 */
public final class Judges {
    /** Those by words, which need no declaration. */
    public static final Judges BUILT_IN = new Judges(List.of(), null);

    private static final Duration FIRST_PAUSE = Duration.ofSeconds(1);
    private static final String RUBRIC = "rubric.txt";

    private final Map<String, JudgeOptions> declared = new LinkedHashMap<>();
    private final Access access;

    /** @param declared a job's, checked; {@code access} may be null if there are none */
    public Judges(List<JudgeOptions> declared, Access access) {
        declared.forEach(judge -> this.declared.put(judge.id(), judge));
        this.access = access;
    }

    /** Where a document's URI lies on this machine, once it is there. */
    public interface Files {
        Path at(String uri) throws IOException;
    }

    /** Loads a guard model. */
    public interface Models {
        CausalLm load(Path checkpoint, String dtype) throws IOException;
    }

    /**
     * What judges need of the world.
     *
     * @param urls which endpoints may be asked from here
     * @param environment an environment variable's value, or null
     */
    public record Access(
            Files files,
            Models models,
            ReplyCache replies,
            Predicate<String> urls,
            UnaryOperator<String> environment) {}

    /** @throws InvalidInputException if one of these is neither built in nor declared; a task file may name any */
    public void checkKnown(List<String> ids) {
        List<String> known = new ArrayList<>(JudgeOptions.BUILT_IN);
        known.addAll(declared.keySet());
        for (String id : ids) {
            if (!known.contains(id)) {
                throw new InvalidInputException("there is no judge " + id + Nearest.hint(id, known) + "; there are "
                        + String.join(", ", known) + "; declare it under judges");
            }
        }
    }

    /** Identifies the content at a document's URI. */
    public interface Digests {
        String of(String uri) throws IOException;
    }

    /** All that verdicts depend on, in a form whose JSON is the same whenever it is: for content addresses. */
    public List<Map<String, Object>> identity(Digests digests) throws IOException {
        List<Map<String, Object>> identities = new ArrayList<>();
        for (Judge words : List.of(new RefusalPhrases(), new GcgKeywords())) {
            identities.add(Map.of("judge", words.id(), "template", words.templateSha256()));
        }
        for (JudgeOptions judge : declared.values()) {
            Map<String, Object> identity = new LinkedHashMap<>();
            identity.put("judge", judge.identity());
            identity.put("model", judge.model() == null ? "" : digests.of(judge.model()));
            // A guard model's own template is part of the model.
            PromptTemplate template = template(judge);
            identity.put("template", template == null ? "" : template.sha256());
            identities.add(identity);
        }
        return identities;
    }

    /**
     * Opens a judge. A guard model is loaded by this.
     *
     * @throws InvalidInputException if there is no such judge, or its model or prompt cannot be used
     */
    public Judge open(String id) throws IOException {
        JudgeOptions judge = declared.get(id);
        if (judge == null) {
            return switch (id) {
                case "refusal-phrases" -> new RefusalPhrases();
                case "gcg-keywords" -> new GcgKeywords();
                default -> throw new InvalidInputException("there is no judge " + id + "; declare it under judges");
            };
        }
        PromptTemplate template = template(judge);
        if (judge.type() == Type.endpoint) {
            return new Endpoint(judge, template, client(judge, true), access.replies());
        }
        GuardFormat format = GuardFormat.of(judge.type(), template);
        CausalLm model = access.models()
                .load(access.files().at(judge.model()), judge.dtype().name());
        try {
            check(judge, format, model.files());
            return new GuardModel(id, format, model, judge.batchSize());
        } catch (RuntimeException e) {
            model.close();
            throw e;
        }
    }

    /**
     * Looks for endpoints that are down and prompts that cannot be used, before there is anything to judge.
     *
     * @param withKeys whether the keys of endpoints must be here; only who judges needs them
     * @throws JudgeUnavailableException if an endpoint does not answer
     * @throws InvalidInputException if one may not be asked from here, or a prompt cannot be used
     */
    public void check(boolean withKeys) throws IOException {
        for (JudgeOptions judge : declared.values()) {
            template(judge);
            if (judge.type() == Type.endpoint) {
                client(judge, withKeys).probe();
            }
        }
    }

    /**
     * Refuses a guard model that is not what it is declared as.
     *
     * @param model its files
     */
    public void check(String id, ModelFiles model) throws IOException {
        JudgeOptions judge = declared.get(id);
        check(judge, GuardFormat.of(judge.type(), template(judge)), model);
    }

    private static void check(JudgeOptions judge, GuardFormat format, ModelFiles model) {
        try {
            model.checkGeneration(false);
            format.prompt().check(model);
        } catch (InvalidArtifactException e) {
            throw new InvalidArtifactException("judge " + judge.id() + ", " + judge.model() + ": " + e.getMessage(), e);
        }
    }

    /** A judge's prompt; null where a guard model's chat template is that. */
    private PromptTemplate template(JudgeOptions judge) throws IOException {
        if (judge.template() != null) {
            try {
                return PromptTemplate.read(access.files().at(judge.template()));
            } catch (InvalidArtifactException e) {
                throw new InvalidArtifactException(
                        "judge " + judge.id() + ", " + judge.template() + ": " + e.getMessage(), e);
            }
        }
        return judge.type() == Type.endpoint ? new PromptTemplate(Resources.text(RUBRIC)) : null;
    }

    private ChatClient client(JudgeOptions judge, boolean withKey) {
        if (!access.urls().test(judge.url())) {
            throw new InvalidInputException("judge " + judge.id() + ": " + judge.url()
                    + " may not be asked from here; whoever runs the services allows it by SAFELORA_JUDGE_URLS");
        }
        String key = judge.apiKeyEnv() == null ? null : access.environment().apply(judge.apiKeyEnv());
        if (withKey && key == null && judge.apiKeyEnv() != null) {
            throw new InvalidInputException("judge " + judge.id() + ": the environment variable " + judge.apiKeyEnv()
                    + " with its key is not set where it is asked from; set it, or leave out api_key_env");
        }
        return new ChatClient(judge, key, FIRST_PAUSE);
    }
}
