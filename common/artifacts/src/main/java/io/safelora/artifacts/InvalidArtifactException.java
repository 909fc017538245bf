package io.safelora.artifacts;

import io.safelora.contract.InvalidInputException;

/**
 * A file, checkpoint, adapter or URI that cannot be used as it is. The message is one line that names the file (and the
 * tensor or field in it) and says what to do; trying again does not help.
 */
public class InvalidArtifactException extends InvalidInputException {
    public InvalidArtifactException(String message) {
        super(message);
    }

    public InvalidArtifactException(String message, Throwable cause) {
        super(message, cause);
    }
}
