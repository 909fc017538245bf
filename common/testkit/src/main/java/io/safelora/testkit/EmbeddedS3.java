package io.safelora.testkit;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.UnaryOperator;
import org.gaul.s3proxy.S3Proxy;
import org.gaul.s3proxy.auth.AuthenticationType;
import org.gaul.s3proxy.blobstore.BlobStore;
import org.gaul.s3proxy.nio2blob.FilesystemNio2BlobStore;

/** A real S3 server (S3Proxy) inside this JVM, on localhost, whose buckets are folders. */
public final class EmbeddedS3 implements AutoCloseable {
    public static final String ACCESS_KEY = "safelora";
    public static final String SECRET_KEY = "safelora";

    private final S3Proxy server;

    private EmbeddedS3(S3Proxy server) {
        this.server = server;
    }

    /**
     * Starts the server and makes the bucket.
     *
     * @param dir the folder whose subfolders are the buckets; created if missing, kept on {@link #close()}
     * @param port its port on localhost; 0 for a free one
     * @throws IOException if the directory cannot be written or the port is taken
     */
    public static EmbeddedS3 start(Path dir, int port, String bucket) throws IOException {
        return start(dir, port, bucket, UnaryOperator.identity());
    }

    /**
     * The same behind something that watches or disturbs it.
     *
     * @param around what the server asks in place of the folders
     */
    public static EmbeddedS3 start(Path dir, int port, String bucket, UnaryOperator<BlobStore> around)
            throws IOException {
        Files.createDirectories(dir.resolve(bucket));
        int listen = port == 0 ? Ports.free() : port;
        S3Proxy server = S3Proxy.builder()
                .blobStore(around.apply(
                        new FilesystemNio2BlobStore(dir.toAbsolutePath().toString())))
                .endpoint(URI.create("http://127.0.0.1:" + listen))
                .awsAuthentication(AuthenticationType.AWS_V2_OR_V4, ACCESS_KEY, SECRET_KEY)
                // As S3 does. The AWS SDK's multipart upload sends x-amz-mp-object-size, which S3Proxy does not know.
                .ignoreUnknownHeaders(true)
                .build();
        try {
            server.start();
        } catch (Exception e) {
            throw new IOException("the embedded S3 server did not start on port " + listen + ": " + e.getMessage(), e);
        }
        return new EmbeddedS3(server);
    }

    /** What S3 clients give as endpoint URL. */
    public URI endpoint() {
        return URI.create("http://127.0.0.1:" + server.getPort());
    }

    @Override
    public void close() {
        try {
            server.stop();
        } catch (Exception e) {
            throw new IllegalStateException("the embedded S3 server did not stop", e);
        }
    }
}
