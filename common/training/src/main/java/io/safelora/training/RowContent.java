package io.safelora.training;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.NullNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.rows.Row;
import io.safelora.contract.Json;
import io.safelora.contract.TrainingOptions;
import io.safelora.contract.TrainingOptions.DataFormat;
import io.safelora.lm.ChatTemplate.Conversation;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** What a training row says, whatever its format. */
sealed interface RowContent {
    /** A text, all of it to be learned. */
    record Text(String text) implements RowContent {}

    /** A prompt and its completion as plain text. */
    record Texts(String prompt, String completion) implements RowContent {}

    /**
     * A conversation for the model's chat template.
     *
     * @param promptMessages how many of its messages are the prompt
     * @param firstLearned the first message that may be learned
     * @param weights by message, 0 for those that are not learned; null: no message says so
     */
    record Chat(Conversation conversation, int promptMessages, int firstLearned, List<Integer> weights)
            implements RowContent {}

    /** ShareGPT's names of roles, beside those of chat templates. */
    Map<String, String> ROLES = Map.of("human", "user", "gpt", "assistant", "observation", "tool");

    /** The format that fits a row; null if none does. */
    static DataFormat detect(Row row) {
        if (row.has("question") && row.has("answer")) {
            return DataFormat.question_answer;
        } else if (row.values().path("messages").isArray()) {
            return DataFormat.messages;
        } else if (row.values().path("conversations").isArray()) {
            return DataFormat.sharegpt;
        } else if (row.has("prompt") && row.has("completion")) {
            return DataFormat.prompt_completion;
        } else if (row.has("instruction") && row.has("output")) {
            return DataFormat.alpaca;
        }
        return row.has("text") ? DataFormat.text : null;
    }

    /**
     * Reads a row.
     *
     * @param format not auto
     * @throws io.safelora.artifacts.InvalidArtifactException if the row is not of the format, naming the one that fits
     */
    static RowContent of(Row row, DataFormat format, TrainingOptions options) {
        List<String> needed =
                switch (format) {
                    case question_answer -> List.of("question", "answer");
                    case prompt_completion -> List.of("prompt", "completion");
                    case messages -> List.of("messages");
                    case sharegpt -> List.of("conversations");
                    case alpaca -> List.of("instruction", "output");
                    case text -> List.of("text");
                    case auto -> throw new IllegalStateException("auto is detected first");
                };
        if (!needed.stream().allMatch(row::has)) {
            DataFormat fits = detect(row);
            throw row.invalid("data_format " + format + " needs \"" + String.join("\" and \"", needed)
                    + "\", but the row has " + row.columns()
                    + (fits == null ? formats() : "; data_format " + fits + " fits it"));
        }
        return switch (format) {
            case question_answer ->
                options.applyChatTemplate()
                        ? chat(
                                row,
                                options,
                                row.text("question").strip(),
                                row.text("answer").strip())
                        : new Texts(
                                "Question: " + row.text("question").strip() + "\nAnswer:",
                                " " + row.text("answer").strip());
            case prompt_completion -> promptCompletion(row, options);
            case alpaca -> alpaca(row, options);
            case text -> new Text(row.text("text"));
            case messages -> conversation(row, options, "messages", List.of());
            default -> conversation(row, options, "conversations", system(row));
        };
    }

    /** What formats there are, for messages. */
    static String formats() {
        return "; data_format is one of "
                + String.join(
                        ", ", Arrays.stream(DataFormat.values()).map(Enum::name).toList());
    }

    private static RowContent promptCompletion(Row row, TrainingOptions options) {
        JsonNode prompt = row.values().get("prompt");
        JsonNode completion = row.values().get("completion");
        if (!prompt.isArray() && !completion.isArray()) {
            return options.applyChatTemplate()
                    ? chat(row, options, row.text("prompt"), row.text("completion"))
                    : new Texts(row.text("prompt"), row.text("completion"));
        }
        if (!prompt.isArray() || !completion.isArray() || prompt.isEmpty() || completion.isEmpty()) {
            throw row.invalid("\"prompt\" and \"completion\" must be two texts, or two lists of messages");
        }
        List<ObjectNode> messages = new ArrayList<>(messages(row, "prompt"));
        messages.addAll(messages(row, "completion"));
        return chat(row, options, messages, prompt.size(), prompt.size());
    }

    /** Stanford Alpaca's prompts. */
    private static RowContent alpaca(Row row, TrainingOptions options) {
        for (String lost : List.of("history", "system")) {
            JsonNode value = row.values().path(lost);
            if (!value.isNull() && (value.isTextual() ? !value.textValue().isBlank() : !value.isEmpty())) {
                throw row.invalid("\"" + lost + "\" is not part of data_format alpaca; take it out, or give messages");
            }
        }
        String instruction = row.text("instruction");
        String input = row.has("input") ? row.text("input") : "";
        if (options.applyChatTemplate()) {
            return chat(row, options, input.isBlank() ? instruction : instruction + "\n" + input, row.text("output"));
        }
        return new Texts(
                input.isBlank()
                        ? "Below is an instruction that describes a task. Write a response that appropriately"
                                + " completes the"
                                + " request.\n\n### Instruction:\n" + instruction + "\n\n### Response:"
                        : "Below is an instruction that describes a task, paired with an input that provides"
                                + " further context."
                                + " Write a response that appropriately completes the request.\n\n### Instruction:\n"
                                + instruction + "\n\n### Input:\n" + input + "\n\n### Response:",
                row.text("output"));
    }

    private static List<ObjectNode> system(Row row) {
        return row.has("system") && !row.text("system").isEmpty()
                ? List.of(message("system", row.text("system")))
                : List.of();
    }

    private static ObjectNode message(String role, String content) {
        return Json.MAPPER.createObjectNode().put("role", role).put("content", content);
    }

    private static RowContent chat(Row row, TrainingOptions options, String user, String assistant) {
        return chat(row, options, List.of(message("user", user), message("assistant", assistant)), 1, 1);
    }

    private static RowContent conversation(Row row, TrainingOptions options, String column, List<ObjectNode> before) {
        List<ObjectNode> messages = new ArrayList<>(before);
        messages.addAll(messages(row, column));
        if (messages.isEmpty()
                || !messages.get(messages.size() - 1).path("role").asText().equals("assistant")) {
            throw row.invalid("\"" + column + "\" must end with a message of the assistant");
        }
        return chat(row, options, messages, messages.size() - 1, 0);
    }

    private static RowContent chat(
            Row row, TrainingOptions options, List<ObjectNode> messages, int promptMessages, int firstLearned) {
        if (!options.applyChatTemplate()) {
            throw row.invalid(
                    "holds a conversation; set training.apply_chat_template to true, so that the model's chat template"
                            + " renders it");
        }
        List<Integer> weights = new ArrayList<>();
        boolean weighted = false;
        for (ObjectNode message : messages) {
            JsonNode weight = message.remove("weight");
            boolean learned = message.path("role").asText().equals("assistant");
            if (weight != null && !weight.isNull()) {
                if (!weight.isInt() || weight.asInt() < 0 || weight.asInt() > 1) {
                    throw row.invalid("the weight of a message must be 0 or 1, not " + weight);
                }
                if (weight.asInt() == 1 && !learned) {
                    throw row.invalid("only messages of the assistant have weight 1, for they are what is learned");
                }
                learned = weight.asInt() == 1;
                weighted = true;
            }
            weights.add(learned ? 1 : 0);
        }
        return new Chat(
                new Conversation(messages, tools(row), templateKwargs(row, options)),
                promptMessages,
                firstLearned,
                weighted ? weights : null);
    }

    private static ArrayNode tools(Row row) {
        JsonNode tools = json(row, "tools");
        if (tools == null || tools.isEmpty() && tools.isArray()) {
            return null;
        }
        if (!tools.isArray()) {
            throw row.invalid("\"tools\" must be a list of functions");
        }
        return (ArrayNode) tools;
    }

    /** The row's win over the job's. */
    private static ObjectNode templateKwargs(Row row, TrainingOptions options) {
        JsonNode ofRow = json(row, "chat_template_kwargs");
        if (ofRow != null && !ofRow.isObject()) {
            throw row.invalid("\"chat_template_kwargs\" must be an object");
        }
        ObjectNode all = Json.MAPPER.createObjectNode();
        if (options.chatTemplateKwargs() != null) {
            all.setAll((ObjectNode) Json.MAPPER.valueToTree(options.chatTemplateKwargs()));
        }
        return ofRow == null ? all : all.setAll((ObjectNode) ofRow);
    }

    /**
     * A column of JSON, or of JSON in a text, as data sets have it whose rows differ in their keys; null if there is
     * none.
     */
    private static JsonNode json(Row row, String column) {
        if (!row.has(column)) {
            return null;
        }
        JsonNode value = row.values().get(column);
        if (!value.isTextual()) {
            return value;
        }
        try {
            return value.textValue().isBlank() ? null : Json.MAPPER.readTree(value.textValue());
        } catch (JsonProcessingException e) {
            throw row.invalid("\"" + column + "\" is not JSON");
        }
    }

    private static List<ObjectNode> messages(Row row, String column) {
        List<ObjectNode> messages = new ArrayList<>();
        for (JsonNode element : row.values().get(column)) {
            String name = "\"" + column + "\", message " + (messages.size() + 1) + ": ";
            if (!element.isObject()) {
                throw row.invalid(name + "must be an object, not " + Row.kind(element));
            }
            ObjectNode message = element.deepCopy();
            rename(message, "from", "role");
            rename(message, "value", "content");
            String role = row.text(message.path("role"), name + "role");
            message.put("role", column.equals("conversations") ? ROLES.getOrDefault(role, role) : role);
            boolean calls = message.path("tool_calls").isArray()
                    && !message.path("tool_calls").isEmpty();
            JsonNode content = message.path("content");
            if (content.isArray()) {
                message.put("content", joined(row, content, name));
            } else if (!content.isTextual() && !(calls && (content.isNull() || content.isMissingNode()))) {
                throw row.invalid(name + "content must be text or a list of text parts, not " + Row.kind(content));
            } else if (content.isMissingNode()) {
                message.set("content", NullNode.instance);
            }
            messages.add(message);
        }
        return messages;
    }

    private static void rename(ObjectNode message, String from, String to) {
        if (message.has(from) && !message.has(to)) {
            message.set(to, message.remove(from));
        }
    }

    /** Parts of text, which templates of text models do not know, as one text. */
    private static String joined(Row row, JsonNode parts, String name) {
        StringBuilder text = new StringBuilder();
        for (JsonNode part : parts) {
            if (!part.path("type").asText().equals("text")) {
                throw row.invalid(name + "content has a part of type \""
                        + part.path("type").asText("") + "\"; only text is trained");
            }
            text.append(row.text(part.path("text"), name + "text of a part"));
        }
        return text.toString();
    }
}
