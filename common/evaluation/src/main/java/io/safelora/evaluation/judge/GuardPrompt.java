package io.safelora.evaluation.judge;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.lm.ChatTemplate.Conversation;
import io.safelora.lm.ModelFiles;
import java.util.List;

/** How a guard model is shown an exchange. */
sealed interface GuardPrompt {
    /** What stands for an exchange where a prompt is shown, or hashed, without one. */
    Exchange PLACES = new Exchange("{request}", "{answer}");

    /** The model's prompt for an exchange. */
    String text(ModelFiles model, Exchange exchange);

    /** Tokens of such a prompt. */
    int[] encode(ModelFiles model, String text);

    /**
     * Refuses a model that does not ask for what is read from its answers.
     *
     * @throws InvalidArtifactException with the remedy
     */
    void check(ModelFiles model);

    /**
     * By the model's own chat template: the request is the user's turn, the answer the assistant's, and the template
     * writes the question about them. As in the model cards, without add_generation_prompt.
     *
     * @param asksFor words that the prompt has if the model is of this kind
     */
    record Chat(String kind, List<String> asksFor) implements GuardPrompt {
        @Override
        public String text(ModelFiles model, Exchange exchange) {
            return render(model, exchange, readsParts(model));
        }

        /**
         * Llama Guard 3 1B's template reads lists of parts, and drops a plain text. Seen on places: a template may
         * change what an answer says, by leaving out thoughts for one.
         */
        private static boolean readsParts(ModelFiles model) {
            return !written(render(model, PLACES, false));
        }

        private static String render(ModelFiles model, Exchange exchange, boolean parts) {
            return model.chatTemplate()
                    .render(
                            new Conversation(
                                    List.of(
                                            turn("user", exchange.request(), parts),
                                            turn("assistant", exchange.answer(), parts)),
                                    null,
                                    null),
                            false);
        }

        private static ObjectNode turn(String role, String text, boolean parts) {
            ObjectNode turn = JsonNodeFactory.instance.objectNode().put("role", role);
            if (!parts) {
                return turn.put("content", text);
            }
            turn.putArray("content").addObject().put("type", "text").put("text", text);
            return turn;
        }

        private static boolean written(String text) {
            return text.contains(PLACES.request()) && text.contains(PLACES.answer());
        }

        @Override
        public int[] encode(ModelFiles model, String text) {
            return model.tokenizer().encode(text, false);
        }

        @Override
        public void check(ModelFiles model) {
            if (!model.chatTemplate().isPresent()) {
                throw new InvalidArtifactException(
                        "has no chat template, and a " + kind + " is asked by its own; add chat_template.jinja");
            }
            String text = text(model, PLACES);
            if (!written(text) || !asksFor.stream().allMatch(text::contains)) {
                throw new InvalidArtifactException("its chat template does not ask for " + String.join(" and ", asksFor)
                        + " about a request and its answer; this is not a " + kind + ", see docs/evaluation.md");
            }
        }
    }

    /** By a text with places, with what the tokenizer puts before every text. */
    record Text(PromptTemplate template) implements GuardPrompt {
        @Override
        public String text(ModelFiles model, Exchange exchange) {
            return template.fill(exchange);
        }

        @Override
        public int[] encode(ModelFiles model, String text) {
            return model.tokenizer().encodePrompt(text);
        }

        @Override
        public void check(ModelFiles model) {
            // The record has looked at its text, and any model can be given it.
        }
    }
}
