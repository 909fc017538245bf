package io.safelora.training;

import io.safelora.contract.InvalidInputException;

/** The loss is NaN or infinite: repeating the training would end the same way. */
public class TrainingDivergedException extends InvalidInputException {
    public TrainingDivergedException(String message) {
        super(message);
    }
}
