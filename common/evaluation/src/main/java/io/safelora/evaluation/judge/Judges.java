package io.safelora.evaluation.judge;

import io.safelora.contract.InvalidInputException;
import java.io.IOException;

/** The judges of a job, by their ids. Each is opened when its turn comes and closed after it: no two models stand in memory. */
public final class Judges {
    /** Those by words, which need no declaration. */
    public static final Judges BUILT_IN = new Judges();

    private Judges() {}

    /** @throws InvalidInputException if there is no such judge, or its model or prompt cannot be used */
    public Judge open(String id) throws IOException {
        return switch (id) {
            case "refusal-phrases" -> new RefusalPhrases();
            case "gcg-keywords" -> new GcgKeywords();
            default -> throw new InvalidInputException("there is no judge " + id);
        };
    }
}
