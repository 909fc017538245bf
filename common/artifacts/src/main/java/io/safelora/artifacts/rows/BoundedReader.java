package io.safelora.artifacts.rows;

import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.charset.StandardCharsets;

/** UTF-8 text for a parser that knows no longest row. The parser may read a little ahead. */
final class BoundedReader extends Reader {
    private final Reader reader;
    private final Limits limits;
    private String where;

    BoundedReader(InputStream in, String file, Limits limits) {
        this.reader = new InputStreamReader(in, StandardCharsets.UTF_8.newDecoder());
        this.limits = limits;
        this.where = file;
    }

    void nextRow(String where) {
        this.where = where;
        limits.nextRow();
    }

    @Override
    public int read(char[] chars, int offset, int length) throws IOException {
        int read = reader.read(chars, offset, length);
        limits.row(Math.max(read, 0), where);
        return read;
    }

    @Override
    public void close() throws IOException {
        reader.close();
    }
}
