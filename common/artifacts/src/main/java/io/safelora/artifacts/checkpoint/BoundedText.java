package io.safelora.artifacts.checkpoint;

/** Text that stops a regular expression from a file that would backtrack for years. */
public final class BoundedText implements CharSequence {
    /** The expression has looked at the text a million times. */
    public static final class Exhausted extends RuntimeException {
        private static final long serialVersionUID = 1;
    }

    private final String text;
    private int reads;

    public BoundedText(String text) {
        this.text = text;
    }

    @Override
    public char charAt(int index) {
        if (++reads > 1_000_000) {
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
