package io.safelora.artifacts;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** A file of this machine. It is opened for every read, so that nothing needs to be closed. */
public record LocalFile(Path path, long size) implements ByteSource {

    /** @throws InvalidArtifactException if there is no such file */
    public static LocalFile of(Path path) throws IOException {
        if (!Files.isRegularFile(path)) {
            throw new InvalidArtifactException(path + ": no such file");
        }
        return new LocalFile(path, Files.size(path));
    }

    @Override
    public String name() {
        return path.toString();
    }

    @Override
    public void read(long offset, ByteBuffer into) throws IOException {
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            while (into.hasRemaining()) {
                int n = channel.read(into, offset);
                if (n < 0) {
                    throw new EOFException(path + " became shorter while it was read");
                }
                offset += n;
            }
        }
    }

    @Override
    public String digest() throws IOException {
        return Sha256.hex(path);
    }

    @Override
    public ByteBuffer map(long offset, long length) throws IOException {
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            if (channel.size() < offset + length) {
                throw new EOFException(path + " became shorter while it was read");
            }
            return channel.map(FileChannel.MapMode.READ_ONLY, offset, length).order(ByteOrder.LITTLE_ENDIAN);
        }
    }
}
