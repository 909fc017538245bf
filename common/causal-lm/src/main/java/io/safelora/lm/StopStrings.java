package io.safelora.lm;

import java.util.Arrays;
import java.util.List;

/** Looks for stop strings in an answer that grows token by token; only its last tokens are decoded each time. */
final class StopStrings {
    private final Tokenizer tokenizer;
    private final List<String> stops;
    private final int longest;
    private int[] ids = new int[16];
    private int size;
    /**
     * Tokens before this one are in {@link #tail} for good; those from it to {@link #read} give the next ones context.
     */
    private int from;

    private int read;
    /** The end of the text so far, as long as a stop string may reach back. */
    private String tail = "";

    StopStrings(Tokenizer tokenizer, List<String> stops) {
        this.tokenizer = tokenizer;
        this.stops = stops;
        this.longest = stops.stream().mapToInt(String::length).max().orElse(0);
    }

    /** Adds a token; whether a stop string is in the text now. */
    boolean add(int id) {
        if (stops.isEmpty()) {
            return false;
        }
        if (size == ids.length) {
            ids = Arrays.copyOf(ids, 2 * size);
        }
        ids[size++] = id;
        // What a token says may depend on the one before it (a space, bytes of one character), so both are decoded.
        String before = tokenizer.decode(Arrays.copyOfRange(ids, from, read), false);
        String now = tokenizer.decode(Arrays.copyOfRange(ids, from, size), false);
        String added = now.length() > before.length() ? now.substring(before.length()) : "";
        String text = tail + added;
        if (!added.isEmpty() && !added.endsWith("\uFFFD")) { // else bytes of the last character are missing
            tail = text.substring(Math.max(0, text.length() - longest));
            from = read;
            read = size;
        }
        return stops.stream().anyMatch(text::contains);
    }
}
