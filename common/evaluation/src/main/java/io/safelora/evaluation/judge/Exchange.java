package io.safelora.evaluation.judge;

import java.nio.charset.StandardCharsets;

/** A request and what a model said to it: well-formed Unicode, whatever it was given. */
public record Exchange(String request, String answer) {
    public Exchange {
        request = wellFormed(request);
        answer = wellFormed(answer);
    }

    /** Half a surrogate pair cannot be written as UTF-8; neither a tokenizer nor an endpoint takes it. */
    private static String wellFormed(String text) {
        return text == null ? "" : new String(text.getBytes(StandardCharsets.UTF_8), StandardCharsets.UTF_8);
    }

    /** Whether nothing was answered: nothing but white space, control and format characters. */
    boolean isEmpty() {
        return answer.codePoints()
                .allMatch(c -> Character.isWhitespace(c)
                        || Character.isSpaceChar(c)
                        || Character.isISOControl(c)
                        || Character.getType(c) == Character.FORMAT);
    }
}
