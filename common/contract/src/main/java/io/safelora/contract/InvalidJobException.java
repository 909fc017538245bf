package io.safelora.contract;

/** A job document that cannot be run. The message is one line that names the field and says what is wrong with it. */
public class InvalidJobException extends InvalidInputException {
    public InvalidJobException(String message) {
        super(message);
    }

    public InvalidJobException(String message, Throwable cause) {
        super(message, cause);
    }
}
