package io.safelora.artifacts.store;

import io.safelora.artifacts.ByteSource;
import io.safelora.artifacts.Folder;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.LocalFile;
import io.safelora.artifacts.LocalFolder;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Files of this machine. Each is written beside its place and put there in one step, so that nobody sees half of it.
 */
final class FileObjects implements ObjectStore {

    /** Writes the content of a file. */
    private interface Content {
        void writeTo(Path file) throws IOException;
    }

    @Override
    public void put(ArtifactUri at, byte[] bytes) throws IOException {
        write(at.path(), part -> Files.write(part, bytes), true);
    }

    @Override
    public void put(ArtifactUri at, Path file) throws IOException {
        write(at.path(), part -> Files.copy(file, part, StandardCopyOption.REPLACE_EXISTING), true);
    }

    @Override
    public boolean putIfAbsent(ArtifactUri at, byte[] bytes) throws IOException {
        return write(at.path(), part -> Files.write(part, bytes), false);
    }

    private static boolean write(Path file, Content content, boolean replace) throws IOException {
        Files.createDirectories(file.getParent());
        Path part = Files.createTempFile(file.getParent(), ".", ".part");
        try {
            content.writeTo(part);
            if (replace) {
                Files.move(part, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
            } else {
                // A hard link is made by one of many at once.
                Files.createLink(file, part);
            }
            return true;
        } catch (FileAlreadyExistsException e) {
            return false;
        } finally {
            Files.deleteIfExists(part);
        }
    }

    @Override
    public Optional<ByteSource> find(ArtifactUri at) throws IOException {
        return Files.isRegularFile(at.path()) ? Optional.of(LocalFile.of(at.path())) : Optional.empty();
    }

    @Override
    public IOException missing(ArtifactUri at) {
        throw new InvalidArtifactException(at + ": there is no such file");
    }

    @Override
    public void delete(ArtifactUri at) throws IOException {
        Files.deleteIfExists(at.path());
    }

    @Override
    public List<Listed> list(ArtifactUri at) throws IOException {
        List<Listed> found = new ArrayList<>();
        if (Files.isDirectory(at.path())) {
            for (Path file : below(at.path())) {
                found.add(new Listed(file.toUri().toString(), Files.size(file)));
            }
        }
        return found;
    }

    /** All regular files below {@code root}, sorted. */
    static List<Path> below(Path root) throws IOException {
        try (var walk = Files.walk(root)) {
            return walk.filter(Files::isRegularFile).sorted().toList();
        }
    }

    @Override
    public Folder folder(ArtifactUri at) {
        return new LocalFolder(at.path());
    }

    @Override
    public Path localPath(ArtifactUri at) {
        return Files.isRegularFile(at.path()) ? at.path() : new LocalFolder(at.path()).path();
    }

    @Override
    public void close() {}
}
