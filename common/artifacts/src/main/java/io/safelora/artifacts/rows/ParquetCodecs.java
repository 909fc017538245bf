package io.safelora.artifacts.rows;

import io.airlift.compress.Decompressor;
import io.airlift.compress.lz4.Lz4Decompressor;
import io.airlift.compress.snappy.SnappyDecompressor;
import io.airlift.compress.zstd.ZstdDecompressor;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.zip.GZIPInputStream;
import org.apache.parquet.bytes.BytesInput;
import org.apache.parquet.compression.CompressionCodecFactory;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.brotli.dec.BrotliInputStream;

/** Decompresses Parquet's pages without Hadoop, whose codecs parquet-hadoop would look for. */
final class ParquetCodecs implements CompressionCodecFactory {
    /** Writers make pages of a megabyte, of one value at least. */
    private static final int MAX_PAGE = 256 << 20;

    /** Bytes to exactly as many as {@code decompressed} holds. */
    private interface Codec {
        void decompress(byte[] compressed, byte[] decompressed) throws IOException;
    }

    @Override
    public BytesInputDecompressor getDecompressor(CompressionCodecName name) {
        return new PageDecompressor(
                name,
                switch (name) {
                    case UNCOMPRESSED -> null;
                    case SNAPPY -> blocks(new SnappyDecompressor());
                    case ZSTD -> blocks(new ZstdDecompressor());
                    case LZ4_RAW -> blocks(new Lz4Decompressor());
                    case LZ4 -> ParquetCodecs::hadoopLz4;
                    case GZIP -> (in, out) -> whole(new GZIPInputStream(new ByteArrayInputStream(in)), out);
                    case BROTLI -> (in, out) -> whole(new BrotliInputStream(new ByteArrayInputStream(in)), out);
                    case LZO ->
                        throw new IllegalArgumentException(
                                "its compression is LZO, which is not read; write the file with zstd or snappy");
                });
    }

    private static Codec blocks(Decompressor decompressor) {
        return (in, out) -> {
            if (decompressor.decompress(in, 0, in.length, out, 0, out.length) != out.length) {
                throw new IOException("a page is shorter than its header says");
            }
        };
    }

    private static void whole(InputStream in, byte[] out) throws IOException {
        try (in) {
            if (in.readNBytes(out, 0, out.length) != out.length) {
                throw new IOException("a page is shorter than its header says");
            }
        }
    }

    /**
     * Codec LZ4, which LZ4_RAW has replaced: blocks as Hadoop frames them, with the decompressed and the compressed
     * length before each; or, by old parquet-cpp, one raw block.
     */
    private static void hadoopLz4(byte[] in, byte[] out) throws IOException {
        Lz4Decompressor decompressor = new Lz4Decompressor();
        ByteBuffer lengths = ByteBuffer.wrap(in);
        int at = 0;
        int done = 0;
        while (in.length - at >= 8) {
            int decompressed = lengths.getInt(at);
            int compressed = lengths.getInt(at + 4);
            if (decompressed < 0
                    || decompressed > out.length - done
                    || compressed < 0
                    || compressed > in.length - at - 8) {
                break;
            }
            done += decompressor.decompress(in, at + 8, compressed, out, done, decompressed);
            at += 8 + compressed;
        }
        if (at != in.length || done != out.length) {
            blocks(decompressor).decompress(in, out);
        }
    }

    @Override
    public BytesInputCompressor getCompressor(CompressionCodecName name) {
        throw new UnsupportedOperationException("Parquet is read, not written");
    }

    @Override
    public void release() {}

    /** @param codec null: the bytes are not compressed */
    private record PageDecompressor(CompressionCodecName name, Codec codec) implements BytesInputDecompressor {
        @Override
        public BytesInput decompress(BytesInput bytes, int decompressedSize) throws IOException {
            return codec == null ? bytes : BytesInput.from(decompress(bytes.toByteArray(), decompressedSize));
        }

        @Override
        public void decompress(ByteBuffer input, int compressedSize, ByteBuffer output, int decompressedSize)
                throws IOException {
            byte[] bytes = new byte[compressedSize];
            input.get(bytes);
            output.put(codec == null ? bytes : decompress(bytes, decompressedSize));
        }

        private byte[] decompress(byte[] bytes, int decompressedSize) throws IOException {
            if (decompressedSize < 0 || decompressedSize > MAX_PAGE) {
                throw new IOException("a page of " + decompressedSize + " bytes; at most " + MAX_PAGE + " are read");
            }
            byte[] out = new byte[decompressedSize];
            try {
                codec.decompress(bytes, out);
            } catch (RuntimeException e) {
                throw new IOException("broken " + name + " data", e);
            }
            return out;
        }

        @Override
        public void release() {}
    }
}
