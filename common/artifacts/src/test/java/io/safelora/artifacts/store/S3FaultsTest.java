package io.safelora.artifacts.store;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import com.sun.net.httpserver.HttpServer;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.testkit.EmbeddedS3;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.Executors;
import org.assertj.core.api.AbstractThrowableAssert;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What fails in S3 is one line with URI, server, region and remedy, of the type that tells who is to blame. */
class S3FaultsTest {
    private static final String URI_OF_JOB = "s3://bucket/model/config.json";

    @TempDir
    Path root;

    private ArtifactStore store(URI endpoint, String accessKey, String secretKey) {
        return new ArtifactStore(
                new StoreSettings(endpoint, "eu-west-1", accessKey, secretKey, true, root.resolve("cache"), false));
    }

    /** One line that names the URI, the server and the region. */
    private static AbstractThrowableAssert<?, ?> assertSaid(URI endpoint, ThrowingCallable call) {
        Throwable fault = catchThrowable(call);
        assertThat(fault).isNotNull();
        assertThat(fault.getMessage())
                .startsWith("s3://bucket/")
                .contains(endpoint + ", region eu-west-1")
                .doesNotContain("\n")
                .hasSizeLessThan(800);
        return assertThat(fault);
    }

    // ---- a real server

    @Test
    void aRealServersAnswers() throws Exception {
        try (S3Server server = new S3Server(root.resolve("s3"), "bucket")) {
            try (ArtifactStore stranger = store(server.endpoint, EmbeddedS3.ACCESS_KEY, "wrong")) {
                for (ThrowingCallable call : new ThrowingCallable[] {
                    () -> stranger.get(URI_OF_JOB, 10),
                    () -> stranger.folder("s3://bucket/model"),
                    () -> stranger.download(URI_OF_JOB),
                    () -> stranger.digest(URI_OF_JOB),
                    () -> stranger.put(URI_OF_JOB, new byte[1]),
                    () -> stranger.putIfAbsent(URI_OF_JOB, new byte[1]),
                    () -> stranger.delete(URI_OF_JOB)
                }) {
                    assertSaid(server.endpoint, call)
                            .isInstanceOf(StoreUnavailableException.class)
                            .hasMessageContaining("secret key")
                            .hasMessageContaining("SAFELORA_S3_SECRET_KEY");
                }
            }
            try (ArtifactStore stranger = store(server.endpoint, "nobody", EmbeddedS3.SECRET_KEY)) {
                assertSaid(server.endpoint, () -> stranger.get(URI_OF_JOB, 10))
                        .isInstanceOf(StoreUnavailableException.class)
                        .hasMessageContaining("does not know the access key")
                        .hasMessageContaining("SAFELORA_S3_ACCESS_KEY");
            }
            try (ArtifactStore store = store(server.endpoint, EmbeddedS3.ACCESS_KEY, EmbeddedS3.SECRET_KEY)) {
                assertSaid(server.endpoint, () -> store.get(URI_OF_JOB, 10))
                        .isInstanceOf(InvalidArtifactException.class)
                        .hasMessageContaining("there is no such object; check bucket and key");
                for (ThrowingCallable call : new ThrowingCallable[] {
                    () -> store.get("s3://bucket-b/x", 10),
                    () -> store.open("s3://bucket-b/x"),
                    () -> store.folder("s3://bucket-b/x"),
                    () -> store.download("s3://bucket-b/x")
                }) {
                    assertThat(catchThrowable(call))
                            .isInstanceOf(InvalidArtifactException.class)
                            .hasMessageContaining("there is no bucket bucket-b")
                            .hasMessageContaining(server.endpoint + ", region eu-west-1");
                }
                assertThat(catchThrowable(() -> store.put("s3://bucket-b/results/x", new byte[1])))
                        .as("where results go is the installation's affair")
                        .isInstanceOf(StoreUnavailableException.class)
                        .hasMessageContaining("there is no bucket bucket-b")
                        .hasMessageContaining("SAFELORA_ARTIFACTS_URI");
            }
        }
    }

    // ---- answers that a server on this machine does not give

    /** Answers every request alike; as S3, without a body where the request is HEAD. */
    private static HttpServer answering(int status, String code, Map<String, String> headers, String more)
            throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        byte[] body = ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>" + code
                        + "</Code><Message>What S3 says,\nin two lines.</Message>" + more
                        + "<RequestId>4442587FB7D0A2F9</RequestId></Error>")
                .getBytes(UTF_8);
        server.createContext("/", exchange -> {
            exchange.getRequestBody().readAllBytes();
            headers.forEach((name, value) -> exchange.getResponseHeaders().set(name, value));
            exchange.getResponseHeaders().set("Content-Type", "application/xml");
            boolean head = exchange.getRequestMethod().equals("HEAD");
            exchange.sendResponseHeaders(status, head ? -1 : body.length);
            if (!head) {
                exchange.getResponseBody().write(body);
            }
            exchange.close();
        });
        server.setExecutor(Executors.newCachedThreadPool());
        server.start();
        return server;
    }

    private static URI endpoint(HttpServer server) {
        return URI.create("http://127.0.0.1:" + server.getAddress().getPort());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
                    400 | ExpiredToken                 | world | have expired; renew
                    403 | RequestTimeTooSkewed         | world | clocks of this machine and of the S3 server
                    403 | InvalidAccessKeyId           | world | does not know the access key
                    403 | SignatureDoesNotMatch        | world | secret key
                    503 | SlowDown                     | world | overloaded
                    500 | InternalError                | world | overloaded or out of order
                    429 | TooManyRequests              | world | overloaded
                    501 | NotImplemented               | world | refused the request
                    301 | PermanentRedirect            | world | another region
                    403 | AccessDenied                 | job   | access denied; give this service's S3 credentials \
                    s3:GetObject
                    404 | NoSuchBucket                 | job   | there is no bucket bucket
                    404 | NoSuchKey                    | job   | there is no such object
                    400 | KeyTooLongError              | job   | check bucket and key
                    """)
    void whatS3AnswersIsSaid(int status, String code, String blame, String words) throws Exception {
        HttpServer server = answering(status, code, Map.of(), "");
        try (ArtifactStore store = store(endpoint(server), EmbeddedS3.ACCESS_KEY, EmbeddedS3.SECRET_KEY)) {
            assertSaid(endpoint(server), () -> store.get(URI_OF_JOB, 10))
                    .isInstanceOf(
                            blame.equals("job") ? InvalidArtifactException.class : StoreUnavailableException.class)
                    .hasMessageContaining(words)
                    .hasMessageContaining(status + " " + code + " What S3 says, in two lines.");
            // What a service writes goes to its own bucket: no job is to blame.
            assertSaid(endpoint(server), () -> store.put(URI_OF_JOB, new byte[1]))
                    .isInstanceOf(StoreUnavailableException.class);
        } finally {
            server.stop(0);
        }
    }

    @Test
    void theBucketsRegionIsNamed() throws Exception {
        HttpServer byHeader = answering(301, "PermanentRedirect", Map.of("x-amz-bucket-region", "us-west-2"), "");
        HttpServer byBody = answering(400, "AuthorizationHeaderMalformed", Map.of(), "<Region>us-west-2</Region>");
        for (HttpServer server : new HttpServer[] {byHeader, byBody}) {
            try (ArtifactStore store = store(endpoint(server), EmbeddedS3.ACCESS_KEY, EmbeddedS3.SECRET_KEY)) {
                assertSaid(endpoint(server), () -> store.get(URI_OF_JOB, 10))
                        .isInstanceOf(StoreUnavailableException.class)
                        .hasMessageContaining("another region, us-west-2; set SAFELORA_S3_REGION=us-west-2");
            } finally {
                server.stop(0);
            }
        }
    }

    // ---- no answer

    @Test
    void aServerThatIsNotThereIsNamed() throws Exception {
        URI unknown = URI.create("http://no-such-host.invalid:9000");
        URI closed;
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            closed = URI.create("http://127.0.0.1:" + socket.getLocalPort());
        }
        try (S3Server plain = new S3Server(root.resolve("s3"), "bucket");
                ArtifactStore noHost = store(unknown, EmbeddedS3.ACCESS_KEY, EmbeddedS3.SECRET_KEY);
                ArtifactStore nobody = store(closed, EmbeddedS3.ACCESS_KEY, EmbeddedS3.SECRET_KEY);
                ArtifactStore noTls = store(https(plain.endpoint), EmbeddedS3.ACCESS_KEY, EmbeddedS3.SECRET_KEY)) {
            URI tls = https(plain.endpoint);
            assertSaid(unknown, () -> noHost.get(URI_OF_JOB, 10))
                    .isInstanceOf(StoreUnavailableException.class)
                    .hasMessageContaining("the host of the S3 server is not known; check SAFELORA_S3_ENDPOINT");
            assertSaid(closed, () -> nobody.get(URI_OF_JOB, 10))
                    .isInstanceOf(StoreUnavailableException.class)
                    .hasMessageContaining("nothing answers at the S3 server's address; check SAFELORA_S3_ENDPOINT");
            assertSaid(tls, () -> noTls.get(URI_OF_JOB, 10))
                    .isInstanceOf(StoreUnavailableException.class)
                    .hasMessageContaining("no TLS connection to the S3 server")
                    .hasMessageContaining("http://");
        }
    }

    private static URI https(URI endpoint) {
        return URI.create(endpoint.toString().replace("http:", "https:"));
    }
}
