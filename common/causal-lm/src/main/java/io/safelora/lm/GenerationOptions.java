package io.safelora.lm;

import io.safelora.contract.InvalidInputException;
import java.util.List;

/**
 * How texts are continued.
 *
 * @param maxNewTokens most tokens that are added
 * @param stopStrings texts that end the answer once they appear in it; they stay in it; none: those of
 *     generation_config.json
 * @param batchSize sequences that are decoded together at most; a finished one's place is taken at once
 * @param sampling how the next token is drawn; null: the likeliest is taken
 * @param memoryBudget bytes that keys and values may take; 0: a quarter of the machine's (or the container's) memory
 */
public record GenerationOptions(
        int maxNewTokens, List<String> stopStrings, int batchSize, Sampling sampling, long memoryBudget) {

    /**
     * Draws as transformers does it. The draws of a sequence follow from the seed and its number alone.
     *
     * @param temperature logits are divided by it
     * @param topK the likeliest tokens that are drawn from; 0: all
     * @param topP of these, the fewest that hold this share of the probability
     * @param minP of these, those that are at least this times as likely as the likeliest; 0: all
     */
    public record Sampling(double temperature, int topK, double topP, double minP, long seed) {
        public Sampling {
            if (!(temperature > 0) || Double.isInfinite(temperature)) {
                throw new InvalidInputException("temperature must be above 0, but is " + temperature);
            }
            if (topK < 0) {
                throw new InvalidInputException("top_k must not be below 0, but is " + topK);
            }
            if (!(topP > 0 && topP <= 1)) {
                throw new InvalidInputException("top_p must be above 0 and not above 1, but is " + topP);
            }
            if (!(minP >= 0 && minP <= 1)) {
                throw new InvalidInputException("min_p must be from 0 to 1, but is " + minP);
            }
        }
    }

    public GenerationOptions {
        if (maxNewTokens < 1) {
            throw new InvalidInputException("max_new_tokens must be at least 1, but is " + maxNewTokens);
        }
        if (batchSize < 1) {
            throw new InvalidInputException("batch_size must be at least 1, but is " + batchSize);
        }
        if (memoryBudget < 0) {
            throw new InvalidInputException("the memory budget must not be below 0, but is " + memoryBudget);
        }
        stopStrings = List.copyOf(stopStrings);
    }

    /** Greedy, within the usual memory. */
    public GenerationOptions(int maxNewTokens, List<String> stopStrings, int batchSize) {
        this(maxNewTokens, stopStrings, batchSize, null, 0);
    }

    /** No stop strings, one sequence at a time. */
    public static GenerationOptions greedy(int maxNewTokens) {
        return new GenerationOptions(maxNewTokens, List.of(), 1);
    }
}
