package io.safelora.lm;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.hubspot.jinjava.interpret.RenderResult;
import com.hubspot.jinjava.interpret.TemplateError;
import io.safelora.artifacts.InvalidArtifactException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A model's chat template: Jinja from chat_template.jinja (transformers 5) or tokenizer_config.json (transformers 4). It is
 * a stranger's program, so its time, output and nesting are bounded.
 */
public final class ChatTemplate {
    private static final int MAX_SOURCE = 200_000;
    private static final List<String> SPECIAL_TOKENS =
            List.of("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token");
    private static final String DEFAULT = "default";
    private static final String TOOL_USE = "tool_use";
    private static final Pattern GENERATION = Pattern.compile("\\{%[-+]?\\s*generation\\s*[-+]?%}");

    /** By name, as transformers 4 lists them in tokenizer_config.json; a model with one template has the default only. */
    private final Map<String, String> sources;

    private final Map<String, Object> tokens;

    private ChatTemplate(Map<String, String> sources, Map<String, Object> tokens) {
        this.sources = sources;
        this.tokens = tokens;
    }

    /** One turn of plain text. */
    public record Message(String role, String content) {}

    /**
     * What a template is given, as to transformers' apply_chat_template.
     *
     * @param messages each with all its keys: role, content (a text, null, or a list of parts), tool_calls, name,
     *     tool_call_id, reasoning_content, ...
     * @param tools JSON schemas of functions; null: none
     * @param templateKwargs further variables of the template, such as enable_thinking; null: none
     */
    public record Conversation(List<ObjectNode> messages, ArrayNode tools, ObjectNode templateKwargs) {
        /** Plain turns. */
        public static Conversation of(List<Message> messages) {
            return new Conversation(
                    messages.stream()
                            .map(m -> JsonNodeFactory.instance
                                    .objectNode()
                                    .put("role", m.role())
                                    .put("content", m.content()))
                            .toList(),
                    null,
                    null);
        }
    }

    /**
     * A rendered conversation.
     *
     * @param generated where the text stands that the template has between {@code {% generation %}} and
     *     {@code {% endgeneration %}}: the assistant's own words, in the text's order
     */
    public record Rendering(String text, List<Span> generated) {}

    /** Characters of a text: its chars (UTF-16) from {@code begin} to before {@code end}. */
    public record Span(int begin, int end) {}

    /** Loads a model directory's templates; a directory may have none. */
    public static ChatTemplate load(Path directory) throws IOException {
        Path config = directory.resolve("tokenizer_config.json");
        JsonNode json = Files.exists(config) ? new ObjectMapper().readTree(config.toFile()) : null;
        Map<String, Object> tokens = new HashMap<>();
        Map<String, String> sources = new HashMap<>();
        if (json != null) {
            for (String name : SPECIAL_TOKENS) {
                JsonNode token = json.path(name);
                if (!token.isMissingNode() && !token.isNull()) {
                    tokens.put(name, token.path("content").asText(token.asText()));
                }
            }
            JsonNode template = json.path("chat_template");
            if (template.isTextual()) {
                sources.put(DEFAULT, template.asText());
            } else if (template.isArray()) {
                for (JsonNode named : template) {
                    sources.put(
                            named.path("name").asText(), named.path("template").asText());
                }
            }
            for (String source : sources.values()) {
                checkSize(config, source.length());
            }
        }
        Map<String, String> files = new HashMap<>();
        Path file = directory.resolve("chat_template.jinja");
        if (Files.exists(file)) {
            files.put(DEFAULT, read(file));
        }
        Path named = directory.resolve("additional_chat_templates");
        for (String name : Files.isDirectory(named) ? List.of(DEFAULT, TOOL_USE) : List.<String>of()) {
            if (Files.exists(named.resolve(name + ".jinja"))) {
                files.put(name, read(named.resolve(name + ".jinja")));
            }
        }
        return new ChatTemplate(files.isEmpty() ? sources : files, tokens);
    }

    private static String read(Path file) throws IOException {
        checkSize(file, Files.size(file));
        return Files.readString(file);
    }

    private static void checkSize(Path file, long size) {
        if (size > MAX_SOURCE) {
            throw new InvalidArtifactException(
                    file + ": its chat template has " + size + " characters; at most " + MAX_SOURCE + " are rendered");
        }
    }

    /** Whether the model has a template. */
    public boolean isPresent() {
        return !sources.isEmpty();
    }

    /** Whether every template that a conversation may get says by {@code {% generation %}} which text the assistant wrote. */
    public boolean marksGeneration() {
        return isPresent()
                && Stream.of(DEFAULT, TOOL_USE)
                        .filter(sources::containsKey)
                        .allMatch(name -> GENERATION.matcher(sources.get(name)).find());
    }

    /** {@link #render(Conversation, boolean)} of plain turns. */
    public String render(List<Message> messages, boolean addGenerationPrompt) {
        return render(Conversation.of(messages), addGenerationPrompt);
    }

    /**
     * The conversation as the model was taught to see it.
     *
     * @param addGenerationPrompt whether the text ends where the assistant's answer begins
     * @throws InvalidArtifactException if the model has no template, or the template refuses or breaks a bound
     */
    public String render(Conversation conversation, boolean addGenerationPrompt) {
        return rendering(conversation, addGenerationPrompt).text();
    }

    /** As {@link #render(Conversation, boolean)}, with the places of what the template marks as the assistant's words. */
    public Rendering rendering(Conversation conversation, boolean addGenerationPrompt) {
        String source = source(conversation.tools() != null);
        Map<String, Object> variables = new HashMap<>(tokens);
        variables.put("messages", values(conversation.messages()));
        variables.put("tools", values(conversation.tools()));
        variables.put("documents", null);
        variables.put("add_generation_prompt", addGenerationPrompt);
        if (conversation.templateKwargs() != null) {
            conversation
                    .templateKwargs()
                    .fields()
                    .forEachRemaining(e -> variables.put(e.getKey(), values(e.getValue())));
        }
        String marked = GENERATION.matcher(withoutBlockWhitespace(source)).replaceAll("{{ '" + BEGIN + "' }}");
        String marked2 = marked.replaceAll("\\{%[-+]?\\s*endgeneration\\s*[-+]?%}", "{{ '" + END + "' }}");
        RenderResult result = inTime(() -> Jinja.engine().renderForResult(withNamedArguments(marked2), variables));
        for (TemplateError error : result.getErrors()) {
            if (error.getSeverity() == TemplateError.ErrorType.FATAL) {
                throw failed(error);
            }
        }
        StringBuilder text = new StringBuilder();
        List<Span> generated = new ArrayList<>();
        int begin = 0;
        for (char c : result.getOutput().toCharArray()) {
            if (c == BEGIN) {
                begin = text.length();
            } else if (c == END) {
                generated.add(new Span(begin, text.length()));
            } else {
                text.append(c);
            }
        }
        return new Rendering(text.toString(), generated);
    }

    private static final char BEGIN = '\uFDD0';
    private static final char END = '\uFDD1';

    private static Object values(Object json) {
        return new ObjectMapper().convertValue(json, Object.class);
    }

    /** transformers' choice. */
    private String source(boolean tools) {
        String name = tools && sources.containsKey(TOOL_USE) ? TOOL_USE : DEFAULT;
        if (!sources.containsKey(name)) {
            throw new InvalidArtifactException(
                    isPresent()
                            ? "the model has chat templates " + new TreeSet<>(sources.keySet())
                                    + ", but no default one; add chat_template.jinja"
                            : "the model has no chat template; set apply_chat_template to false, or add chat_template.jinja");
        }
        return sources.get(name);
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
