package io.safelora.artifacts;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Optional;

/**
 * Where work that takes long leaves what it needs to go on after its process was killed: one file, the last one saved.
 */
public interface ResumePoint {
    /** The file that was saved last, on this machine; empty if there is none. */
    Optional<Path> load() throws IOException;

    /** Where the next file is to be written before it is saved. */
    Path newFile() throws IOException;

    /** Puts what was written to {@link #newFile} in the place of the last one, whole or not at all. It may be moved. */
    void save(Path file) throws IOException;

    /** One in a folder, {@code file}. */
    static ResumePoint at(Path file) {
        return new ResumePoint() {
            @Override
            public Optional<Path> load() {
                return Files.isRegularFile(file) ? Optional.of(file) : Optional.empty();
            }

            @Override
            public Path newFile() throws IOException {
                Files.createDirectories(file.toAbsolutePath().getParent());
                return file.resolveSibling(file.getFileName() + ".new");
            }

            @Override
            public void save(Path saved) throws IOException {
                Files.move(saved, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
            }

            @Override
            public String toString() {
                return file.toString();
            }
        };
    }
}
