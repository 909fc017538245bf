package io.safelora.lm;

import java.util.List;

/**
 * How a text is continued. Decoding is greedy: the likeliest token is taken every time.
 *
 * @param maxNewTokens most tokens that are added
 * @param stopStrings texts that end the answer once they appear in it; they stay in it
 * @param batchSize sequences that are decoded together; a finished one's place is taken at once
 */
public record GenerationOptions(int maxNewTokens, List<String> stopStrings, int batchSize) {
    public GenerationOptions {
        if (maxNewTokens < 1) {
            throw new IllegalArgumentException("max_new_tokens must be at least 1, but is " + maxNewTokens);
        }
        if (batchSize < 1) {
            throw new IllegalArgumentException("batch_size must be at least 1, but is " + batchSize);
        }
        stopStrings = List.copyOf(stopStrings);
    }

    /** No stop strings, one sequence at a time. */
    public static GenerationOptions greedy(int maxNewTokens) {
        return new GenerationOptions(maxNewTokens, List.of(), 1);
    }
}
