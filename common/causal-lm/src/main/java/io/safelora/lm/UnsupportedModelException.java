package io.safelora.lm;

/** A model, or an option of it, that this engine does not run. The message names it. */
public class UnsupportedModelException extends IllegalArgumentException {
    public UnsupportedModelException(String message) {
        super(message);
    }
}
