package io.safelora.artifacts.store;

import com.google.common.io.ByteStreams;
import java.io.IOException;
import java.net.ServerSocket;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import org.gaul.s3proxy.AuthenticationType;
import org.gaul.s3proxy.S3Proxy;
import org.gaul.s3proxy.nio2blob.FilesystemNio2BlobProviderMetadata;
import org.jclouds.ContextBuilder;
import org.jclouds.blobstore.BlobStore;
import org.jclouds.blobstore.BlobStoreContext;
import org.jclouds.blobstore.domain.Blob;
import org.jclouds.blobstore.options.GetOptions;
import org.jclouds.blobstore.util.ForwardingBlobStore;

/** S3Proxy in this process, its objects in a folder. */
final class S3Server implements AutoCloseable {
    private final S3Proxy proxy;
    private final BlobStoreContext context;
    final URI endpoint;
    /** The ranges that were asked for, one a request: {@code name a-b}; whole objects without a range. */
    final List<String> reads = new CopyOnWriteArrayList<>();

    private final AtomicInteger running = new AtomicInteger();
    /** How many requests for objects were answered at the same time. */
    final AtomicInteger mostAtOnce = new AtomicInteger();
    /** Every so many answers is cut off in the middle; 0 for none. */
    volatile int cutEvery;
    /** How long an answer takes to begin. */
    volatile int delayMillis;

    S3Server(Path root, String bucket) throws Exception {
        Files.createDirectories(root);
        Properties properties = new Properties();
        properties.setProperty("jclouds.filesystem.basedir", root.toString());
        context = ContextBuilder.newBuilder(new FilesystemNio2BlobProviderMetadata())
                .credentials("local", "local")
                .overrides(properties)
                .build(BlobStoreContext.class);
        context.getBlobStore().createContainerInLocation(null, bucket);
        int port;
        try (ServerSocket free = new ServerSocket(0)) {
            port = free.getLocalPort();
        }
        endpoint = URI.create("http://127.0.0.1:" + port);
        proxy = S3Proxy.builder()
                .blobStore(new Recorded(context.getBlobStore()))
                .endpoint(endpoint)
                .awsAuthentication(AuthenticationType.AWS_V4, "test", "test-secret")
                .build();
        proxy.start();
    }

    /** Notes every read. */
    private final class Recorded extends ForwardingBlobStore {
        Recorded(BlobStore store) {
            super(store);
        }

        @Override
        public Blob getBlob(String container, String name, GetOptions options) {
            mostAtOnce.accumulateAndGet(running.incrementAndGet(), Math::max);
            try {
                Thread.sleep(delayMillis);
                reads.add((name + " " + String.join(",", options.getRanges())).strip());
                Blob blob = super.getBlob(container, name, options);
                if (cutEvery > 0 && reads.size() % cutEvery == 0) {
                    long length = blob.getMetadata().getContentMetadata().getContentLength();
                    blob.setPayload(ByteStreams.limit(blob.getPayload().openStream(), length / 2));
                    blob.getMetadata().getContentMetadata().setContentLength(length);
                }
                return blob;
            } catch (InterruptedException | IOException e) {
                throw new IllegalStateException(e);
            } finally {
                running.decrementAndGet();
            }
        }
    }

    @Override
    public void close() throws Exception {
        proxy.stop();
        context.close();
    }
}
