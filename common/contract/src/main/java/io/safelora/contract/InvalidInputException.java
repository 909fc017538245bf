package io.safelora.contract;

/**
 * What a user gave is wrong: trying again cannot help, and the message, one line, names the thing and the remedy. Any
 * other exception, an IllegalArgumentException of a library too, is a fault of the program or of the world.
 */
public class InvalidInputException extends IllegalArgumentException {
    private static final long serialVersionUID = 1;

    public InvalidInputException(String message) {
        super(message);
    }

    public InvalidInputException(String message, Throwable cause) {
        super(message, cause);
    }
}
