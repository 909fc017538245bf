package io.safelora.artifacts;

import java.io.IOException;
import java.util.SortedMap;

/** The files of a model or adapter, on this machine or in S3. Subfolders are left out. */
public interface Folder {
    /** What error messages call it. */
    String name();

    /** Size in bytes of every file, by file name. */
    SortedMap<String, Long> files() throws IOException;

    /** Opens a file to be read in parts. {@code file} must be one of {@link #files()}. */
    ByteSource open(String file) throws IOException;

    /**
     * SHA-256, in hexadecimal, over the names and contents of all files that a model or adapter consists of (JSON,
     * safetensors, templates, vocabularies; no pickles, no Markdown). In S3, ETag and size stand for the content.
     */
    String digest() throws IOException;

    /** Reads a small file whole. */
    default byte[] read(String file, int maxBytes) throws IOException {
        ByteSource source = open(file);
        if (source.size() > maxBytes) {
            throw new InvalidArtifactException(
                    source.name() + ": has " + source.size() + " bytes; at most " + maxBytes + " are read");
        }
        byte[] bytes = new byte[(int) source.size()];
        source.read(0, java.nio.ByteBuffer.wrap(bytes));
        return bytes;
    }

    /** Whether a file of this name is part of what a model or adapter is. */
    static boolean counts(String file) {
        return file.matches("(?s)[^.].*\\.(json|jsonl|safetensors|jinja|txt|model)");
    }
}
