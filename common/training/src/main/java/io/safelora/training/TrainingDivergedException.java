package io.safelora.training;

/** The loss is no number any more: repeating the training would end the same way. */
public class TrainingDivergedException extends IllegalArgumentException {
    public TrainingDivergedException(String message) {
        super(message);
    }
}
