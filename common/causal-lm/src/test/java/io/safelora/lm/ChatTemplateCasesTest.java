package io.safelora.lm;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.contract.Json;
import io.safelora.lm.ChatTemplate.Conversation;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Templates and conversations as transformers renders them: the same text and the same spans of {@code {% generation
 * %}}, or an error where it raises one. chat-templates/make_cases.py writes such files; {@code -Dchat.templates=FILE}
 * compares another one, of a model's own template say.
 */
class ChatTemplateCasesTest {
    @TempDir
    Path dir;

    @Test
    void rendersAsTransformersDoes() throws IOException {
        String file = System.getProperty("chat.templates", "src/test/resources/chat-templates/cases.json");
        int equal = 0;
        int refused = 0;
        List<String> differences = new ArrayList<>();
        JsonNode json = Json.MAPPER.readTree(Path.of(file).toFile());
        for (JsonNode template : json.get("templates")) {
            Files.writeString(dir.resolve("tokenizer_config.json"), template.toString());
            ChatTemplate rendering = ChatTemplate.load(dir);
            for (JsonNode chat : template.get("cases")) {
                String conversation = chat.get("conversation").asText();
                String difference =
                        difference(rendering, json.get("conversations").get(conversation), chat);
                if (difference != null) {
                    differences.add(template.get("name").asText() + ", " + conversation + ": " + difference);
                } else if (chat.has("error")) {
                    refused++;
                } else {
                    equal++;
                }
            }
        }
        System.out.println(
                file + ": " + equal + " equal, " + refused + " refused by both, " + differences.size() + " different");
        assertThat(differences).isEmpty();
    }

    private static String difference(ChatTemplate template, JsonNode given, JsonNode chat) {
        List<ObjectNode> messages = new ArrayList<>();
        given.get("messages").forEach(m -> messages.add((ObjectNode) m));
        ArrayNode tools = given.get("tools") instanceof ArrayNode array ? array : null;
        Conversation conversation = new Conversation(messages, tools, (ObjectNode) given.get("chat_template_kwargs"));
        ChatTemplate.Rendering rendering;
        try {
            rendering = template.rendering(
                    conversation, chat.get("add_generation_prompt").asBoolean());
        } catch (InvalidArtifactException e) {
            return chat.has("error") ? null : "refused: " + e.getMessage();
        } catch (RuntimeException e) {
            return "failed: " + e;
        }
        if (chat.has("error")) {
            return "not refused (" + chat.get("error").asText() + ")";
        }
        if (!rendering.text().equals(chat.get("expected").asText())) {
            return "\n<" + rendering.text() + ">\ninstead of\n<"
                    + chat.get("expected").asText() + ">";
        }
        List<List<Integer>> spans = rendering.generated().stream()
                .map(s -> List.of(s.begin(), s.end()))
                .toList();
        String expected = chat.path("generated").toString();
        return chat.has("generated") && !spans.toString().replace(" ", "").equals(expected)
                ? spans + " generated instead of " + expected
                : null;
    }
}
