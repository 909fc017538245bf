package io.safelora.artifacts.rows;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import io.safelora.artifacts.InvalidArtifactException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.zip.GZIPOutputStream;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Files as people have them; the binary ones are made by src/test/resources/rows/make.py. */
class RowsTest {
    private static final Path FIXTURES = Path.of("src/test/resources/rows");

    @TempDir
    Path dir;

    private static List<Row> read(Path file) throws IOException {
        List<Row> rows = new ArrayList<>();
        Rows.read(file, Rows.MAX_TEXT, rows::add);
        return rows;
    }

    private List<Row> read(String name, String text) throws IOException {
        return read(Files.writeString(dir.resolve(name), text));
    }

    private static List<String> json(List<Row> rows) {
        return rows.stream().map(row -> row.values().toString()).toList();
    }

    private static byte[] gzip(String text) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (OutputStream out = new GZIPOutputStream(bytes)) {
            out.write(text.getBytes(StandardCharsets.UTF_8));
        }
        return bytes.toByteArray();
    }

    @Test
    void jsonLinesWithByteOrderMarkCrlfAndBlankLines() throws IOException {
        List<Row> rows = read("a.jsonl", "\ufeff{\"a\": \"é\u2028\"}\r\n\r\n  \n{\"a\": null, \"b\": [1, {\"c\": 2}]}");
        assertThat(json(rows)).containsExactly("{\"a\":\"é\u2028\"}", "{\"a\":null,\"b\":[1,{\"c\":2}]}");
        assertThat(rows).extracting(Row::where).containsExactly("a.jsonl, line 1", "a.jsonl, line 4");
    }

    @Test
    void jsonArray() throws IOException {
        List<Row> rows = read("a.json", "\ufeff\n[\n  {\"a\": 1},\r\n  {\n    \"a\": 2\n  }\n]\n");
        assertThat(json(rows)).containsExactly("{\"a\":1}", "{\"a\":2}");
        assertThat(rows).extracting(Row::where).containsExactly("a.json, line 3", "a.json, line 4");
        assertThat(read("empty.json", "[]")).isEmpty();
    }

    @Test
    void csvAsPandasAndSpreadsheetsWriteIt() throws IOException {
        List<Row> rows = read(
                "a.csv", "\ufeff,goal,note,\r\n0,\"Say \"\"x\"\",\r\nthen go\",n,\r\n\r\n1,Second,,,,\r\n2,Third\r\n");
        assertThat(json(rows))
                .containsExactly(
                        "{\"goal\":\"Say \\\"x\\\",\\r\\nthen go\",\"note\":\"n\"}",
                        "{\"goal\":\"Second\",\"note\":\"\"}",
                        "{\"goal\":\"Third\"}");
        assertThat(rows).extracting(Row::where).containsExactly("a.csv, line 2", "a.csv, line 5", "a.csv, line 6");
        assertThat(json(read("rows", "goal\nx\n"))).containsExactly("{\"goal\":\"x\"}");
        assertThat(json(read("a.tsv", "a\tb\n1,5\t2\n"))).containsExactly("{\"a\":\"1,5\",\"b\":\"2\"}");
        assertThat(json(read("excel.csv", "a;b\n1,5;2\n"))).containsExactly("{\"a\":\"1,5\",\"b\":\"2\"}");
    }

    @ParameterizedTest
    @ValueSource(strings = {"none", "snappy", "gzip", "brotli", "zstd", "lz4"})
    void parquetOfEveryCompression(String codec) throws IOException {
        for (String version : List.of("-v1", "-v2")) {
            List<Row> rows = read(FIXTURES.resolve(codec + version + ".parquet"));
            assertThat(rows).hasSize(20);
            assertThat(rows.get(13).where()).isEqualTo(codec + version + ".parquet, row 14");
            for (int i = 0; i < 20; i++) {
                assertThat(rows.get(i).text("question"))
                        .isEqualTo(("How many is " + i + " and " + (i + 1) + "? ").repeat(3));
                assertThat(rows.get(i).text("answer")).isEqualTo("#### " + (2 * i + 1));
            }
        }
    }

    @Test
    void parquetsOldLz4() throws IOException {
        byte[] page = Files.readAllBytes(FIXTURES.resolve("hadoop.lz4"));
        byte[] text = "Hadoop frames blocks of LZ4. ".repeat(16).getBytes(StandardCharsets.UTF_8);
        ByteBuffer out = ByteBuffer.allocate(text.length);
        new ParquetCodecs()
                .getDecompressor(CompressionCodecName.LZ4)
                .decompress(ByteBuffer.wrap(page), page.length, out, text.length);
        assertThat(out.array()).isEqualTo(text);
    }

    @Test
    void parquetsTypes() throws IOException {
        List<Row> rows = read(FIXTURES.resolve("types.parquet"));
        assertThat(json(rows))
                .containsExactly(
                        "{\"text\":\"café "
                                + "🙂\",\"large\":\"large\",\"dictionary\":\"d\",\"number\":1099511627776,\"small\":-3,"
                                + "\"real\":0.1,\"single\":0.5,\"flag\":true,\"decimal\":-12.30,\"day\":18263,"
                                + "\"time\":1577923200000000,\"bytes\":\"//4A\","
                                + "\"fixed\":\"abc\",\"list\":[\"a\",null,\"\"],"
                                + "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\"}],"
                                + "\"map\":{\"x\":1,\"y\":null},\"nested\":{\"a/b\":[[1,2],[],null]}}",
                        "{}");
        assertThatThrownBy(() -> rows.get(0).text("bytes"))
                .hasMessage("types.parquet, row 1: \"bytes\" must be text, not binary data");
        Row int96 = read(FIXTURES.resolve("int96.parquet")).get(0);
        assertThat(int96.text("goal")).isEqualTo("x");
        assertThatThrownBy(() -> int96.text("time"))
                .hasMessage("int96.parquet, row 1: \"time\" must be text, not binary data");
    }

    @Test
    void compressedText() throws IOException {
        Path gz = Files.write(dir.resolve("a.csv.gz"), gzip("goal\nx\n"));
        assertThat(json(read(gz))).containsExactly("{\"goal\":\"x\"}");
        Path unnamed = Files.write(dir.resolve("a"), gzip("\ufeff[{\"a\": 1}]"));
        assertThat(json(read(unnamed))).containsExactly("{\"a\":1}");
        List<Row> rows = read(FIXTURES.resolve("text.zst"));
        assertThat(rows).hasSize(3);
        assertThat(rows.get(2).where()).isEqualTo("text.zst, line 3");
        for (Path whole : List.of(gz, FIXTURES.resolve("text.zst"))) {
            byte[] bytes = Files.readAllBytes(whole);
            Path cut = Files.write(dir.resolve("cut.csv.gz"), Arrays.copyOf(bytes, bytes.length - 4));
            assertThatThrownBy(() -> read(cut))
                    .isInstanceOf(InvalidArtifactException.class)
                    .hasMessageContaining("cut.csv.gz: broken or cut-off");
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "a.jsonl | {'a': 1}~{'a': 1} {'a': 2}    | line 2: has more text behind the row's end",
                "a.jsonl | {'a': 1}~{'a': 1}x            | line 2: has more text behind the row's end",
                "a.jsonl | {'a': 1}{'a': 2}              | line 1: has more text behind the row's end",
                "a.jsonl | {'a': 1}~{'a': 'b             | line 2: the line ends within a row",
                "a.jsonl | {~'a': 1~}                    | line 1: the line ends within a row",
                "a.jsonl | {'a': 1}~[1]                  | line 2: a row must be a JSON object, not a list",
                "a.jsonl | 7                             | line 1: a row must be a JSON object, not a number",
                "a.jsonl | {'a': NaN}                    | line 1: not JSON",
                "a.jsonl | {'a': 1, 'a': 2}              | line 1: not JSON: Duplicate field",
                "a.json  | [{'a': 1},~{'a': 2}]~{'a': 3} | line 3: has more text behind the end of the array",
                "a.json  | [{'a': 1},~{'a':              | line 2: the file ends within this row",
                "a.json  | [{'a': 1},~                   | line 2: not JSON: Unexpected end-of-input",
                "a.json  | [{'a': 1},~7]                 | line 2: a row must be a JSON object, not a number",
                "a.json  | [{'a': 1},~{'a': x}]          | line 2: not JSON",
                "a.csv   | a,b,a~1,2,3                   | line 1: names the column `a` twice",
                "a.csv   | a,b~1,2~1,2,3                 | line 3: has more values than the 2 columns",
                "a.csv   | ,~1,2                         | line 1: names no columns",
                "a.csv   | a~'open                       | not CSV",
                "a.csv   | a~'x'y                        | not CSV",
                "a.parquet | PAR                         | does not begin with PAR1",
                "a.parquet | PAR1                        | not a Parquet file that can be read",
                "a.jsonl | version https://git-lfs.github.com/spec/v1 | git lfs pull",
            })
    void whatIsWrongIsSaidByFileAndLine(String name, String text, String message) {
        assertThatThrownBy(() -> read(name, text.replace('\'', '"').replace('~', '\n')))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageStartingWith(name)
                .hasMessageContaining(
                        message.replace('\'', '"').replace("row\"s", "row's").replace('`', '"'))
                .message()
                .doesNotContain("\n");
    }

    @Test
    void bytesThatAreNotUtf8() throws IOException {
        byte[] latin = "{\"a\": 1}\n{\"a\": \"café\"}\n".getBytes(StandardCharsets.ISO_8859_1);
        Path lines = Files.write(dir.resolve("a.jsonl"), latin);
        assertThatThrownBy(() -> read(lines)).hasMessage("a.jsonl, line 2: not UTF-8 text; convert it");
        for (String text : List.of("[{\"a\": \"café\"}]", "goal\ncafé\n")) {
            Path file = Files.write(dir.resolve("a"), text.getBytes(StandardCharsets.ISO_8859_1));
            assertThatThrownBy(() -> read(file))
                    .isInstanceOf(InvalidArtifactException.class)
                    .hasMessage("a: not UTF-8 text; convert it");
        }
    }

    @Test
    void whatIsNoFileIsSaid() {
        assertThatThrownBy(() -> read(dir.resolve("none.csv"))).hasMessage(dir.resolve("none.csv") + ": no such file");
        assertThatThrownBy(() -> read(dir)).hasMessageStartingWith(dir + ": is a directory; give a file of rows");
    }

    /** A disk's fault is not the file's: another try may help. Linux gives one at the beginning of /proc/self/mem. */
    @Test
    void aDisksFaultStaysOne() {
        Path broken = Path.of("/proc/self/mem");
        assumeThat(broken).exists();
        assertThatThrownBy(() -> read(broken)).isInstanceOf(IOException.class);
    }

    @Test
    void sizesAreBounded() throws IOException {
        for (String begin : List.of("{\"a\": \"", "[{\"a\": \"", "goal\n\"")) {
            Path file = Files.writeString(dir.resolve("endless"), begin);
            try (RandomAccessFile sparse = new RandomAccessFile(file.toFile(), "rw")) {
                sparse.setLength(1L << 30);
            }
            assertThatThrownBy(() -> read(file))
                    .isInstanceOf(InvalidArtifactException.class)
                    .hasMessageStartingWith("endless, line ")
                    .message()
                    .doesNotContain("\n");
        }
        Path bomb = Files.write(dir.resolve("bomb.gz"), gzip("\n".repeat(2 << 20)));
        assertThatThrownBy(() -> Rows.read(bomb, 1 << 20, row -> {}))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageStartingWith("bomb.gz: holds more than 1048576 bytes of text");
        assertThatThrownBy(() -> Rows.read(FIXTURES.resolve("zstd-v1.parquet"), 1000, row -> {}))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageStartingWith("zstd-v1.parquet: holds more than 1000 bytes of text");
        assertThatThrownBy(() -> read("deep.jsonl", "{\"a\": " + "[".repeat(100_000) + "\n"))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageStartingWith("deep.jsonl, line 1: not JSON");
    }

    @ParameterizedTest
    @ValueSource(strings = {"none-v1", "snappy-v2", "gzip-v1", "brotli-v2", "zstd-v1", "lz4-v1", "types"})
    void damagedParquetIsOneClearLine(String name) throws IOException {
        byte[] whole = Files.readAllBytes(FIXTURES.resolve(name + ".parquet"));
        for (int i = 0; i < whole.length; i += 7) {
            byte[] flipped = whole.clone();
            flipped[i] ^= 0x55;
            for (byte[] damaged : List.of(flipped, Arrays.copyOf(whole, i))) {
                Path file = Files.write(dir.resolve("damaged.parquet"), damaged);
                try {
                    read(file);
                } catch (InvalidArtifactException e) {
                    assertThat(e.getMessage()).startsWith("damaged.parquet").doesNotContain("\n");
                }
            }
        }
    }

    @Test
    void aRowSaysWhatItHas() throws IOException {
        Row row = read("a.jsonl", "{\"prompt\": \"x\", \"n\\n1\": 1, \"none\": null}")
                .get(0);
        assertThatThrownBy(() -> row.text("goal"))
                .hasMessage("a.jsonl, line 1: has no \"goal\"; it has \"prompt\", \"n?1\", \"none\"");
        assertThatThrownBy(() -> row.text("none")).hasMessageContaining("has no \"none\"");
    }
}
