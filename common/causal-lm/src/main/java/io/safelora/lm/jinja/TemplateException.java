package io.safelora.lm.jinja;

/** A template that is wrong, that breaks a bound, or that refuses what it is given. The message is one line. */
public final class TemplateException extends RuntimeException {
    private final boolean refusal;

    private TemplateException(String message, boolean refusal) {
        super(message.lines().findFirst().orElse(""), null, false, false);
        this.refusal = refusal;
    }

    /** Whether the template itself called raise_exception. */
    public boolean isRefusal() {
        return refusal;
    }

    static TemplateException failure(String message) {
        return new TemplateException(message, false);
    }

    static TemplateException refusal(String message) {
        return new TemplateException(message, true);
    }
}
