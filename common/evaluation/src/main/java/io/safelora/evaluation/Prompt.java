package io.safelora.evaluation;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.contract.EvaluationTask;
import io.safelora.contract.Json;
import io.safelora.lm.ChatTemplate.Conversation;
import io.safelora.lm.ChatTemplate.Message;
import io.safelora.lm.ModelFiles;
import java.util.ArrayList;
import java.util.List;

/**
 * What a model is asked: an optional system message, solved examples as turns of user and assistant, and the user's question
 * last. Becomes text as in lm-evaluation-harness 0.4.13.
 */
record Prompt(List<Message> turns) {
    private static final String SYSTEM = "system";
    private static final String USER = "user";
    private static final String ASSISTANT = "assistant";

    /** A single question. */
    static Prompt of(String question) {
        return new Prompt(List.of(new Message(USER, question)));
    }

    /** The same after a solved example. */
    Prompt after(List<Message> examples) {
        List<Message> all = new ArrayList<>(examples);
        all.addAll(turns);
        return new Prompt(all);
    }

    /** An example's turns; without an answer, as the harness does, there is no turn of the assistant. */
    static List<Message> example(String question, String answer) {
        return answer.isEmpty()
                ? List.of(new Message(USER, question))
                : List.of(new Message(USER, question), new Message(ASSISTANT, answer));
    }

    /** With a system message; null for none. */
    Prompt withSystem(String instruction) {
        return instruction == null ? this : after(List.of(new Message(SYSTEM, instruction)));
    }

    /** The last question alone. */
    Prompt question() {
        return new Prompt(turns.subList(turns.size() - 1, turns.size()));
    }

    /** Without a chat template: one text. */
    String text() {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < turns.size(); i++) {
            Message turn = turns.get(i);
            text.append(turn.content());
            if (turn.role().equals(ASSISTANT)) {
                text.append("\n\n");
            } else if (i + 1 < turns.size() && turns.get(i + 1).role().equals(ASSISTANT)) {
                text.append(' ');
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
        Message user = new Message(USER, new Prompt(turns.subList(system ? 1 : 0, turns.size())).text());
        return system ? List.of(turns.get(0), user) : List.of(user);
    }

    /** The tokens that the model gets; a chat template writes special tokens itself. */
    int[] encode(ModelFiles model, EvaluationTask task) {
        return task.applyChatTemplate()
                ? model.tokenizer()
                        .encode(
                                model.chatTemplate()
                                        .render(conversation(messages(task.fewshotAsMultiturn()), task), true),
                                false)
                : model.tokenizer().encodePrompt(text());
    }

    /** Turns as a task gives them to a chat template. */
    static Conversation conversation(List<Message> turns, EvaluationTask task) {
        ObjectNode kwargs =
                task.chatTemplateKwargs() == null ? null : Json.MAPPER.valueToTree(task.chatTemplateKwargs());
        return new Conversation(Conversation.of(turns).messages(), null, kwargs);
    }
}
