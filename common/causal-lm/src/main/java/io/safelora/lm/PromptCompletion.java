package io.safelora.lm;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.lm.ChatTemplate.Conversation;
import java.util.List;

/**
 * A prompt and what the model is to say after it, as token ids. Training and evaluation both make them here, so that a
 * model is asked as it was taught.
 *
 * @param completion to its end token
 * @param doubt what of it may not be what was meant, for people; or null
 */
public record PromptCompletion(int[] prompt, int[] completion, String doubt) {
    /**
     * Plain texts: the prompt with the tokenizer's own special tokens, the completion without, and then the end token.
     */
    public static PromptCompletion of(Tokenizer tokenizer, String prompt, String completion) {
        return new PromptCompletion(tokenizer.encodePrompt(prompt), tokenizer.encodeCompletion(completion), null);
    }

    /**
     * A conversation as the model's chat template writes it, special tokens included. The completion ends where the
     * template ends the turn; white space behind that is left out.
     *
     * @param promptMessages how many of its messages are the prompt
     * @throws InvalidArtifactException if the template refuses it, leaves out tools or writes the prompt otherwise when
     *     the completion follows
     */
    public static PromptCompletion of(ModelFiles model, Conversation conversation, int promptMessages) {
        String prompt = model.chatTemplate().render(first(conversation, promptMessages), true);
        String whole = model.chatTemplate().render(conversation, false);
        checkTools(conversation, whole);
        ObjectNode answer = conversation.messages().get(conversation.messages().size() - 1);
        int at = prompt.length();
        String doubt = null;
        if (!whole.startsWith(prompt)) {
            at = begin(model, conversation, promptMessages, prompt, whole);
            doubt = "the chat template ends a prompt with \"" + oneLine(prompt.substring(at))
                    + "\", which the row's answer does not begin with: the loss is on the answer as the template"
                    + " writes it,"
                    + " without that; answers with reasoning_content, or chat_template_kwargs, may mend it";
        }
        String completion = whole.substring(at).stripTrailing();
        if (!says(completion, answer)
                && !says(whole.substring(Math.min(at, history(model, conversation, promptMessages))), answer)) {
            doubt = "the chat template leaves out or alters part of the answer; the loss is on what it writes";
        }
        return new PromptCompletion(
                model.tokenizer().encode(whole.substring(0, at), false),
                model.tokenizer().encodeCompletion(completion),
                doubt);
    }

    /** The conversation's first messages. */
    public static Conversation first(Conversation conversation, int messages) {
        return new Conversation(
                conversation.messages().subList(0, messages), conversation.tools(), conversation.templateKwargs());
    }

    /** Whether a text says all of an answer, white space aside. */
    private static boolean says(String text, ObjectNode answer) {
        String squeezed = squeezed(text);
        return squeezed.contains(squeezed(answer.path("content").asText("")))
                && squeezed.contains(squeezed(answer.path("reasoning_content").asText("")));
    }

    /** How long the prompt is without what opens an answer. */
    private static int history(ModelFiles model, Conversation conversation, int promptMessages) {
        return model.chatTemplate()
                .render(first(conversation, promptMessages), false)
                .length();
    }

    /** Where the completion begins, of a template whose prompt says more than what it writes before an answer. */
    private static int begin(
            ModelFiles model, Conversation conversation, int promptMessages, String prompt, String whole) {
        int history = history(model, conversation, promptMessages);
        String content = conversation
                .messages()
                .get(promptMessages)
                .path("content")
                .asText("")
                .strip();
        int common = 0;
        while (common < Math.min(prompt.length(), whole.length()) && prompt.charAt(common) == whole.charAt(common)) {
            common++;
        }
        if (common < history) {
            throw new InvalidArtifactException(
                    "the chat template writes the messages before the answer otherwise when the"
                            + " answer follows, so that the model would be asked otherwise than it is taught;"
                            + " use a template with"
                            + " {% generation %} and assistant_only_loss, or plain prompt and completion");
        }
        // The answer may begin as the rest of the prompt does.
        int said = content.isEmpty() ? -1 : whole.indexOf(content, history);
        return said < 0 ? common : Math.min(common, said);
    }

    /**
     * Refuses a conversation whose tools or calls the template does not write.
     *
     * @param whole the rendered conversation
     */
    public static void checkTools(Conversation conversation, String whole) {
        if (conversation.tools() != null) {
            conversation.tools().forEach(tool -> checkTool("tools", tool, whole));
        }
        List<ObjectNode> messages = conversation.messages();
        for (int i = 0; i < messages.size(); i++) {
            for (JsonNode call : messages.get(i).path("tool_calls")) {
                checkTool("tool_calls of message " + (i + 1), call, whole);
            }
        }
    }

    private static void checkTool(String where, JsonNode tool, String whole) {
        String name =
                tool.path("function").path("name").asText(tool.path("name").asText(""));
        if (!whole.contains(name)) {
            throw new InvalidArtifactException(where + ": the chat template does not write \"" + oneLine(name)
                    + "\"; use a model whose template has tools, or take them out of the row");
        }
    }

    private static String squeezed(String text) {
        return text.replaceAll("\\s+", "");
    }

    private static String oneLine(String text) {
        String line = text.replace("\n", "\\n").replaceAll("\\p{Cntrl}", "?");
        return line.length() > 60 ? line.substring(0, 60) + "..." : line;
    }
}
