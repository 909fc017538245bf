package io.safelora.evaluation;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.contract.Json;
import io.safelora.lm.ChatTemplate.Conversation;
import io.safelora.lm.ChatTemplate.Message;
import io.safelora.lm.ModelFiles;
import java.util.List;
import java.util.Map;

/**
 * What a model is asked: an optional system message, solved examples as turns of user and assistant, and the user's
 * question last. Becomes text as in lm-evaluation-harness 0.4.13.
 *
 * @param targetDelimiter between a question and its answer in a text
 * @param fewshotDelimiter behind an answer in a text
 */
record Prompt(List<Message> turns, String targetDelimiter, String fewshotDelimiter) {
    private static final String SYSTEM = "system";
    private static final String USER = "user";
    private static final String ASSISTANT = "assistant";

    /** An example's turns; without an answer, as the harness does, there is no turn of the assistant. */
    static List<Message> example(String question, String answer) {
        return answer.isEmpty()
                ? List.of(new Message(USER, question))
                : List.of(new Message(USER, question), new Message(ASSISTANT, answer));
    }

    /** The last question alone. */
    Prompt question() {
        return of(turns.subList(turns.size() - 1, turns.size()));
    }

    private Prompt of(List<Message> others) {
        return new Prompt(others, targetDelimiter, fewshotDelimiter);
    }

    /** Without a chat template: one text. */
    String text() {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < turns.size(); i++) {
            Message turn = turns.get(i);
            text.append(turn.content());
            if (turn.role().equals(ASSISTANT)) {
                text.append(fewshotDelimiter);
            } else if (i + 1 < turns.size() && turns.get(i + 1).role().equals(ASSISTANT)) {
                text.append(targetDelimiter);
            }
        }
        return text.toString();
    }

    /** For a chat template: the examples as turns, or in one turn with the question. */
    List<Message> messages(boolean multiturn) {
        if (multiturn) {
            return turns;
        }
        boolean system = turns.get(0).role().equals(SYSTEM);
        Message user = new Message(
                USER, of(turns.subList(system ? 1 : 0, turns.size())).text());
        return system ? List.of(turns.get(0), user) : List.of(user);
    }

    /** The text that the model gets. */
    String text(ModelFiles model, Task task) {
        return task.chat() ? model.chatTemplate().render(conversation(messages(task.multiturn()), task), true) : text();
    }

    /** The tokens that the model gets. */
    int[] encode(ModelFiles model, Task task) {
        return encode(text(model, task), model, task);
    }

    /** The tokens of a text that begins as the model's prompt does; a chat template writes special tokens itself. */
    static int[] encode(String text, ModelFiles model, Task task) {
        return task.chat()
                ? model.tokenizer().encode(text, false)
                : model.tokenizer().encodePrompt(text);
    }

    /** Turns as a task gives them to a chat template. */
    static Conversation conversation(List<Message> turns, Task task) {
        Map<String, Object> given = task.options().chatTemplateKwargs();
        ObjectNode kwargs = given == null ? null : Json.MAPPER.valueToTree(given);
        return new Conversation(Conversation.of(turns).messages(), null, kwargs);
    }
}
