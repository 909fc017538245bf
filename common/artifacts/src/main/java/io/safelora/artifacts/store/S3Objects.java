package io.safelora.artifacts.store;

import io.safelora.artifacts.ByteSource;
import io.safelora.artifacts.Folder;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ReadableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Supplier;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.ResponseInputStream;
import software.amazon.awssdk.core.async.AsyncRequestBody;
import software.amazon.awssdk.core.checksums.RequestChecksumCalculation;
import software.amazon.awssdk.core.checksums.ResponseChecksumValidation;
import software.amazon.awssdk.core.exception.SdkClientException;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.regions.providers.AwsProfileRegionProvider;
import software.amazon.awssdk.regions.providers.AwsRegionProviderChain;
import software.amazon.awssdk.regions.providers.SystemSettingsRegionProvider;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.S3BaseClientBuilder;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.GetObjectResponse;
import software.amazon.awssdk.services.s3.model.HeadObjectResponse;
import software.amazon.awssdk.services.s3.model.S3Exception;
import software.amazon.awssdk.services.s3.model.S3Object;

/** Objects in S3. What fails is said as {@link S3Faults} does. Safe for use by many threads. */
final class S3Objects implements ObjectStore {
    /** A connection to S3 gives some tens of megabytes a second, several at once as many times that. */
    private static final int RANGES_IN_FLIGHT = 16;

    private static final int NOT_FOUND = 404;
    private static final int CONFLICT = 409;
    private static final int PRECONDITION_FAILED = 412;

    private final StoreSettings settings;
    private final long partSize;
    // Made on first use: a process that only has local files needs no region and no credentials.
    private volatile S3Client client;
    private volatile S3AsyncClient uploads;
    private final ExecutorService reads = Executors.newFixedThreadPool(RANGES_IN_FLIGHT, work -> {
        Thread thread = new Thread(work, "safelora-s3");
        thread.setDaemon(true);
        return thread;
    });

    /**
     * @param partSize larger files go up in parts of this many bytes; S3 wants 5 MiB at least, and takes 5 GiB in one
     * piece at most
     */
    S3Objects(StoreSettings settings, long partSize) {
        this.settings = settings;
        this.partSize = partSize;
    }

    @Override
    public void put(ArtifactUri at, byte[] bytes) throws IOException {
        call(at, true, () -> s3().putObject(r -> r.bucket(at.bucket()).key(at.key()), RequestBody.fromBytes(bytes)));
    }

    @Override
    public void put(ArtifactUri at, Path file) throws IOException {
        if (Files.size(file) <= partSize) {
            call(at, true, () -> s3().putObject(r -> r.bucket(at.bucket()).key(at.key()), RequestBody.fromFile(file)));
        } else {
            call(at, true, () -> uploads()
                    .putObject(r -> r.bucket(at.bucket()).key(at.key()), AsyncRequestBody.fromFile(file))
                    .join());
        }
    }

    @Override
    public boolean putIfAbsent(ArtifactUri at, byte[] bytes) throws IOException {
        for (int attempt = 1; ; attempt++) {
            try {
                s3().putObject(r -> r.bucket(at.bucket()).key(at.key()).ifNoneMatch("*"), RequestBody.fromBytes(bytes));
                return true;
            } catch (SdkException e) {
                int status = e instanceof S3Exception answer ? answer.statusCode() : 0;
                if (status == PRECONDITION_FAILED) {
                    // The client repeats a put whose answer was lost or was an error, although it may have been done.
                    return e.numAttempts() != null && e.numAttempts() > 1 && holds(at, bytes);
                }
                // Another writer is at it, and may yet fail: S3 asks to try again.
                if (status != CONFLICT || attempt == 5) {
                    throw faults().of(at, e, true);
                }
            }
        }
    }

    private boolean holds(ArtifactUri at, byte[] bytes) throws IOException {
        Optional<ByteSource> object = find(at);
        return object.isPresent() && object.get().size() == bytes.length && Arrays.equals(get(at, bytes.length), bytes);
    }

    @Override
    public void delete(ArtifactUri at) throws IOException {
        call(at, true, () -> s3().deleteObject(r -> r.bucket(at.bucket()).key(at.key())));
    }

    @Override
    public Optional<ByteSource> find(ArtifactUri at) throws IOException {
        try {
            HeadObjectResponse head = s3().headObject(r -> r.bucket(at.bucket()).key(at.key()));
            return Optional.of(source(at, head.contentLength(), head.eTag()));
        } catch (S3Exception e) {
            if (e.statusCode() == NOT_FOUND) {
                return Optional.empty();
            }
            throw faults().of(at, explained(at, e), false);
        } catch (SdkException e) {
            throw faults().of(at, e, false);
        }
    }

    /** Tells whether the bucket or the object is missing. */
    @Override
    public IOException missing(ArtifactUri at) throws IOException {
        S3Exception none =
                (S3Exception) S3Exception.builder().statusCode(NOT_FOUND).build();
        return faults().of(at, explained(at, none), false);
    }

    /** An answer to a HEAD request has no body, and so does not say why: the same asked by GET does. */
    private SdkException explained(ArtifactUri at, S3Exception e) {
        if (!S3Faults.code(e).isEmpty() && !(e.statusCode() == NOT_FOUND)) {
            return e;
        }
        try {
            s3().getObject(r -> r.bucket(at.bucket()).key(at.key()).range("bytes=0-0"))
                    .abort();
            return e;
        } catch (SdkException answer) {
            return answer;
        }
    }

    ByteSource source(ArtifactUri at, long size, String etag) {
        return new S3Source(at, size, etag);
    }

    @Override
    public List<Listed> list(ArtifactUri at) throws IOException {
        return objects(at, null).stream()
                .map(object -> new Listed("s3://" + at.bucket() + "/" + object.key(), object.size()))
                .toList();
    }

    @Override
    public Folder folder(ArtifactUri at) throws IOException {
        return new S3Folder(this, at, objects(at, "/"));
    }

    @Override
    public Path localPath(ArtifactUri at) {
        return null;
    }

    /** @param delimiter {@code /} for the objects of the folder itself, null for those of its subfolders, too */
    private List<S3Object> objects(ArtifactUri folder, String delimiter) throws IOException {
        String prefix = folder.key().isEmpty() ? "" : folder.key() + "/";
        return call(
                folder,
                false,
                () ->
                        s3()
                                .listObjectsV2Paginator(r ->
                                        r.bucket(folder.bucket()).prefix(prefix).delimiter(delimiter))
                                .stream()
                                .flatMap(page -> page.contents().stream())
                                .toList());
    }

    /** An object, read by ranges; one version of it, or not at all. */
    private final class S3Source implements ByteSource {
        private final ArtifactUri at;
        private final long size;
        private final String etag;

        private final Ranges ranges = new Ranges(reads, this::fetch);

        private S3Source(ArtifactUri at, long size, String etag) {
            this.at = at;
            this.size = size;
            this.etag = etag;
        }

        @Override
        public String name() {
            return at.text();
        }

        @Override
        public long size() {
            return size;
        }

        @Override
        public String digest() {
            return ContentAddress.of(etag + " " + size);
        }

        @Override
        public void read(long offset, ByteBuffer into) throws IOException {
            ranges.read(offset, into, offset + into.remaining());
        }

        @Override
        public void read(long offset, ByteBuffer into, long end) throws IOException {
            ranges.read(offset, into, end);
        }

        private void fetch(long offset, ByteBuffer into) throws IOException {
            String range = "bytes=" + offset + "-" + (offset + into.remaining() - 1);
            // If-Match: bytes of two versions must not be mixed.
            try (ResponseInputStream<GetObjectResponse> body = call(at, false, () -> s3().getObject(r ->
                            r.bucket(at.bucket()).key(at.key()).range(range).ifMatch(etag)));
                    ReadableByteChannel channel = Channels.newChannel(body)) {
                while (into.hasRemaining()) {
                    if (channel.read(into) < 0) {
                        throw new EOFException(at + ": the answer to " + range + " was cut short");
                    }
                }
            }
        }
    }

    private <T> T call(ArtifactUri at, boolean writing, Supplier<T> request) throws IOException {
        try {
            return request.get();
        } catch (SdkException e) {
            throw faults().of(at, e, writing);
        } catch (CompletionException e) {
            throw e.getCause() instanceof SdkException cause
                    ? faults().of(at, cause, writing)
                    : new IOException(at + ": " + e.getCause(), e);
        }
    }

    private S3Faults faults() {
        var configuration = s3().serviceClientConfiguration();
        String endpoint = configuration
                .endpointOverride()
                .map(Object::toString)
                // The SDK reads these itself, and does not tell.
                .or(() -> Optional.ofNullable(System.getenv("AWS_ENDPOINT_URL_S3")))
                .or(() -> Optional.ofNullable(System.getenv("AWS_ENDPOINT_URL")))
                .orElse("AWS");
        return new S3Faults(endpoint + ", region " + configuration.region());
    }

    private S3Client s3() {
        if (client == null) {
            synchronized (this) {
                if (client == null) {
                    client = configured(S3Client.builder())
                            .httpClientBuilder(UrlConnectionHttpClient.builder())
                            .build();
                }
            }
        }
        return client;
    }

    private S3AsyncClient uploads() {
        if (uploads == null) {
            synchronized (this) {
                if (uploads == null) {
                    uploads = configured(S3AsyncClient.builder())
                            .httpClientBuilder(NettyNioAsyncHttpClient.builder())
                            .multipartEnabled(true)
                            .multipartConfiguration(
                                    parts -> parts.thresholdInBytes(partSize).minimumPartSizeInBytes(partSize))
                            .build();
                }
            }
        }
        return uploads;
    }

    private <B extends S3BaseClientBuilder<B, ?>> B configured(B builder) {
        builder.forcePathStyle(settings.pathStyle())
                .region(region(settings))
                // The SDK's newer checksum trailers are unknown to many other S3 servers.
                .requestChecksumCalculation(RequestChecksumCalculation.WHEN_REQUIRED)
                .responseChecksumValidation(ResponseChecksumValidation.WHEN_REQUIRED);
        if (settings.endpoint() != null) {
            builder.endpointOverride(settings.endpoint());
        }
        if (settings.accessKey() != null) {
            builder.credentialsProvider(StaticCredentialsProvider.create(
                    AwsBasicCredentials.create(settings.accessKey(), settings.secretKey())));
        }
        return builder;
    }

    private static Region region(StoreSettings settings) {
        if (settings.region() != null) {
            return Region.of(settings.region());
        }
        try {
            return new AwsRegionProviderChain(new SystemSettingsRegionProvider(), new AwsProfileRegionProvider())
                    .getRegion();
        } catch (SdkClientException none) {
            return Region.US_EAST_1;
        }
    }

    @Override
    public void close() {
        reads.shutdownNow();
        if (client != null) {
            client.close();
        }
        if (uploads != null) {
            uploads.close();
        }
    }
}
