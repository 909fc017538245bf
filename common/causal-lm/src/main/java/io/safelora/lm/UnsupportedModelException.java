package io.safelora.lm;

import io.safelora.contract.InvalidInputException;

/** A model, or an option of it, that this engine does not run. The message names it. */
public class UnsupportedModelException extends InvalidInputException {
    public UnsupportedModelException(String message) {
        super(message);
    }
}
