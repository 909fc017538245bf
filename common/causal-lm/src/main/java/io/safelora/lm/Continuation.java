package io.safelora.lm;

/**
 * A text whose end is scored.
 *
 * @param from the first token that is scored; at least 1
 * @param adapter a loaded adapter's name, or null
 */
public record Continuation(int[] ids, int from, String adapter) {}
