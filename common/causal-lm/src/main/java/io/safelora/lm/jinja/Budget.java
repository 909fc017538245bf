package io.safelora.lm.jinja;

/**
 * What one rendering may use. A template is a stranger's program, so its work, memory and nesting are bounded. They are
 * counted, not timed: a template that renders once renders on any machine, however slow or busy, and a machine never
 * waits more than some seconds for one that never ends.
 */
final class Budget {
    /** Characters of one text, the output included. */
    static final int MAX_TEXT = 4_000_000;

    /** Nodes evaluated, items looked at, and characters looked at, by the dozen. */
    private static final long MAX_STEPS = 20_000_000;

    /** Characters that all values ever made together hold, freed or not. */
    private static final long MAX_MEMORY = 64_000_000;

    /** What an item of a list or dict counts for. */
    private static final int CHARACTERS_PER_ITEM = 32;

    /** Expressions, statements, macros and values inside of each other. */
    private static final int MAX_DEPTH = 400;

    private long steps;
    private long memory;
    private int depth;
    private int line = 1;

    /** One level deeper, for a node in that line; {@link #leave} is to follow. */
    void enter(int nodeLine) {
        line = nodeLine;
        enter();
    }

    /** One level deeper into a value. */
    void enter() {
        step(1);
        if (++depth > MAX_DEPTH) {
            throw TemplateException.failure("it nests deeper than " + MAX_DEPTH + " levels");
        }
    }

    void leave() {
        depth--;
    }

    /** The line of the node that is evaluated. */
    int line() {
        return line;
    }

    void step(long count) {
        steps += count;
        if (steps > MAX_STEPS) {
            throw TemplateException.failure("it takes more than " + MAX_STEPS + " steps");
        }
    }

    /** A text of so many characters is to be made. */
    void text(long length) {
        if (length > MAX_TEXT) {
            throw TemplateException.failure("it makes a text longer than " + MAX_TEXT + " characters");
        }
        step(length / 16);
        allocate(length);
    }

    /** A list or dict of so many items is to be made. */
    void items(long count) {
        step(count);
        allocate(CHARACTERS_PER_ITEM * count);
    }

    private void allocate(long amount) {
        memory += amount;
        if (memory > MAX_MEMORY) {
            throw TemplateException.failure("it makes values of more than " + MAX_MEMORY + " characters");
        }
    }

    /** A search for a pattern in a text, which may compare each character of the one with each of the other. */
    void search(String text, String pattern) {
        step(1 + (16L + pattern.length()) * text.length() / 256);
    }

    void append(StringBuilder out, String text) {
        if (out.length() + (long) text.length() > MAX_TEXT) {
            text(MAX_TEXT + 1L);
        }
        text(text.length());
        out.append(text);
    }
}
