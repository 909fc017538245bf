package io.safelora.artifacts.rows;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.InvalidArtifactException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.function.Consumer;
import org.apache.parquet.ParquetReadOptions;
import org.apache.parquet.column.page.PageReadStore;
import org.apache.parquet.conf.PlainParquetConfiguration;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.hadoop.metadata.BlockMetaData;
import org.apache.parquet.hadoop.metadata.ColumnChunkMetaData;
import org.apache.parquet.io.ColumnIOFactory;
import org.apache.parquet.io.DelegatingSeekableInputStream;
import org.apache.parquet.io.InputFile;
import org.apache.parquet.io.RecordReader;
import org.apache.parquet.io.SeekableInputStream;
import org.apache.parquet.schema.MessageType;

/** Rows of Parquet. Its library meets broken files with any exception; the disk's faults are told from those. */
final class ParquetRows {
    private final String file;
    private final FileChannel channel;
    private final Limits limits;
    private long row;
    private IOException diskFault;

    private ParquetRows(String file, FileChannel channel, Limits limits) {
        this.file = file;
        this.channel = channel;
        this.limits = limits;
    }

    static void read(Path path, Limits limits, Consumer<Row> each) throws IOException {
        try (FileChannel channel = FileChannel.open(path)) {
            new ParquetRows(path.getFileName().toString(), channel, limits).read(each);
        }
    }

    private void read(Consumer<Row> each) throws IOException {
        ParquetReadOptions options = ParquetReadOptions.builder(new PlainParquetConfiguration())
                .withCodecFactory(new ParquetCodecs())
                .build();
        try (ParquetFileReader reader = tried(() -> ParquetFileReader.open(new Source(), options))) {
            tried(() -> checkBounds(reader));
            MessageType schema = reader.getFooter().getFileMetaData().getSchema();
            ParquetJson json = tried(() -> new ParquetJson(schema, this::read));
            for (PageReadStore pages = tried(reader::readNextRowGroup);
                    pages != null;
                    pages = tried(reader::readNextRowGroup)) {
                PageReadStore group = pages;
                RecordReader<ObjectNode> rows =
                        tried(() -> new ColumnIOFactory().getColumnIO(schema).getRecordReader(group, json));
                for (long i = 0; i < group.getRowCount(); i++) {
                    limits.nextRow();
                    ObjectNode values = tried(rows::read);
                    row++;
                    each.accept(new Row(values, file + ", row " + row));
                }
            }
        }
    }

    private void read(int size) {
        limits.text(size);
        limits.row(size, file + ", row " + (row + 1));
    }

    /** Memory is taken by the lengths that the file's end tells of. */
    private Void checkBounds(ParquetFileReader reader) throws IOException {
        for (BlockMetaData block : reader.getRowGroups()) {
            for (ColumnChunkMetaData column : block.getColumns()) {
                long start = column.getStartingPos();
                if (start < 0 || column.getTotalSize() < 0 || start > channel.size() - column.getTotalSize()) {
                    throw new IOException("column " + column.getPath() + " lies outside the file");
                }
            }
        }
        return null;
    }

    private interface Step<T> {
        T run() throws IOException;
    }

    private <T> T tried(Step<T> step) throws IOException {
        try {
            return step.run();
        } catch (InvalidArtifactException e) {
            throw e;
        } catch (IOException | RuntimeException | StackOverflowError e) {
            if (diskFault != null) {
                throw diskFault;
            }
            Throwable cause = e;
            while (cause.getCause() != null && cause.getCause() != cause) {
                cause = cause.getCause();
            }
            String why = cause.getMessage() == null ? cause.toString() : cause.getMessage();
            throw new InvalidArtifactException(
                    file + ": not a Parquet file that can be read" + (row == 0 ? "" : ", after row " + row) + ": "
                            + why.lines().findFirst().orElse(""),
                    e);
        }
    }

    private final class Source implements InputFile {
        private static final int CHUNK = 1 << 20;

        @Override
        public long getLength() throws IOException {
            return channel.size();
        }

        @Override
        public SeekableInputStream newStream() {
            InputStream bytes = new InputStream() {
                private final InputStream in = Channels.newInputStream(channel);

                @Override
                public int read() throws IOException {
                    byte[] one = new byte[1];
                    return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
                }

                @Override
                public int read(byte[] buffer, int offset, int length) throws IOException {
                    try {
                        return in.read(buffer, offset, Math.min(length, CHUNK));
                    } catch (IOException e) {
                        diskFault = e;
                        throw e;
                    }
                }
            };
            return new DelegatingSeekableInputStream(bytes) {
                @Override
                public long getPos() throws IOException {
                    return channel.position();
                }

                @Override
                public void seek(long position) throws IOException {
                    channel.position(position);
                }
            };
        }
    }
}
