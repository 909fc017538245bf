package io.safelora.artifacts.store;

import io.safelora.artifacts.ByteSource;
import io.safelora.artifacts.Folder;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.LocalFile;
import io.safelora.artifacts.LocalFolder;
import io.safelora.artifacts.Sha256;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.Json;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ReadableByteChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Supplier;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.ResponseInputStream;
import software.amazon.awssdk.core.checksums.RequestChecksumCalculation;
import software.amazon.awssdk.core.checksums.ResponseChecksumValidation;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.S3ClientBuilder;
import software.amazon.awssdk.services.s3.model.GetObjectResponse;
import software.amazon.awssdk.services.s3.model.S3Exception;
import software.amazon.awssdk.services.s3.model.S3Object;

/**
 * Artifacts in S3 ({@code s3://bucket/key}), and, where that is allowed, in local files ({@code file:///path}). Safe for use by
 * many threads.
 *
 * <p>Errors: {@link InvalidArtifactException} where trying again does not help (no such object, access denied, content that
 * does not match its digest, a hostile name); {@link IOException} and the AWS SDK's {@code SdkException} where it may.
 */
public final class ArtifactStore implements AutoCloseable {
    /** A connection to S3 gives some tens of megabytes a second, several at once as many times that. */
    private static final int RANGES_IN_FLIGHT = 16;

    private static final int CONFLICT = 409;
    private static final int PRECONDITION_FAILED = 412;

    private final StoreSettings settings;
    // Made on first use: a process that only has local files needs no region and no credentials.
    private volatile S3Client client;
    private final ExecutorService reads = Executors.newFixedThreadPool(RANGES_IN_FLIGHT, work -> {
        Thread thread = new Thread(work, "safelora-s3");
        thread.setDaemon(true);
        return thread;
    });

    public ArtifactStore(StoreSettings settings) {
        this.settings = settings;
    }

    /** An object below a URI. */
    public record Listed(String uri, long size) {}

    // ---- bytes

    /** Writes {@code bytes}, over what is there. */
    public ArtifactRef put(String uri, byte[] bytes) throws IOException {
        ArtifactUri at = parse(uri);
        if (at.isFile()) {
            writeFile(at.path(), bytes, true);
        } else {
            s3(at, () -> s3().putObject(r -> r.bucket(at.bucket()).key(at.key()), RequestBody.fromBytes(bytes)));
        }
        return new ArtifactRef(at.text(), Sha256.hex(bytes), bytes.length);
    }

    /** Uploads a file, over what is there. */
    public ArtifactRef put(String uri, Path file) throws IOException {
        ArtifactUri at = parse(uri);
        if (at.isFile()) {
            Files.createDirectories(at.path().getParent());
            Path part = temporaryNextTo(at.path());
            Files.copy(file, part, StandardCopyOption.REPLACE_EXISTING);
            Files.move(part, at.path(), StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
        } else {
            s3(at, () -> s3().putObject(r -> r.bucket(at.bucket()).key(at.key()), RequestBody.fromFile(file)));
        }
        return new ArtifactRef(at.text(), Sha256.hex(file), Files.size(file));
    }

    /**
     * Writes {@code bytes} unless there is something already (a conditional put, If-None-Match: *).
     *
     * @return whether they were written; of many writers at once exactly one gets true, where the server sees to it: AWS does,
     *     S3Proxy over a file system looks before it writes, and two writers within a millisecond may both win
     */
    public boolean putIfAbsent(String uri, byte[] bytes) throws IOException {
        ArtifactUri at = parse(uri);
        if (at.isFile()) {
            return writeFile(at.path(), bytes, false);
        }
        for (int attempt = 1; ; attempt++) {
            try {
                s3().putObject(r -> r.bucket(at.bucket()).key(at.key()).ifNoneMatch("*"), RequestBody.fromBytes(bytes));
                return true;
            } catch (S3Exception e) {
                if (e.statusCode() == PRECONDITION_FAILED) {
                    return false;
                }
                // Another writer is at it, and may yet fail: S3 asks to try again.
                if (e.statusCode() != CONFLICT || attempt == 5) {
                    throw describe(at, e);
                }
            }
        }
    }

    /** Reads an object whole; empty if there is none. */
    public Optional<byte[]> find(String uri, int maxBytes) throws IOException {
        ArtifactUri at = parse(uri);
        Optional<ByteSource> source = open(at);
        if (source.isEmpty()) {
            return Optional.empty();
        }
        if (source.get().size() > maxBytes) {
            throw new InvalidArtifactException(
                    uri + ": has " + source.get().size() + " bytes; at most " + maxBytes + " are read");
        }
        byte[] bytes = new byte[(int) source.get().size()];
        source.get().read(0, ByteBuffer.wrap(bytes));
        return Optional.of(bytes);
    }

    /** @throws InvalidArtifactException if there is no such object, or it has more than {@code maxBytes} */
    public byte[] get(String uri, int maxBytes) throws IOException {
        return find(uri, maxBytes).orElseThrow(() -> missing(parse(uri)));
    }

    /** As {@link #get(String, int)}, and the content must be what {@code ref} says. */
    public byte[] get(ArtifactRef ref, int maxBytes) throws IOException {
        byte[] bytes = get(ref.uri(), maxBytes);
        if (!Sha256.hex(bytes).equals(ref.sha256())) {
            throw mismatch(ref.uri());
        }
        return bytes;
    }

    /**
     * Copies an object to a local file, over what is there.
     *
     * @return whether there is such an object
     */
    public boolean copy(String uri, Path file) throws IOException {
        Optional<ByteSource> source = open(parse(uri));
        if (source.isPresent()) {
            Files.deleteIfExists(file);
            save(source.get(), file);
        }
        return source.isPresent();
    }

    /** Deletes an object, if there is one. Results are never deleted; this is for what leads to them. */
    public void delete(String uri) throws IOException {
        ArtifactUri at = parse(uri);
        if (at.isFile()) {
            Files.deleteIfExists(at.path());
        } else {
            s3(at, () -> s3().deleteObject(r -> r.bucket(at.bucket()).key(at.key())));
        }
    }

    /** Opens an object to be read by ranges. */
    public ByteSource open(String uri) throws IOException {
        ArtifactUri at = parse(uri);
        return open(at).orElseThrow(() -> missing(at));
    }

    private Optional<ByteSource> open(ArtifactUri at) throws IOException {
        if (at.isFile()) {
            return Files.isRegularFile(at.path()) ? Optional.of(LocalFile.of(at.path())) : Optional.empty();
        }
        try {
            var head = s3().headObject(r -> r.bucket(at.bucket()).key(at.key()));
            return Optional.of(new S3Source(at, head.contentLength(), head.eTag()));
        } catch (S3Exception e) {
            if (e.statusCode() == 404) {
                return Optional.empty();
            }
            throw describe(at, e);
        }
    }

    /** All objects below {@code uri}, sorted. */
    public List<Listed> list(String uri) throws IOException {
        ArtifactUri at = parse(uri);
        List<Listed> found = new ArrayList<>();
        if (!at.isFile()) {
            for (S3Object o : objects(at, null)) {
                found.add(new Listed("s3://" + at.bucket() + "/" + o.key(), o.size()));
            }
        } else if (Files.isDirectory(at.path())) {
            for (Path file : regularFiles(at.path())) {
                found.add(new Listed(file.toUri().toString(), Files.size(file)));
            }
        }
        found.sort(Comparator.comparing(Listed::uri));
        return found;
    }

    private List<S3Object> objects(ArtifactUri folder, String delimiter) {
        String prefix = folder.key().isEmpty() ? "" : folder.key() + "/";
        return s3(
                folder,
                () ->
                        s3()
                                .listObjectsV2Paginator(r ->
                                        r.bucket(folder.bucket()).prefix(prefix).delimiter(delimiter))
                                .stream()
                                .flatMap(page -> page.contents().stream())
                                .toList());
    }

    // ---- what users bring: models, adapters, data

    /** A model or adapter folder, read in place: nothing is downloaded but what is read. */
    public Folder folder(String uri) throws IOException {
        ArtifactUri at = parse(uri);
        if (at.isFile()) {
            return new LocalFolder(at.path());
        }
        SortedMap<String, S3Object> files = new TreeMap<>();
        int prefix = at.key().isEmpty() ? 0 : at.key().length() + 1;
        for (S3Object o : objects(at, "/")) {
            String name = o.key().substring(prefix);
            if (!name.isEmpty()) {
                Names.check(uri, name);
                files.put(name, o);
            }
        }
        if (files.isEmpty()) {
            throw new InvalidArtifactException(uri + ": there is nothing below this URI; check bucket and key");
        }
        return new S3Folder(at, files);
    }

    /**
     * What identifies the content at {@code uri}, a file or a folder: SHA-256 over the content, in S3 over ETag and size.
     *
     * @throws InvalidArtifactException if there is nothing
     */
    public String digest(String uri) throws IOException {
        ArtifactUri at = parse(uri);
        Optional<ByteSource> file = open(at);
        if (file.isEmpty()) {
            return folder(uri).digest();
        }
        return at.isFile() ? Sha256.hex(at.path()) : ((S3Source) file.get()).digest();
    }

    /**
     * The file or the model or adapter folder at {@code uri} on this machine: where it lies if it is local, else in the cache,
     * by its digest.
     */
    public Path download(String uri) throws IOException {
        ArtifactUri at = parse(uri);
        Optional<ByteSource> file = open(at);
        if (at.isFile()) {
            return file.isPresent() ? at.path() : new LocalFolder(at.path()).path();
        }
        if (file.isPresent()) {
            S3Source source = (S3Source) file.get();
            String name = at.key().substring(at.key().lastIndexOf('/') + 1);
            return cached(source.digest(), part -> save(source, part.resolve(name)))
                    .resolve(name);
        }
        Folder folder = folder(uri);
        return cached(folder.digest(), part -> {
            for (String name : folder.files().keySet()) {
                if (Folder.counts(name)) {
                    save(folder.open(name), part.resolve(name));
                }
            }
        });
    }

    // ---- results of stages: folders with a manifest

    /**
     * Uploads all files below {@code directory}, then {@code uri/manifest.json} unless there is one already.
     *
     * @return the manifest that is there now: this one, or that of a worker who was faster
     */
    public ArtifactRef upload(Path directory, String uri) throws IOException {
        List<Manifest.Entry> entries = new ArrayList<>();
        for (Path file : regularFiles(directory)) {
            String name = directory.relativize(file).toString().replace('\\', '/');
            entries.add(new Manifest.Entry(name, Sha256.hex(file), Files.size(file)));
        }
        Manifest manifest =
                new Manifest(Manifest.SCHEMA_VERSION, ContentAddress.of(entries).substring(0, 16), entries);
        ArtifactUri folder = parse(uri).resolve(manifest.folder());
        for (Manifest.Entry entry : entries) {
            put(folder.resolve(entry.name()).text(), directory.resolve(entry.name()));
        }
        putIfAbsent(parse(uri).resolve(Manifest.NAME).text(), Json.pretty(manifest));
        return findManifest(uri).orElseThrow(() -> new IOException(uri + ": the manifest just written is gone"));
    }

    /** The manifest of the result at {@code uri}; empty if there is no result yet. */
    public Optional<ArtifactRef> findManifest(String uri) throws IOException {
        String manifest = parse(uri).resolve(Manifest.NAME).text();
        return find(manifest, Manifest.MAX_BYTES).map(b -> new ArtifactRef(manifest, Sha256.hex(b), b.length));
    }

    /** Reads a manifest and checks it against its reference. */
    public Manifest manifest(ArtifactRef ref) throws IOException {
        return Manifest.parse(ref.uri(), get(ref, Manifest.MAX_BYTES));
    }

    /** Reads one file of a result, and checks it. */
    public byte[] read(ArtifactRef manifest, String file, int maxBytes) throws IOException {
        Manifest.Entry entry = manifest(manifest).file(manifest.uri(), file);
        return get(new ArtifactRef(uri(manifest, file), entry.sha256(), entry.size()), maxBytes);
    }

    /** Where one file of a result lies. */
    public String uri(ArtifactRef manifest, String file) throws IOException {
        Manifest content = manifest(manifest);
        content.file(manifest.uri(), file);
        return filesOf(manifest, content).resolve(file).text();
    }

    /** All files of a result on this machine, checked against the manifest. The folder must not be written to. */
    public Path download(ArtifactRef manifest) throws IOException {
        Manifest content = manifest(manifest);
        ArtifactUri folder = filesOf(manifest, content);
        if (folder.isFile()) {
            for (Manifest.Entry entry : content.files()) {
                verify(
                        folder.resolve(entry.name()).path(),
                        folder.resolve(entry.name()).text(),
                        entry);
            }
            return folder.path();
        }
        return cached(manifest.sha256(), part -> {
            for (Manifest.Entry entry : content.files()) {
                String uri = folder.resolve(entry.name()).text();
                Path file = part.resolve(entry.name());
                save(open(uri), file);
                verify(file, uri, entry);
            }
        });
    }

    private ArtifactUri filesOf(ArtifactRef manifest, Manifest content) {
        String uri = manifest.uri();
        return parse(uri.substring(0, uri.lastIndexOf('/'))).resolve(content.folder());
    }

    private static void verify(Path file, String uri, Manifest.Entry entry) throws IOException {
        if (!Files.isRegularFile(file)
                || Files.size(file) != entry.size()
                || !Sha256.hex(file).equals(entry.sha256())) {
            throw mismatch(uri);
        }
    }

    // ---- the local cache

    private interface Fill {
        void into(Path folder) throws IOException;
    }

    /** The cache's folder of that digest, filled first if need be; a half-filled one is never seen under its name. */
    private Path cached(String digest, Fill fill) throws IOException {
        Path folder = settings.cache().resolve(digest);
        if (Files.isDirectory(folder)) {
            return folder;
        }
        Files.createDirectories(settings.cache());
        Path part = Files.createTempDirectory(settings.cache(), "part-");
        try {
            fill.into(part);
            Files.move(part, folder, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            if (!Files.isDirectory(folder)) {
                throw e;
            }
        } finally {
            deleteTree(part);
        }
        return folder;
    }

    private static void save(ByteSource source, Path file) throws IOException {
        Files.createDirectories(file.getParent());
        if (source instanceof S3Source object) {
            object.save(file);
        } else {
            Files.copy(((LocalFile) source).path(), file);
        }
    }

    private static void deleteTree(Path root) throws IOException {
        if (Files.exists(root)) {
            try (var walk = Files.walk(root)) {
                for (Path p : (Iterable<Path>) walk.sorted(Comparator.reverseOrder())::iterator) {
                    Files.deleteIfExists(p);
                }
            }
        }
    }

    private static List<Path> regularFiles(Path root) throws IOException {
        try (var walk = Files.walk(root)) {
            return walk.filter(Files::isRegularFile).sorted().toList();
        }
    }

    private static boolean writeFile(Path file, byte[] bytes, boolean replace) throws IOException {
        Files.createDirectories(file.getParent());
        Path part = temporaryNextTo(file);
        try {
            Files.write(part, bytes);
            if (replace) {
                Files.move(part, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
            } else {
                // A hard link is made by one of many at once.
                Files.createLink(file, part);
            }
            return true;
        } catch (FileAlreadyExistsException e) {
            return false;
        } finally {
            Files.deleteIfExists(part);
        }
    }

    private static Path temporaryNextTo(Path file) throws IOException {
        return Files.createTempFile(file.getParent(), ".", ".part");
    }

    // ---- S3

    private final class S3Source implements ByteSource {
        private final ArtifactUri at;
        private final long size;
        private final String etag;

        private final Ranges ranges = new Ranges(reads, this::fetch);

        S3Source(ArtifactUri at, long size, String etag) {
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
            try (ResponseInputStream<GetObjectResponse> body = s3(at, () -> s3().getObject(r ->
                            r.bucket(at.bucket()).key(at.key()).range(range).ifMatch(etag)));
                    ReadableByteChannel channel = Channels.newChannel(body)) {
                while (into.hasRemaining()) {
                    if (channel.read(into) < 0) {
                        throw new EOFException(at + ": the answer to " + range + " was cut short");
                    }
                }
            }
        }

        void save(Path file) throws IOException {
            try (var body = s3(at, () -> s3().getObject(
                            r -> r.bucket(at.bucket()).key(at.key()).ifMatch(etag)))) {
                long written = Files.copy(body, file);
                if (written != size) {
                    throw new EOFException(at + ": the download was cut short");
                }
            }
        }

        String digest() {
            return ContentAddress.of(etag + " " + size);
        }
    }

    private final class S3Folder implements Folder {
        private final ArtifactUri at;
        private final SortedMap<String, S3Object> objects;

        S3Folder(ArtifactUri at, SortedMap<String, S3Object> objects) {
            this.at = at;
            this.objects = objects;
        }

        @Override
        public String name() {
            return at.text().replaceAll("/+$", "");
        }

        @Override
        public SortedMap<String, Long> files() {
            SortedMap<String, Long> files = new TreeMap<>();
            objects.forEach((name, o) -> files.put(name, o.size()));
            return files;
        }

        @Override
        public ByteSource open(String file) {
            S3Object object = objects.get(file);
            if (object == null) {
                throw missing(at.resolve(file));
            }
            return new S3Source(at.resolve(file), object.size(), object.eTag());
        }

        @Override
        public String digest() {
            Map<String, String> digests = new TreeMap<>();
            objects.forEach((name, o) -> {
                if (Folder.counts(name)) {
                    digests.put(name, o.eTag() + " " + o.size());
                }
            });
            return ContentAddress.of(digests);
        }
    }

    private S3Client s3() {
        if (client == null) {
            synchronized (this) {
                if (client == null) {
                    client = connect(settings);
                }
            }
        }
        return client;
    }

    private static S3Client connect(StoreSettings settings) {
        S3ClientBuilder builder = S3Client.builder()
                .httpClientBuilder(UrlConnectionHttpClient.builder())
                .forcePathStyle(settings.pathStyle())
                .region(Region.of(settings.region()))
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
        return builder.build();
    }

    private static <T> T s3(ArtifactUri at, Supplier<T> call) {
        try {
            return call.get();
        } catch (S3Exception e) {
            throw describe(at, e);
        }
    }

    private static RuntimeException describe(ArtifactUri at, S3Exception e) {
        return switch (e.statusCode()) {
            case 404 -> missing(at);
            case 401, 403 ->
                new InvalidArtifactException(
                        at + ": access denied; give this service's S3 credentials access to it", e);
            case PRECONDITION_FAILED ->
                new InvalidArtifactException(
                        at + ": changed while it was read; publish models under a new key instead of over an old one",
                        e);
            default -> e;
        };
    }

    private static InvalidArtifactException missing(ArtifactUri at) {
        return new InvalidArtifactException(
                at + ": there is no such " + (at.isFile() ? "file" : "object; check bucket and key"));
    }

    private static InvalidArtifactException mismatch(String uri) {
        return new InvalidArtifactException(
                uri
                        + ": its content is not what its manifest or reference says (SHA-256 differs); it was changed or damaged");
    }

    private ArtifactUri parse(String uri) {
        return ArtifactUri.parse(uri, settings.filesAllowed());
    }

    @Override
    public void close() {
        reads.shutdownNow();
        if (client != null) {
            client.close();
        }
    }
}
