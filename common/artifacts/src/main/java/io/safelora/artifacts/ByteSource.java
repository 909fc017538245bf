package io.safelora.artifacts;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Bytes that can be read anywhere: a local file, or an S3 object by ranged reads. Safe for use by many threads. */
public interface ByteSource {
    /** What error messages call it. */
    String name();

    /** Size in bytes. */
    long size();

    /**
     * Fills {@code into} from its position to its limit with the bytes at {@code offset}.
     *
     * @throws IOException if the bytes cannot be read now
     */
    void read(long offset, ByteBuffer into) throws IOException;

    /**
     * The same for a reader that goes on to {@code end}, by parts of this size: a remote source fetches the next part
     * meanwhile.
     *
     * @param end offset after the last byte that will be read
     */
    default void read(long offset, ByteBuffer into, long end) throws IOException {
        read(offset, into);
    }

    /** What identifies the content: its SHA-256 in hexadecimal; in S3 a hash of ETag and size stands for it. */
    String digest() throws IOException;

    /** {@code length} bytes at {@code offset}, in a direct, read-only, little-endian buffer. */
    default ByteBuffer map(long offset, long length) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(Math.toIntExact(length));
        read(offset, buffer);
        return buffer.flip().asReadOnlyBuffer().order(ByteOrder.LITTLE_ENDIAN);
    }
}
