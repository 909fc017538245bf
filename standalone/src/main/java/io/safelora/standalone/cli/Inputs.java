package io.safelora.standalone.cli;

import io.safelora.contract.InvalidInputException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * Files that a command reads, looked at before it does anything: what is wrong with one is said with the option's name.
 */
final class Inputs {
    private Inputs() {}

    /**
     * A readable file; null stays null.
     *
     * @param option where it was given, for messages
     * @throws InvalidInputException naming option and file
     */
    static Path file(String option, Path path) {
        if (path != null) {
            exists(option, path);
            if (Files.isDirectory(path)) {
                throw new InvalidInputException(option + ": " + path + " is a directory; give a file");
            }
        }
        return path;
    }

    /** A directory; null stays null. */
    static Path directory(String option, Path path) {
        if (path != null) {
            exists(option, path);
            if (!Files.isDirectory(path)) {
                throw new InvalidInputException(option + ": " + path + " is a file; give a directory");
            }
        }
        return path;
    }

    private static void exists(String option, Path path) {
        if (!Files.exists(path)) {
            throw new InvalidInputException(option + ": " + path + " does not exist");
        }
        if (!Files.isReadable(path)) {
            throw new InvalidInputException(option + ": " + path + " may not be read by this user");
        }
    }

    /**
     * A file's text.
     *
     * @throws InvalidInputException naming the file, if it is not UTF-8
     */
    static String text(String option, Path path) throws IOException {
        byte[] bytes = Files.readAllBytes(file(option, path));
        CharsetDecoder decoder = StandardCharsets.UTF_8.newDecoder();
        ByteBuffer in = ByteBuffer.wrap(bytes);
        try {
            return decoder.decode(in).toString();
        } catch (CharacterCodingException e) {
            int at = in.position();
            long line = new String(Arrays.copyOf(bytes, at), StandardCharsets.ISO_8859_1)
                            .chars()
                            .filter(c -> c == '\n')
                            .count()
                    + 1;
            throw new InvalidInputException(option + ": " + path + ", line " + line + " is not UTF-8 text (byte " + at
                    + " of the file); save the file as UTF-8");
        }
    }
}
