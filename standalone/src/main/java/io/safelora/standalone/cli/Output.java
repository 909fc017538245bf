package io.safelora.standalone.cli;

import io.safelora.contract.InvalidInputException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Objects;

/**
 * What a command writes last. Whether it can be written is looked at first: hours of computing must not end at a
 * mistyped path. What cannot be written in the end all the same (a full disk, a lost mount) is kept in a temporary
 * directory.
 */
final class Output {
    private final String option;
    private final Path target;

    private Output(String option, Path target) {
        this.option = option;
        this.target = target;
    }

    /** Writes a result, a file or a directory. */
    interface Writer {
        void write(Path target) throws IOException;
    }

    /**
     * A file to write. One of that name is replaced; missing folders above it are created.
     *
     * @param inputs what the command reads; nulls are allowed
     * @throws InvalidInputException naming the option, if it cannot be written, or is one of the inputs
     */
    static Output file(String option, Path target, Path... inputs) {
        if (Files.isDirectory(target)) {
            throw new InvalidInputException(option + ": " + target + " is a directory; give a file to write");
        }
        Output output = new Output(option, target);
        Path parent = target.toAbsolutePath().normalize().getParent();
        if (parent == null) {
            throw new InvalidInputException(option + ": " + target + " does not name a file");
        }
        output.probe(parent);
        if (Files.exists(target) && !Files.isWritable(target)) {
            throw output.refused("it exists, and this user may not write it");
        }
        output.differsFrom(inputs);
        return output;
    }

    /** The same for a directory: created if it is missing; files of the same names in it are replaced. */
    static Output directory(String option, Path target, Path... inputs) {
        if (Files.exists(target) && !Files.isDirectory(target)) {
            throw new InvalidInputException(option + ": " + target + " is a file; give a directory to write");
        }
        Output output = new Output(option, target);
        output.differsFrom(inputs);
        output.probe(target.toAbsolutePath().normalize());
        return output;
    }

    /** A directory is writable when a file can be made in it. */
    private void probe(Path directory) {
        try {
            Files.createDirectories(directory);
            Files.delete(Files.createTempFile(directory, ".safelora-", ".tmp"));
        } catch (IOException e) {
            throw refused(reason(e));
        }
    }

    private void differsFrom(Path... inputs) {
        for (Path input : Arrays.stream(inputs).filter(Objects::nonNull).toList()) {
            boolean same;
            try {
                same = Files.exists(target) && Files.exists(input) && Files.isSameFile(target, input);
            } catch (IOException e) {
                throw refused(reason(e));
            }
            if (same) {
                throw refused("it is an input of this command, which would be overwritten; write elsewhere");
            }
        }
    }

    /**
     * Writes the result to its place.
     *
     * @throws IOException if that fails; the message says where the result is instead
     */
    void write(Writer writer) throws IOException {
        try {
            writer.write(target);
        } catch (IOException e) {
            Path kept = Files.createTempDirectory("safelora-")
                    .resolve(target.toAbsolutePath().normalize().getFileName());
            try {
                writer.write(kept);
            } catch (IOException second) {
                e.addSuppressed(second);
                throw new IOException(
                        option + ": " + target + " cannot be written (" + reason(e) + "), nor can " + kept + " ("
                                + reason(second) + ")",
                        e);
            }
            throw new IOException(
                    option + ": " + target + " cannot be written (" + reason(e) + "); the result is in " + kept, e);
        }
    }

    /** Writes the bytes of a file. */
    void write(byte[] bytes) throws IOException {
        write(file -> Files.write(file, bytes));
    }

    @Override
    public String toString() {
        return target.toAbsolutePath().normalize().toString();
    }

    private InvalidInputException refused(String why) {
        return new InvalidInputException(option + ": " + target + " cannot be written: " + why);
    }

    /** The message of the JDK's file exceptions is the path; what happened is their class. */
    static String reason(IOException e) {
        if (e instanceof AccessDeniedException denied) {
            return "no permission for " + denied.getFile();
        }
        if (e instanceof FileAlreadyExistsException exists) {
            return exists.getFile() + " is a file, not a directory";
        }
        if (e instanceof NoSuchFileException missing) {
            return missing.getFile() + " does not exist";
        }
        if (e instanceof FileSystemException file && file.getReason() != null) {
            return file.getReason() + ": " + file.getFile();
        }
        return e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    }
}
