package io.safelora.lm;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.lm.jinja.Template;
import io.safelora.lm.jinja.TemplateException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A model's chat template: Jinja from chat_template.jinja (transformers 5) or tokenizer_config.json (transformers 4).
 * It is a stranger's program, so its work, memory and nesting are bounded.
 */
public final class ChatTemplate {
    private static final int MAX_SOURCE = 200_000;
    private static final String DEFAULT = "default";
    private static final String TOOL_USE = "tool_use";
    private static final Pattern GENERATION = Pattern.compile("\\{%[-+]?\\s*generation\\s*[-+]?%}");

    /**
     * By name, as transformers 4 lists them in tokenizer_config.json; a model with one template has the default only.
     */
    private final Map<String, String> sources;

    private final Map<String, Object> tokens;
    private final Map<String, Template> parsed = new ConcurrentHashMap<>();

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
        JsonNode config = Tokenizer.read(directory, "tokenizer_config.json");
        Map<String, String> sources = templateFiles(directory);
        if (sources.isEmpty()) {
            JsonNode template = config.path("chat_template");
            if (template.isTextual()) {
                sources.put(DEFAULT, template.asText());
            }
            for (JsonNode named : template.isArray() ? template : List.<JsonNode>of()) {
                sources.put(named.path("name").asText(), named.path("template").asText());
            }
            for (String source : sources.values()) {
                checkSize(directory.resolve("tokenizer_config.json"), source.length());
            }
        }
        return new ChatTemplate(sources, specialTokens(directory, config));
    }

    /** Those of transformers 5, of which it gives a conversation the first two. */
    private static Map<String, String> templateFiles(Path directory) throws IOException {
        Map<String, String> sources = new HashMap<>();
        for (Path file : List.of(
                directory.resolve("chat_template.jinja"),
                directory.resolve("additional_chat_templates").resolve(DEFAULT + ".jinja"),
                directory.resolve("additional_chat_templates").resolve(TOOL_USE + ".jinja"))) {
            if (Files.exists(file)) {
                sources.put(file.endsWith(TOOL_USE + ".jinja") ? TOOL_USE : DEFAULT, read(file));
            }
        }
        return sources;
    }

    /** By their names, as templates call them: bos_token, eos_token, those of the model's own such as image_token. */
    private static Map<String, Object> specialTokens(Path directory, JsonNode config) throws IOException {
        List<JsonNode> sources = new ArrayList<>(List.of(config, config.path("extra_special_tokens")));
        if (!config.has("added_tokens_decoder")) { // as transformers, which takes the older file only then
            sources.add(Tokenizer.read(directory, "special_tokens_map.json"));
        }
        Map<String, Object> tokens = new HashMap<>();
        for (JsonNode source : sources) {
            source.fields().forEachRemaining(field -> {
                JsonNode token = field.getValue().isObject() ? field.getValue().path("content") : field.getValue();
                if (field.getKey().endsWith("_token") && token.isTextual()) {
                    tokens.put(field.getKey(), token.asText());
                }
            });
        }
        return tokens;
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

    /**
     * Whether every template that a conversation may get says by {@code {% generation %}} which text the assistant
     * wrote.
     */
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
        return output(conversation, addGenerationPrompt, Clock.systemDefaultZone())
                .text();
    }

    /**
     * As {@link #render(Conversation, boolean)}, with the places of what the template marks as the assistant's words.
     *
     * @throws InvalidArtifactException also if it marks text inside of a macro or another block, which has no place yet
     */
    public Rendering rendering(Conversation conversation, boolean addGenerationPrompt) {
        Template.Output output = output(conversation, addGenerationPrompt, Clock.systemDefaultZone());
        if (output.generated() == null) {
            throw new InvalidArtifactException("the model's chat template has {% generation %} inside of a macro, call,"
                    + " set or filter block; set assistant_only_loss to false, or write it outside of them");
        }
        return new Rendering(
                output.text(),
                output.generated().stream()
                        .map(span -> new Span(span.begin(), span.end()))
                        .toList());
    }

    Template.Output output(Conversation conversation, boolean addGenerationPrompt, Clock clock) {
        if (conversation.messages().isEmpty()) {
            throw new InvalidArtifactException("a conversation without messages cannot be rendered");
        }
        Map<String, Object> variables = new HashMap<>(tokens);
        variables.put(
                "messages",
                conversation.messages().stream().map(ChatTemplate::value).toList());
        variables.put("tools", value(conversation.tools()));
        variables.put("documents", null);
        variables.put("add_generation_prompt", addGenerationPrompt);
        if (conversation.templateKwargs() != null) {
            conversation
                    .templateKwargs()
                    .fields()
                    .forEachRemaining(e -> variables.put(e.getKey(), value(e.getValue())));
        }
        String source = source(conversation.tools() != null);
        try {
            return parsed.computeIfAbsent(source, Template::parse).render(variables, clock);
        } catch (TemplateException e) {
            throw new InvalidArtifactException(
                    "the model's chat template "
                            + (e.isRefusal() ? "refuses the conversation: " : "fails: ")
                            + e.getMessage(),
                    e);
        }
    }

    /** A JSON value as a template sees it. */
    public static Object value(JsonNode json) {
        if (json == null || json.isNull()) {
            return null;
        }
        if (json.isObject()) {
            Map<String, Object> map = new LinkedHashMap<>();
            json.fields().forEachRemaining(e -> map.put(e.getKey(), value(e.getValue())));
            return map;
        }
        if (json.isArray()) {
            List<Object> list = new ArrayList<>();
            json.forEach(item -> list.add(value(item)));
            return list;
        }
        if (json.isIntegralNumber()) {
            return json.canConvertToLong() ? (Object) json.longValue() : json.bigIntegerValue();
        }
        return json.isNumber() ? (Object) json.doubleValue() : json.isBoolean() ? json.booleanValue() : json.asText();
    }

    /** transformers' choice. */
    private String source(boolean tools) {
        String name = tools && sources.containsKey(TOOL_USE) ? TOOL_USE : DEFAULT;
        if (!sources.containsKey(name)) {
            throw new InvalidArtifactException(
                    isPresent()
                            ? "the model has chat templates " + new TreeSet<>(sources.keySet())
                                    + ", but no default one; add chat_template.jinja"
                            : "the model has no chat template; set apply_chat_template to false, or add"
                                    + " chat_template.jinja");
        }
        return sources.get(name);
    }
}
