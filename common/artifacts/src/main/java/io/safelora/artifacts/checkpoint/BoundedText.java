package io.safelora.artifacts.checkpoint;

/** Text that stops a regular expression from a file that would backtrack for years. */
public final class BoundedText implements CharSequence {
    private static final long READS = 1_000_000;

    /** The expression has looked at the text too often. */
    public static final class Exhausted extends RuntimeException {
        private static final long serialVersionUID = 1;
    }

    private final String text;
    private long left;

    /** May be looked at a million times. */
    public BoundedText(String text) {
        this(text, READS);
    }

    /** @param reads how often it may be looked at, character by character */
    public BoundedText(String text, long reads) {
        this.text = text;
        this.left = reads;
    }

    @Override
    public char charAt(int index) {
        if (--left < 0) {
            throw new Exhausted();
        }
        return text.charAt(index);
    }

    @Override
    public int length() {
        return text.length();
    }

    @Override
    public CharSequence subSequence(int start, int end) {
        return text.subSequence(start, end);
    }

    @Override
    public String toString() {
        return text;
    }
}
