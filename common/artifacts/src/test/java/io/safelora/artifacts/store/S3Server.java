package io.safelora.artifacts.store;

import com.google.common.io.ByteStreams;
import io.safelora.testkit.EmbeddedS3;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.gaul.s3proxy.blobstore.BlobStore;
import org.gaul.s3proxy.blobstore.ForwardingBlobStore;
import org.gaul.s3proxy.blobstore.domain.MultipartUpload;
import software.amazon.awssdk.core.ResponseInputStream;
import software.amazon.awssdk.http.AbortableInputStream;
import software.amazon.awssdk.services.s3.model.GetObjectRequest;
import software.amazon.awssdk.services.s3.model.GetObjectResponse;
import software.amazon.awssdk.services.s3.model.PutObjectRequest;
import software.amazon.awssdk.services.s3.model.PutObjectResponse;
import software.amazon.awssdk.services.s3.model.UploadPartRequest;
import software.amazon.awssdk.services.s3.model.UploadPartResponse;

/** The embedded S3 server, whose answers are counted, delayed and cut short. */
final class S3Server implements AutoCloseable {
    private final EmbeddedS3 server;
    final URI endpoint;
    /** The ranges that were asked for, one a request: {@code name a-b}; whole objects without a range. */
    final List<String> reads = new CopyOnWriteArrayList<>();
    /** The parts that were uploaded, one a request: {@code name part}. */
    final List<String> parts = new CopyOnWriteArrayList<>();

    private final AtomicInteger running = new AtomicInteger();
    /** How many requests for objects were answered at the same time. */
    final AtomicInteger mostAtOnce = new AtomicInteger();
    /** Every so many answers is cut off in the middle; 0 for none. */
    volatile int cutEvery;
    /** Whether the next put is done, and answered as if it were not. */
    final AtomicBoolean loseAnswerOfPut = new AtomicBoolean();
    /** How long an answer takes to begin. */
    volatile int delayMillis;

    S3Server(Path root, String bucket) throws IOException {
        server = EmbeddedS3.start(root, 0, bucket, Recorded::new);
        endpoint = server.endpoint();
    }

    /** Notes every read. */
    private final class Recorded extends ForwardingBlobStore {
        Recorded(BlobStore store) {
            super(store);
        }

        @Override
        public ResponseInputStream<GetObjectResponse> getBlob(GetObjectRequest request) {
            mostAtOnce.accumulateAndGet(running.incrementAndGet(), Math::max);
            try {
                Thread.sleep(delayMillis);
                String range = request.range() == null ? "" : request.range().replace("bytes=", " ");
                reads.add(request.key() + range);
                ResponseInputStream<GetObjectResponse> blob = super.getBlob(request);
                if (blob != null && cutEvery > 0 && reads.size() % cutEvery == 0) {
                    InputStream half = ByteStreams.limit(blob, blob.response().contentLength() / 2);
                    return new ResponseInputStream<>(blob.response(), AbortableInputStream.create(half));
                }
                return blob;
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            } finally {
                running.decrementAndGet();
            }
        }

        @Override
        public PutObjectResponse putBlob(PutObjectRequest request, InputStream payload) {
            PutObjectResponse answer = super.putBlob(request, payload);
            if (loseAnswerOfPut.getAndSet(false)) {
                throw new UncheckedIOException(new IOException("the answer is lost"));
            }
            return answer;
        }

        @Override
        public UploadPartResponse uploadMultipartPart(
                MultipartUpload upload, UploadPartRequest request, InputStream payload) {
            parts.add(request.key() + " " + request.partNumber());
            return super.uploadMultipartPart(upload, request, payload);
        }
    }

    @Override
    public void close() {
        server.close();
    }
}
