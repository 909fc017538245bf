package io.safelora.artifacts.rows;

import io.safelora.artifacts.InvalidArtifactException;

/** What of a file has been read, and how much may be. */
final class Limits {
    /** Longest row, in bytes or characters: a thousand times a long conversation. */
    static final int MAX_ROW = 16 << 20;

    private final String file;
    private final long maxText;
    private long text;
    private int row;

    Limits(String file, long maxText) {
        this.file = file;
        this.maxText = maxText;
    }

    /** Bytes or characters of any row have been read. */
    void text(long size) {
        text += size;
        if (text > maxText) {
            throw new InvalidArtifactException(
                    file + ": holds more than " + maxText + " bytes of text, which is the limit; give fewer rows");
        }
    }

    /** The next bytes or characters are another row's. */
    void nextRow() {
        row = 0;
    }

    /** Bytes or characters of the current row have been read. */
    void row(int size, String where) {
        row += size;
        if (row > MAX_ROW) {
            throw new InvalidArtifactException(where + ": the row is longer than " + MAX_ROW
                    + " characters, which is the limit; take it out or split it");
        }
    }
}
