package io.safelora.artifacts.rows;

import io.airlift.compress.zstd.ZstdInputStream;
import io.safelora.artifacts.InvalidArtifactException;
import java.io.BufferedInputStream;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.function.Consumer;
import java.util.zip.GZIPInputStream;

/**
 * Reads the rows of a file. What a file is, its first bytes say: Parquet; gzip or Zstandard around text; a JSON array
 * of objects; JSON Lines, an object a line; else CSV or TSV, whose first line names the columns. Text is UTF-8, with or
 * without a byte order mark.
 */
public final class Rows {
    /** How much text a file may hold, decompressed, for a reader that keeps little of it. */
    public static final long MAX_TEXT = 16L << 30;

    private static final byte[] PARQUET = "PAR1".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] GZIP = {0x1f, (byte) 0x8b};
    private static final byte[] ZSTANDARD = {0x28, (byte) 0xb5, 0x2f, (byte) 0xfd};
    private static final byte[] BYTE_ORDER_MARK = {(byte) 0xef, (byte) 0xbb, (byte) 0xbf};
    private static final byte[] LFS_POINTER = "version https://git-lfs".getBytes(StandardCharsets.US_ASCII);
    private static final int BUFFER = 1 << 16;

    private Rows() {}

    /**
     * Reads a file row by row.
     *
     * @param maxText how many bytes of text it may hold, decompressed
     * @param each takes every row, in the file's order
     * @throws InvalidArtifactException if the file is not there or not rows, naming the line; whatever {@code each}
     *     throws
     * @throws IOException if the disk cannot be read; another try may help
     */
    public static void read(Path file, long maxText, Consumer<Row> each) throws IOException {
        if (Files.notExists(file)) {
            throw new InvalidArtifactException(file + ": no such file");
        }
        if (Files.isDirectory(file)) {
            throw new InvalidArtifactException(
                    file + ": is a directory; give a file of rows (JSON Lines, a JSON array, CSV or Parquet)");
        }
        String name = file.getFileName().toString();
        Limits limits = new Limits(name, maxText);
        try (InputStream in = new BufferedInputStream(Files.newInputStream(file), BUFFER)) {
            if (begins(in, PARQUET)) {
                ParquetRows.read(file, limits, each);
            } else if (begins(in, GZIP)) {
                text(new Decompressed(name, "gzip", in), withoutSuffix(name, ".gz"), name, limits, each);
            } else if (begins(in, ZSTANDARD)) {
                text(new Decompressed(name, "Zstandard", in), withoutSuffix(name, ".zst"), name, limits, each);
            } else {
                text(in, name, name, limits, each);
            }
        }
    }

    /** {@link #read} of the file's first rows. */
    public static void first(long rows, Path file, long maxText, Consumer<Row> each) throws IOException {
        long[] left = {rows};
        try {
            read(file, maxText, row -> {
                if (left[0]-- <= 0) {
                    throw new EnoughException();
                }
                each.accept(row);
            });
        } catch (EnoughException enough) {
            // The rest is for whoever needs it.
        }
    }

    /** Leaves a file before its end. */
    private static final class EnoughException extends RuntimeException {
        private static final long serialVersionUID = 1;

        EnoughException() {
            super(null, null, false, false);
        }
    }

    /**
     * @param kind the file's name without what tells of compression
     * @param name the file's name, for messages
     */
    private static void text(InputStream bytes, String kind, String name, Limits limits, Consumer<Row> each)
            throws IOException {
        InputStream in = new BufferedInputStream(new Counted(bytes, limits), BUFFER);
        if (begins(in, PARQUET)) {
            throw new InvalidArtifactException(name + ": is a compressed Parquet file; decompress it");
        }
        if (begins(in, LFS_POINTER)) {
            throw new InvalidArtifactException(name + ": is a Git LFS pointer instead of the data; run git lfs pull");
        }
        if (begins(in, BYTE_ORDER_MARK)) {
            in.skipNBytes(BYTE_ORDER_MARK.length);
        }
        String suffix = kind.substring(kind.lastIndexOf('.') + 1).toLowerCase(Locale.ROOT);
        if (suffix.equals("parquet")) {
            throw new InvalidArtifactException(name + ": is not Parquet: it does not begin with PAR1");
        }
        boolean table = suffix.equals("csv") || suffix.equals("tsv");
        int first = table ? ' ' : firstOfText(in);
        try {
            if (first == '[' && !suffix.equals("jsonl")) {
                JsonRows.array(in, name, limits, each);
            } else if (first == '{' || suffix.startsWith("json") || suffix.equals("ndjson")) {
                JsonRows.lines(in, name, limits, each);
            } else {
                CsvRows.read(in, name, limits, each);
            }
        } catch (CharacterCodingException e) {
            throw new InvalidArtifactException(name + ": not UTF-8 text; convert it", e);
        }
    }

    private static String withoutSuffix(String name, String suffix) {
        return name.toLowerCase(Locale.ROOT).endsWith(suffix)
                ? name.substring(0, name.length() - suffix.length())
                : name;
    }

    private static boolean begins(InputStream in, byte[] magic) throws IOException {
        in.mark(magic.length);
        boolean begins = Arrays.equals(in.readNBytes(magic.length), magic);
        in.reset();
        return begins;
    }

    /** The first byte that is not white space, of the first buffer; a space if there is none. */
    private static int firstOfText(InputStream in) throws IOException {
        in.mark(BUFFER);
        int first = ' ';
        for (int i = 0; i < BUFFER && first >= 0 && first <= ' '; i++) {
            first = in.read();
        }
        in.reset();
        return first < 0 ? ' ' : first;
    }

    /** Counts what passes. */
    private static final class Counted extends FilterInputStream {
        private final Limits limits;

        Counted(InputStream in, Limits limits) {
            super(in);
            this.limits = limits;
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] bytes, int offset, int length) throws IOException {
            int read = super.read(bytes, offset, length);
            limits.text(Math.max(read, 0));
            return read;
        }
    }

    /** Compressed bytes. What is wrong with them stays wrong, while what is wrong with the disk below may pass. */
    private static final class Decompressed extends InputStream {
        /** A fault of the disk, on its way through the decompressor. */
        private static final class DiskException extends IOException {
            private static final long serialVersionUID = 1;

            DiskException(IOException cause) {
                super(cause.getMessage(), cause);
            }
        }

        private final String file;
        private final String codec;
        private final InputStream in;

        Decompressed(String file, String codec, InputStream disk) throws IOException {
            this.file = file;
            this.codec = codec;
            InputStream compressed = new FilterInputStream(disk) {
                @Override
                public int read() throws IOException {
                    try {
                        return super.read();
                    } catch (IOException e) {
                        throw new DiskException(e);
                    }
                }

                @Override
                public int read(byte[] bytes, int offset, int length) throws IOException {
                    try {
                        return super.read(bytes, offset, length);
                    } catch (IOException e) {
                        throw new DiskException(e);
                    }
                }
            };
            try {
                in = codec.equals("gzip") ? new GZIPInputStream(compressed, BUFFER) : new ZstdInputStream(compressed);
            } catch (IOException e) {
                throw broken(e);
            }
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] bytes, int offset, int length) throws IOException {
            try {
                return in.read(bytes, offset, length);
            } catch (IOException | RuntimeException e) {
                throw broken(e);
            }
        }

        private InvalidArtifactException broken(Exception e) throws DiskException {
            if (e instanceof DiskException disk) {
                throw disk;
            }
            return new InvalidArtifactException(
                    file + ": broken or cut-off " + codec + " data"
                            + (e.getMessage() == null ? "" : ": " + e.getMessage()),
                    e);
        }
    }
}
