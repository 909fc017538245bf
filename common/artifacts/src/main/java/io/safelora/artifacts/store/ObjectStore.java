package io.safelora.artifacts.store;

import io.safelora.artifacts.ByteSource;
import io.safelora.artifacts.Folder;
import io.safelora.artifacts.InvalidArtifactException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * Where objects lie: {@link FileObjects} or {@link S3Objects}. What makes results and downloads of them is written
 * once, above: {@link ResultStore}, {@link DownloadCache}. Safe for use by many threads.
 *
 * <p>Errors are those of {@link ArtifactStore}.
 */
interface ObjectStore extends AutoCloseable {
    /** Writes {@code bytes}, over what is there. */
    void put(ArtifactUri at, byte[] bytes) throws IOException;

    /** Writes a file's content, over what is there. */
    void put(ArtifactUri at, Path file) throws IOException;

    /**
     * @return whether there was nothing, and {@code bytes} were written; of many writers at once exactly one gets true
     */
    boolean putIfAbsent(ArtifactUri at, byte[] bytes) throws IOException;

    /** The object at {@code at}; empty if there is none. */
    Optional<ByteSource> find(ArtifactUri at) throws IOException;

    /** What to throw where {@link #find} found nothing. */
    IOException missing(ArtifactUri at) throws IOException;

    /** Deletes an object, if there is one. */
    void delete(ArtifactUri at) throws IOException;

    /** All objects below {@code at}, in any order. */
    List<Listed> list(ArtifactUri at) throws IOException;

    /** A model or adapter folder. */
    Folder folder(ArtifactUri at) throws IOException;

    /** The file or folder of this machine that {@code at} names; null where objects must come down first. */
    Path localPath(ArtifactUri at);

    @Override
    void close();

    /** Opens an object to be read by ranges. */
    default ByteSource open(ArtifactUri at) throws IOException {
        Optional<ByteSource> object = find(at);
        if (object.isEmpty()) {
            throw missing(at);
        }
        return object.get();
    }

    /** Reads an object whole; empty if there is none. */
    default Optional<byte[]> find(ArtifactUri at, int maxBytes) throws IOException {
        Optional<ByteSource> object = find(at);
        if (object.isEmpty()) {
            return Optional.empty();
        }
        if (object.get().size() > maxBytes) {
            throw new InvalidArtifactException(
                    at + ": has " + object.get().size() + " bytes; at most " + maxBytes + " are read");
        }
        byte[] bytes = new byte[(int) object.get().size()];
        object.get().read(0, ByteBuffer.wrap(bytes));
        return Optional.of(bytes);
    }

    /** @throws InvalidArtifactException if there is no such object, or it has more than {@code maxBytes} */
    default byte[] get(ArtifactUri at, int maxBytes) throws IOException {
        Optional<byte[]> bytes = find(at, maxBytes);
        if (bytes.isEmpty()) {
            throw missing(at);
        }
        return bytes.get();
    }
}
