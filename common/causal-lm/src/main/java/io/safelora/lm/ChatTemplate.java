package io.safelora.lm;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.hubspot.jinjava.interpret.RenderResult;
import com.hubspot.jinjava.interpret.TemplateError;
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
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A model's chat template: Jinja from chat_template.jinja (transformers 5) or tokenizer_config.json (transformers 4). It is
 * a stranger's program, so its time, output and nesting are bounded.
 */
public final class ChatTemplate {
    private static final int MAX_SOURCE = 200_000;
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
        if (Files.exists(file)) {
            checkSize(file, Files.size(file));
            source = Files.readString(file);
        } else if (source != null) {
            checkSize(config, source.length());
        }
        return new ChatTemplate(source, tokens);
    }

    private static void checkSize(Path file, long size) {
        if (size > MAX_SOURCE) {
            throw new InvalidArtifactException(
                    file + ": its chat template has " + size + " characters; at most " + MAX_SOURCE + " are rendered");
        }
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
        RenderResult result = inTime(
                () -> Jinja.engine().renderForResult(withNamedArguments(withoutBlockWhitespace(source)), variables));
        for (TemplateError error : result.getErrors()) {
            if (error.getSeverity() == TemplateError.ErrorType.FATAL) {
                throw failed(error);
            }
        }
        return result.getOutput();
    }

    /** One expression, between two looks at the clock, may take long itself: its thread is left behind. */
    private static RenderResult inTime(Callable<RenderResult> rendering) {
        FutureTask<RenderResult> task = new FutureTask<>(rendering);
        Thread thread = new Thread(task, "chat-template");
        thread.setDaemon(true);
        thread.start();
        try {
            return task.get(2 * Jinja.MAX_SECONDS, TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            throw Jinja.tooLong();
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

    /**
     * Jinja's whitespace control ({@code {%- -%} {{- -}}}) and transformers' settings lstrip_blocks and trim_blocks, done on
     * the text: Jinjava follows them in part only.
     */
    private static String withoutBlockWhitespace(String template) {
        // Spaces are looked at once, from the first of a row on: a row of a million must not take its square.
        return template.replaceAll("(?m)^[ \\t]++(?=\\{[%#](?![-+]))", "")
                .replaceAll("(?<=[^-][%#]\\})\\n", "")
                .replaceAll("(?<!\\s)\\s*+\\{([{%#])-", "{$1")
                .replaceAll("-([}%#])\\}\\s*+", "$1}")
                // The one slice with a step that templates use; Jinjava reads none.
                .replace("[::-1]", "|reverse");
    }

    /** {@code namespace(i=n - 1)} as {@code namespace(i=(n - 1))}: Jinjava would take {@code i=n} for the argument. */
    private static String withNamedArguments(String template) {
        StringBuilder out = new StringBuilder();
        Matcher argument = Pattern.compile("[(,]\\s*+\\w++\\s*+=(?!=)").matcher(template);
        int begin = 0;
        for (int call; (call = template.indexOf("namespace(", begin)) >= 0; ) {
            int open = call + "namespace".length();
            out.append(template, begin, open);
            int depth = 0;
            char quote = 0;
            int at = open;
            boolean named = false;
            for (; at < template.length(); at++) {
                char c = template.charAt(at);
                if (quote != 0) {
                    quote = c == quote ? 0 : quote;
                } else if (c == '\'' || c == '"') {
                    quote = c;
                } else if (c == ')' || c == ']' || c == '}') {
                    depth--;
                } else if (c == '(' || c == '[' || c == '{') {
                    depth++;
                }
                boolean ends = quote == 0 && (depth == 0 || depth == 1 && c == ',');
                if (ends && named) {
                    out.append(')');
                    named = false;
                }
                if (depth == 0) {
                    break;
                }
                argument.region(at, template.length());
                if (quote == 0 && depth == 1 && (c == '(' || c == ',') && argument.lookingAt()) {
                    out.append(argument.group()).append('(');
                    at = argument.end() - 1;
                    named = true;
                } else {
                    out.append(c);
                }
            }
            begin = at;
        }
        return out.append(template, begin, template.length()).toString();
    }
}
