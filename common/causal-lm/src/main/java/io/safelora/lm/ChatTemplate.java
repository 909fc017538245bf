package io.safelora.lm;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.interpret.RenderResult;
import com.hubspot.jinjava.interpret.TemplateError;
import com.hubspot.jinjava.lib.fn.ELFunctionDefinition;
import com.hubspot.jinjava.lib.tag.ForTag;
import com.hubspot.jinjava.tree.TagNode;
import io.safelora.artifacts.InvalidArtifactException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * A model's chat template: Jinja from chat_template.jinja (transformers 5) or tokenizer_config.json (transformers 4). It is
 * a stranger's program, so its time, output and nesting are bounded.
 */
public final class ChatTemplate {
    private static final int MAX_OUTPUT = 1_000_000;
    private static final long MAX_SECONDS = 5;

    private final String source;
    private final Map<String, Object> tokens;

    private ChatTemplate(String source, Map<String, Object> tokens) {
        this.source = source;
        this.tokens = tokens;
    }

    /** One turn of a conversation. */
    public record Message(String role, String content) {}

    /** Loads a model directory's template; a directory may have none. */
    public static ChatTemplate load(Path directory) throws IOException {
        Path config = directory.resolve("tokenizer_config.json");
        JsonNode json = Files.exists(config) ? new ObjectMapper().readTree(config.toFile()) : null;
        Map<String, Object> tokens = new HashMap<>();
        String source = null;
        if (json != null) {
            for (String name : List.of("bos_token", "eos_token", "unk_token", "pad_token")) {
                JsonNode token = json.path(name);
                if (!token.isMissingNode() && !token.isNull()) {
                    tokens.put(name, token.path("content").asText(token.asText()));
                }
            }
            JsonNode template = json.path("chat_template");
            if (template.isTextual()) {
                source = template.asText();
            } else if (template.isArray()) { // named templates: the one called default
                for (JsonNode named : template) {
                    if (named.path("name").asText().equals("default")) {
                        source = named.path("template").asText();
                    }
                }
            }
        }
        Path file = directory.resolve("chat_template.jinja");
        return new ChatTemplate(Files.exists(file) ? Files.readString(file) : source, tokens);
    }

    /** Whether the model has a template. */
    public boolean isPresent() {
        return source != null;
    }

    /**
     * The conversation as the model was taught to see it.
     *
     * @param addGenerationPrompt whether the text ends where the assistant's answer begins
     * @throws InvalidArtifactException if the model has no template, or the template refuses or breaks a bound
     */
    public String render(List<Message> messages, boolean addGenerationPrompt) {
        if (source == null) {
            throw new InvalidArtifactException(
                    "the model has no chat template; set apply_chat_template to false, or add chat_template.jinja");
        }
        Map<String, Object> variables = new HashMap<>(tokens);
        variables.put(
                "messages",
                messages.stream()
                        .map(m -> Map.of("role", m.role(), "content", m.content()))
                        .toList());
        variables.put("add_generation_prompt", addGenerationPrompt);
        RenderResult result = inTime(() -> engine().renderForResult(withoutBlockWhitespace(source), variables));
        for (TemplateError error : result.getErrors()) {
            if (error.getSeverity() == TemplateError.ErrorType.FATAL) {
                throw failed(error);
            }
        }
        return result.getOutput();
    }

    /** Calls with recursive macros have no place where a deadline can be checked: such a thread is left behind. */
    private static RenderResult inTime(Callable<RenderResult> rendering) {
        FutureTask<RenderResult> task = new FutureTask<>(rendering);
        Thread thread = new Thread(task, "chat-template");
        thread.setDaemon(true);
        thread.start();
        try {
            return task.get(2 * MAX_SECONDS, TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            throw tooLong();
        } catch (ExecutionException e) {
            throw new InvalidArtifactException("the model's chat template fails: " + e.getCause(), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while the chat template was rendered", e);
        }
    }

    /** Jinjava wraps what our own functions throw. */
    private static InvalidArtifactException failed(TemplateError error) {
        for (Throwable cause = error.getException(); cause != null; cause = cause.getCause()) {
            if (cause instanceof InvalidArtifactException own) {
                return own;
            }
        }
        return new InvalidArtifactException("the model's chat template fails: "
                + String.valueOf(error.getMessage()).lines().findFirst().orElse(""));
    }

    private static InvalidArtifactException tooLong() {
        return new InvalidArtifactException(
                "the model's chat template fails: it takes longer than " + MAX_SECONDS + " s");
    }

    /** One loop is as long as a list may be; loops in loops are stopped here. */
    private static final class TimedFor extends ForTag {
        private final long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(MAX_SECONDS);

        @Override
        public String interpret(TagNode node, JinjavaInterpreter interpreter) {
            if (System.nanoTime() > deadline) {
                throw tooLong();
            }
            return super.interpret(node, interpreter);
        }
    }

    /**
     * Jinja's whitespace control ({@code {%- -%} {{- -}}}) and transformers' settings lstrip_blocks and trim_blocks, done on
     * the text: Jinjava follows them in part only.
     */
    private static String withoutBlockWhitespace(String template) {
        return template.replaceAll("(?m)^[ \\t]+(?=\\{[%#](?![-+]))", "")
                .replaceAll("(?<=[^-][%#]\\})\\n", "")
                .replaceAll("\\s*\\{([{%#])-", "{$1")
                .replaceAll("-([}%#])\\}\\s*", "$1}");
    }

    private static Jinjava engine() {
        Jinjava jinjava = new Jinjava(JinjavaConfig.newBuilder()
                .withMaxOutputSize(MAX_OUTPUT)
                .withMaxStringLength(MAX_OUTPUT)
                .withMaxListSize(100_000)
                .withMaxMapSize(10_000)
                .withMaxRenderDepth(20)
                .withNestedInterpretationEnabled(false) // messages are data, never templates
                .build());
        jinjava.getGlobalContext().registerTag(new TimedFor());
        jinjava.getGlobalContext()
                .registerFunction(
                        new ELFunctionDefinition("", "raise_exception", ChatTemplate.class, "raise", String.class));
        return jinjava;
    }

    /** Called by templates that refuse a conversation. */
    public static String raise(String message) {
        throw new InvalidArtifactException("the model's chat template refuses the conversation: " + message);
    }
}
