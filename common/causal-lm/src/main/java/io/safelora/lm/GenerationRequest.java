package io.safelora.lm;

/**
 * A text to continue.
 *
 * @param adapter a loaded adapter's name, or null
 */
public record GenerationRequest(int[] prompt, String adapter) {}
