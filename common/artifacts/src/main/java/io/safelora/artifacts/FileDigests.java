package io.safelora.artifacts;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * SHA-256 of local files. A checkpoint is an input of several stages: within one process each version of a file is
 * hashed once.
 */
public final class FileDigests {
    private record Version(Path path, long size, FileTime modified) {
        static Version of(Path file) throws IOException {
            return new Version(file.toRealPath(), Files.size(file), Files.getLastModifiedTime(file));
        }
    }

    private static final Map<Version, String> KNOWN = new ConcurrentHashMap<>();

    private FileDigests() {}

    /** The digest of the file as it is now, told apart from other versions by size and time of change. */
    public static String sha256(Path file) throws IOException {
        Version version = Version.of(file);
        String known = KNOWN.get(version);
        if (known == null) {
            known = Sha256.hex(file);
            KNOWN.put(version, known);
        }
        return known;
    }

    /** Spares the hashing of a file whose digest its writer knows. */
    public static void remember(Path file, String sha256) throws IOException {
        KNOWN.put(Version.of(file), sha256);
    }
}
