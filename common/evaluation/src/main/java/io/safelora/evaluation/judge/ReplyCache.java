package io.safelora.evaluation.judge;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Optional;

/** What endpoints said before, by the hash of all that was asked: asking costs money, and need not be done twice. */
public interface ReplyCache {
    /** Longest reply that is kept, in bytes. */
    int MAX_BYTES = 1 << 20;

    /** @param key a SHA-256, in hexadecimal */
    Optional<String> find(String key) throws IOException;

    void put(String key, String reply) throws IOException;

    /** Forgets at once. */
    ReplyCache NONE = new ReplyCache() {
        @Override
        public Optional<String> find(String key) {
            return Optional.empty();
        }

        @Override
        public void put(String key, String reply) {
            // Nobody asks again.
        }
    };

    /** In the files of a directory, which may be used by many processes. */
    static ReplyCache in(Path directory) {
        return new ReplyCache() {
            @Override
            public Optional<String> find(String key) throws IOException {
                try (InputStream in = Files.newInputStream(directory.resolve(key))) {
                    return Optional.of(new String(in.readNBytes(MAX_BYTES), StandardCharsets.UTF_8));
                } catch (NoSuchFileException e) {
                    return Optional.empty();
                }
            }

            @Override
            public void put(String key, String reply) throws IOException {
                Files.createDirectories(directory);
                Path part = Files.createTempFile(directory, "reply-", ".part");
                Files.writeString(part, reply);
                Files.move(part, directory.resolve(key), StandardCopyOption.ATOMIC_MOVE);
            }
        };
    }
}
