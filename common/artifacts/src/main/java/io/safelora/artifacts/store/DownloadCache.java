package io.safelora.artifacts.store;

import com.fasterxml.jackson.core.type.TypeReference;
import io.safelora.artifacts.ByteSource;
import io.safelora.artifacts.FileDigests;
import io.safelora.artifacts.Sha256;
import io.safelora.contract.Json;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Downloads, kept in a folder that several processes may share: {@code <key>/files/<name>}, and {@code
 * <key>/sha256.json} with the digests of what came down. What is taken out is checked against its size and digest,
 * and what is damaged or missing comes down again. A file is written beside its place and moved there in one step, so
 * that nobody sees half of it.
 *
 * <p>When the disk is full, entries that nobody took for {@link #UNUSED} are removed; if that is not enough, this
 * process does with a temporary folder until it ends.
 */
final class DownloadCache implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(DownloadCache.class);

    /** A task opens what it took within this time. */
    static final Duration UNUSED = Duration.ofDays(2);

    private static final String INDEX = "sha256.json";
    private static final String FILES = "files";
    private static final int BUFFER = 16 << 20;

    private final Path root;
    private Path overflow;

    DownloadCache(Path root) {
        this.root = root;
    }

    /** Where a file comes from; opened only if it must come down. */
    interface Source {
        ByteSource open() throws IOException;
    }

    /**
     * A file that is wanted.
     *
     * @param name a relative path
     * @param sha256 of its content; null where that is known only once it has come down
     */
    record Wanted(String name, long size, String sha256, Source source) {}

    /** Writing to this machine's disk failed, as opposed to reading from the store. */
    private static final class DiskException extends IOException {
        DiskException(IOException cause) {
            super(cause);
        }
    }

    /**
     * The folder that has all of {@code wanted}; it must not be written to.
     *
     * @param key names content, in characters fit for a file name: equal keys mean equal files
     * @throws StoreUnavailableException if there is no place for them on any disk
     */
    Path take(String key, List<Wanted> wanted) throws IOException {
        try {
            return take(root, key, wanted);
        } catch (DiskException full) {
            LOG.warn(
                    "cannot write to the download cache {}: {}; what was not used for {} is removed",
                    root,
                    full.getCause(),
                    UNUSED);
            removeUnused();
        }
        try {
            return take(root, key, wanted);
        } catch (DiskException full) {
            LOG.warn(
                    "cannot write to the download cache {}: {}; a temporary folder is used",
                    root,
                    full.getCause().toString());
        }
        try {
            return take(overflow(), key, wanted);
        } catch (DiskException full) {
            long bytes = wanted.stream().mapToLong(Wanted::size).sum();
            throw new StoreUnavailableException(
                    "cannot write " + bytes + " bytes to the download cache " + root + " nor to the temporary folder "
                            + System.getProperty("java.io.tmpdir") + " (" + full.getCause()
                            + "); free space, or set SAFELORA_CACHE_DIR to a larger disk",
                    full.getCause());
        }
    }

    private static Path take(Path root, String key, List<Wanted> wanted) throws IOException {
        Path entry = root.resolve(key);
        Path files = entry.resolve(FILES);
        Map<String, String> known = index(entry);
        Map<String, String> digests = new TreeMap<>();
        for (Wanted file : wanted) {
            Path at = files.resolve(file.name());
            String expected = file.sha256() != null ? file.sha256() : known.get(file.name());
            if (!isIntact(at, file.size(), expected)) {
                expected = fetch(file, at, entry);
            }
            digests.put(file.name(), expected);
        }
        if (digests.equals(known)) {
            try {
                // The time of last use.
                Files.setLastModifiedTime(entry.resolve(INDEX), FileTime.from(Instant.now()));
            } catch (IOException readOnly) {
                LOG.debug("the use of {} is not noted", entry, readOnly);
            }
        } else {
            onDisk(() -> {
                Files.createDirectories(files);
                Path part = Files.createTempFile(entry, "part-", null);
                try {
                    Files.write(part, Json.MAPPER.writeValueAsBytes(digests));
                    Files.move(part, entry.resolve(INDEX), StandardCopyOption.ATOMIC_MOVE);
                } finally {
                    Files.deleteIfExists(part);
                }
            });
        }
        return files;
    }

    private static Map<String, String> index(Path entry) {
        try {
            return Json.MAPPER.readValue(
                    Files.readAllBytes(entry.resolve(INDEX)), new TypeReference<Map<String, String>>() {});
        } catch (IOException missingOrDamaged) {
            return Map.of();
        }
    }

    private static boolean isIntact(Path file, long size, String sha256) {
        try {
            return sha256 != null
                    && Files.isRegularFile(file)
                    && Files.size(file) == size
                    && FileDigests.sha256(file).equals(sha256);
        } catch (IOException unreadable) {
            return false;
        }
    }

    private static String fetch(Wanted file, Path at, Path entry) throws IOException {
        ByteSource source = file.source().open();
        Path[] part = new Path[1];
        onDisk(() -> {
            Files.createDirectories(at.getParent());
            part[0] = Files.createTempFile(entry, "part-", null);
        });
        try {
            String sha256 = copy(source, part[0]);
            if (file.sha256() != null && !file.sha256().equals(sha256) || source.size() != file.size()) {
                throw Manifest.mismatch(source.name());
            }
            onDisk(() -> {
                Files.move(part[0], at, StandardCopyOption.ATOMIC_MOVE);
                FileDigests.remember(at, sha256);
            });
            return sha256;
        } finally {
            Files.deleteIfExists(part[0]);
        }
    }

    /**
     * Copies all of {@code source} into {@code file}, over what is there.
     *
     * @return its SHA-256
     */
    static String copy(ByteSource source, Path file) throws IOException {
        MessageDigest digest = Sha256.digest();
        long size = source.size();
        ByteBuffer buffer = ByteBuffer.allocateDirect((int) Math.min(size, BUFFER));
        try (FileChannel out = FileChannel.open(
                file, StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING)) {
            for (long offset = 0; offset < size; offset += BUFFER) {
                buffer.clear().limit((int) Math.min(BUFFER, size - offset));
                source.read(offset, buffer, size);
                digest.update(buffer.flip().duplicate());
                onDisk(() -> {
                    while (buffer.hasRemaining()) {
                        out.write(buffer);
                    }
                });
            }
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    private void removeUnused() {
        Instant before = Instant.now().minus(UNUSED);
        try (var entries = Files.list(root)) {
            for (Path entry : (Iterable<Path>) entries::iterator) {
                Path index = entry.resolve(INDEX);
                Path used = Files.exists(index) ? index : entry;
                // Only what has the name of an entry: the folder may be shared with other programs.
                if (entry.getFileName().toString().matches("[0-9a-f]{64}")
                        && Files.getLastModifiedTime(used).toInstant().isBefore(before)) {
                    deleteTree(entry);
                }
            }
        } catch (IOException e) {
            LOG.warn("cannot clean the download cache {}: {}", root, e.toString());
        }
    }

    private synchronized Path overflow() throws IOException {
        if (overflow == null) {
            onDisk(() -> overflow = Files.createTempDirectory("safelora-downloads-"));
        }
        return overflow;
    }

    private interface DiskWork {
        void run() throws IOException;
    }

    private static void onDisk(DiskWork work) throws DiskException {
        try {
            work.run();
        } catch (IOException e) {
            throw new DiskException(e);
        }
    }

    private static void deleteTree(Path root) throws IOException {
        try (var walk = Files.walk(root)) {
            for (Path p : (Iterable<Path>) walk.sorted(Comparator.reverseOrder())::iterator) {
                Files.deleteIfExists(p);
            }
        }
    }

    @Override
    public synchronized void close() {
        if (overflow != null) {
            try {
                deleteTree(overflow);
            } catch (IOException e) {
                LOG.warn("cannot remove {}: {}", overflow, e.toString());
            }
        }
    }
}
