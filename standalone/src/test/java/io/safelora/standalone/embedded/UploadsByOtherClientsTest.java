package io.safelora.standalone.embedded;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.safelora.artifacts.Sha256;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.artifacts.store.StoreSettings;
import io.safelora.testkit.EmbeddedS3;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.zip.CRC32;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Users put their data into the embedded S3 server with clients of their own. These requests have the headers and the
 * framing that a listener on a port got from boto3 1.44, AWS CLI 1.46 and curl 7.88, signed here (Signature Version 4).
 */
class UploadsByOtherClientsTest {
    private static final String UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    private static final byte[] ROWS = "{\"question\": \"2 + 2\", \"answer\": \"#### 4\"}\n".getBytes(UTF_8);

    @TempDir
    Path dir;

    private EmbeddedS3 s3;
    private ArtifactStore store;

    @BeforeEach
    void start() throws Exception {
        s3 = EmbeddedS3.start(dir.resolve("s3"), 0, "safelora");
        store = new ArtifactStore(new StoreSettings(
                s3.endpoint(), null, EmbeddedS3.ACCESS_KEY, EmbeddedS3.SECRET_KEY, true, dir.resolve("cache"), false));
    }

    @AfterEach
    void stop() {
        store.close();
        s3.close();
    }

    /** boto3's put_object and upload_file, aws s3 cp: the checksum in a header, the payload signed. */
    @ParameterizedTest
    @ValueSource(strings = {"data/train.jsonl", "data/a:b c+d%20&e?f#g/ü日本.jsonl"})
    void botoAndCommandLine(String key) throws Exception {
        HttpResponse<String> answer = send(
                "PUT",
                key,
                "",
                Map.of(
                        "x-amz-content-sha256", Sha256.hex(ROWS),
                        "x-amz-checksum-crc32", crc32(ROWS),
                        "x-amz-sdk-checksum-algorithm", "CRC32"),
                ROWS);
        assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
        assertThat(store.get("s3://safelora/" + key, 1000)).isEqualTo(ROWS);
    }

    /** As newer command lines and SDKs stream: aws-chunked, the checksum in a trailer. */
    @Test
    void chunksWithAChecksumInTheTrailer() throws Exception {
        HttpResponse<String> answer =
                send("PUT", "data/chunked.jsonl", "", chunkedHeaders(), chunked(ROWS, crc32(ROWS)));
        assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
        assertThat(store.get("s3://safelora/data/chunked.jsonl", 1000)).isEqualTo(ROWS);
        assertThat(store.download("s3://safelora/data/chunked.jsonl")).hasBinaryContent(ROWS);
    }

    /** aws s3 cp of a large file: parts, each with a checksum, and one for the whole. */
    @Test
    void parts() throws Exception {
        byte[] first = new byte[5 << 20];
        Arrays.fill(first, (byte) 'x');
        String key = "data/parts.bin";
        Map<String, String> empty =
                Map.of("x-amz-content-sha256", Sha256.hex(new byte[0]), "x-amz-checksum-algorithm", "CRC32");
        HttpResponse<String> created = send("POST", key, "uploads=", empty, new byte[0]);
        assertThat(created.statusCode()).as(created.body()).isEqualTo(200);
        String upload = between(created.body(), "<UploadId>", "</UploadId>");
        StringBuilder complete = new StringBuilder("<CompleteMultipartUpload>");
        int number = 0;
        for (byte[] part : List.of(first, ROWS)) {
            number++;
            HttpResponse<String> put = send(
                    "PUT",
                    key,
                    "partNumber=" + number + "&uploadId=" + upload,
                    Map.of(
                            "x-amz-content-sha256", Sha256.hex(part),
                            "x-amz-checksum-crc32", crc32(part),
                            "x-amz-sdk-checksum-algorithm", "CRC32"),
                    part);
            assertThat(put.statusCode()).as(put.body()).isEqualTo(200);
            complete.append("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag><ChecksumCRC32>%s</ChecksumCRC32></Part>"
                    .formatted(number, put.headers().firstValue("ETag").orElseThrow(), crc32(part)));
        }
        byte[] body = complete.append("</CompleteMultipartUpload>").toString().getBytes(UTF_8);
        HttpResponse<String> completed =
                send("POST", key, "uploadId=" + upload, Map.of("x-amz-content-sha256", Sha256.hex(body)), body);
        assertThat(completed.statusCode()).as(completed.body()).isEqualTo(200);
        byte[] whole = ByteBuffer.allocate(first.length + ROWS.length)
                .put(first)
                .put(ROWS)
                .array();
        assertThat(store.get("s3://safelora/" + key, whole.length)).isEqualTo(whole);
    }

    /** curl --aws-sigv4: from 8.0 on it sends UNSIGNED-PAYLOAD itself, before with -H. */
    @Test
    void curl() throws Exception {
        HttpResponse<String> answer =
                send("PUT", "data/curl.jsonl", "", Map.of("x-amz-content-sha256", "UNSIGNED-PAYLOAD"), ROWS);
        assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
        assertThat(store.get("s3://safelora/data/curl.jsonl", 1000)).isEqualTo(ROWS);
    }

    /** As AWS, which demands the header of every request: the client is told, it is no fault of the server (500). */
    @Test
    void oldCurlWithoutTheHeaderIsToldSo() throws Exception {
        HttpResponse<String> answer = send("PUT", "data/old-curl.jsonl", "", Map.of(), ROWS);
        assertThat(answer.statusCode()).isEqualTo(400);
        assertThat(answer.body()).contains("x-amz-content-sha256");
    }

    // ---- requests

    private static Map<String, String> chunkedHeaders() {
        return Map.of(
                "x-amz-content-sha256", UNSIGNED_TRAILER,
                "x-amz-trailer", "x-amz-checksum-crc32",
                "x-amz-decoded-content-length", Integer.toString(ROWS.length),
                "content-encoding", "aws-chunked",
                "x-amz-sdk-checksum-algorithm", "CRC32");
    }

    private static byte[] chunked(byte[] content, String checksum) {
        String text = new String(content, UTF_8);
        return (Integer.toHexString(content.length) + "\r\n" + text + "\r\n0\r\nx-amz-checksum-crc32:" + checksum
                        + "\r\n\r\n")
                .getBytes(UTF_8);
    }

    private static String crc32(byte[] bytes) {
        CRC32 crc = new CRC32();
        crc.update(bytes);
        return Base64.getEncoder()
                .encodeToString(
                        ByteBuffer.allocate(4).putInt((int) crc.getValue()).array());
    }

    private static String between(String text, String from, String to) {
        int start = text.indexOf(from) + from.length();
        return text.substring(start, text.indexOf(to, start));
    }

    /** Sends a request with a signature over {@code headers}, host and date. */
    private HttpResponse<String> send(String method, String key, String query, Map<String, String> headers, byte[] body)
            throws Exception {
        String path = "/safelora/"
                + Arrays.stream(key.split("/"))
                        .map(part -> URLEncoder.encode(part, UTF_8).replace("+", "%20"))
                        .collect(Collectors.joining("/"));
        String time = DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'")
                .withZone(ZoneOffset.UTC)
                .format(Instant.now());
        TreeMap<String, String> signed = new TreeMap<>(headers);
        signed.put("host", s3.endpoint().getAuthority());
        signed.put("x-amz-date", time);
        String names = String.join(";", signed.keySet());
        String canonical = method + "\n" + path + "\n" + query + "\n"
                + signed.entrySet().stream()
                        .map(h -> h.getKey() + ":" + h.getValue() + "\n")
                        .collect(Collectors.joining())
                + "\n" + names + "\n" + headers.getOrDefault("x-amz-content-sha256", Sha256.hex(new byte[0]));
        String scope = time.substring(0, 8) + "/us-east-1/s3/aws4_request";
        byte[] signingKey = ("AWS4" + EmbeddedS3.SECRET_KEY).getBytes(UTF_8);
        for (String step : scope.split("/")) {
            signingKey = hmac(signingKey, step);
        }
        String signature = HexFormat.of()
                .formatHex(hmac(
                        signingKey,
                        "AWS4-HMAC-SHA256\n" + time + "\n" + scope + "\n" + Sha256.hex(canonical.getBytes(UTF_8))));
        HttpRequest.Builder request = HttpRequest.newBuilder(
                        URI.create(s3.endpoint() + path + (query.isEmpty() ? "" : "?" + query)))
                .method(method, BodyPublishers.ofByteArray(body))
                .header(
                        "Authorization",
                        "AWS4-HMAC-SHA256 Credential=" + EmbeddedS3.ACCESS_KEY + "/" + scope + ", SignedHeaders="
                                + names + ", Signature=" + signature);
        signed.remove("host"); // the client sends it itself
        signed.forEach(request::header);
        return HttpClient.newHttpClient().send(request.build(), BodyHandlers.ofString());
    }

    private static byte[] hmac(byte[] key, String text) throws GeneralSecurityException {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        return mac.doFinal(text.getBytes(UTF_8));
    }
}
