package io.safelora.artifacts.safetensors;

import io.safelora.artifacts.ByteSource;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.LocalFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Map;

/**
 * A safetensors file, open for reading. Only its header is read on opening; tensors are mapped or read one by one.
 *
 * @see <a href="https://github.com/huggingface/safetensors">the format</a>
 */
public final class SafetensorsFile {
    private final ByteSource source;
    private final long dataOffset;
    private final SafetensorsHeader header;

    private SafetensorsFile(ByteSource source, long dataOffset, SafetensorsHeader header) {
        this.source = source;
        this.dataOffset = dataOffset;
        this.header = header;
    }

    /**
     * Opens a local file.
     *
     * @throws InvalidArtifactException if there is no such file or it is not a valid safetensors file
     */
    public static SafetensorsFile open(Path path) throws IOException {
        return open(LocalFile.of(path));
    }

    /** Opens {@code source}, reading its header only. */
    public static SafetensorsFile open(ByteSource source) throws IOException {
        long size = source.size();
        if (size < 8) {
            throw new InvalidArtifactException(
                    source.name() + ": has " + size + " bytes, too few for a safetensors file; download it again");
        }
        ByteBuffer prefix = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        source.read(0, prefix);
        long length = prefix.getLong(0);
        if (length < 2 || length > size - 8 || length > SafetensorsHeader.MAX_BYTES) {
            throw new InvalidArtifactException(source.name() + ": says that its header has "
                    + Long.toUnsignedString(length) + " bytes, but the file has " + size + " (and at most "
                    + SafetensorsHeader.MAX_BYTES
                    + " are allowed); it is truncated or no safetensors file, download it again");
        }
        ByteBuffer json = ByteBuffer.allocate((int) length);
        source.read(8, json);
        return new SafetensorsFile(
                source, 8 + length, SafetensorsHeader.parse(source.name(), json.array(), size - 8 - length));
    }

    /** A name from a file, fit for one line of a log. */
    public static String quoted(String name) {
        return SafetensorsHeader.quoted(name);
    }

    /** What error messages call this file. */
    public String name() {
        return source.name();
    }

    /** All tensors by name, in the header's order. */
    public Map<String, TensorInfo> tensors() {
        return header.tensors();
    }

    /** The header's {@code __metadata__}. */
    public Map<String, String> metadata() {
        return Collections.unmodifiableMap(header.metadata);
    }

    /** @throws InvalidArtifactException if the file has no tensor of that name */
    public TensorInfo info(String name) {
        TensorInfo info = header.tensors.get(name);
        if (info == null) {
            throw new InvalidArtifactException(source.name() + ": has no tensor " + SafetensorsHeader.quoted(name));
        }
        return info;
    }

    /** Where in the file the tensor's first byte is. */
    public long offset(String name) {
        return dataOffset + info(name).begin();
    }

    /**
     * The tensor's bytes in a direct, read-only, little-endian buffer: a memory map where the file is local.
     *
     * @throws UncheckedIOException if the bytes cannot be read now
     */
    public ByteBuffer map(String name) {
        TensorInfo info = info(name);
        if (info.bytes() > Integer.MAX_VALUE) {
            throw new InvalidArtifactException(source.name() + ": tensor " + SafetensorsHeader.quoted(name) + " has "
                    + info.bytes() + " bytes; at most 2 GiB can be mapped at once, read it in parts");
        }
        try {
            return source.map(dataOffset + info.begin(), info.bytes());
        } catch (IOException e) {
            throw new UncheckedIOException(source.name() + ": cannot be read: " + e.getMessage(), e);
        }
    }

    /**
     * Fills {@code into} from its position to its limit with the tensor's bytes from {@code offset} on. Unlike a map,
     * this leaves nothing resident: it is the way to stream through a checkpoint larger than memory. Of a file in S3 no
     * byte is fetched that is not read, if tensors are read from begin to end, by parts of one size.
     */
    public void read(String name, long offset, ByteBuffer into) {
        TensorInfo info = info(name);
        if (offset < 0 || offset + into.remaining() > info.bytes()) {
            throw new IndexOutOfBoundsException(
                    name + " has " + info.bytes() + " bytes, asked for " + into.remaining() + " at " + offset);
        }
        try {
            source.read(dataOffset + info.begin() + offset, into, dataOffset + info.end());
        } catch (IOException e) {
            throw new UncheckedIOException(source.name() + ": cannot be read: " + e.getMessage(), e);
        }
    }
}
