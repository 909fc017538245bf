package io.safelora.artifacts.store;

import io.safelora.artifacts.ByteSource;
import io.safelora.artifacts.Folder;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.LocalFile;
import io.safelora.artifacts.LocalFolder;
import io.safelora.artifacts.Sha256;
import io.safelora.artifacts.store.DownloadCache.Wanted;
import io.safelora.artifacts.store.S3Objects.S3Source;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.Json;
import java.io.IOException;
import java.nio.ByteBuffer;
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
import software.amazon.awssdk.services.s3.model.S3Object;

/**
 * Artifacts in S3 ({@code s3://bucket/key}), and, where that is allowed, in local files ({@code file:///path}). Safe
 * for use by many threads.
 *
 * <p>Errors: {@link InvalidArtifactException} where trying again does not help (no such object, access denied,
 * content that does not match its digest, a hostile name); {@link IOException} where it may, above all {@link
 * StoreUnavailableException}, which no job is to blame for.
 */
public final class ArtifactStore implements AutoCloseable {
    /**
     * Larger files go up in parts of this size: what fails of them is repeated alone, and S3 takes 5 GiB in one piece
     * at most.
     */
    private static final long UPLOAD_PART = 64 << 20;

    private final StoreSettings settings;
    private final S3Objects s3;
    private final DownloadCache cache;

    public ArtifactStore(StoreSettings settings) {
        this(settings, UPLOAD_PART);
    }

    ArtifactStore(StoreSettings settings, long uploadPart) {
        this.settings = settings;
        this.s3 = new S3Objects(settings, uploadPart);
        this.cache = new DownloadCache(settings.cache());
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
            s3.put(at, bytes);
        }
        return new ArtifactRef(at.text(), Sha256.hex(bytes), bytes.length);
    }

    /** Uploads a file, over what is there. */
    public ArtifactRef put(String uri, Path file) throws IOException {
        ArtifactUri at = parse(uri);
        if (at.isFile()) {
            Files.createDirectories(at.path().getParent());
            Path part = temporaryNextTo(at.path());
            try {
                Files.copy(file, part, StandardCopyOption.REPLACE_EXISTING);
                Files.move(part, at.path(), StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
            } finally {
                Files.deleteIfExists(part);
            }
        } else {
            s3.put(at, file);
        }
        return new ArtifactRef(at.text(), Sha256.hex(file), Files.size(file));
    }

    /**
     * Writes {@code bytes} unless there is something already (a conditional put, If-None-Match: *).
     *
     * @return whether they were written; of many writers at once exactly one gets true
     */
    public boolean putIfAbsent(String uri, byte[] bytes) throws IOException {
        ArtifactUri at = parse(uri);
        return at.isFile() ? writeFile(at.path(), bytes, false) : s3.putIfAbsent(at, bytes);
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
        Optional<byte[]> bytes = find(uri, maxBytes);
        if (bytes.isEmpty()) {
            throw missing(parse(uri));
        }
        return bytes.get();
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
            DownloadCache.copy(source.get(), file);
        }
        return source.isPresent();
    }

    /** Deletes an object, if there is one. Results are never deleted; this is for what leads to them. */
    public void delete(String uri) throws IOException {
        ArtifactUri at = parse(uri);
        if (at.isFile()) {
            Files.deleteIfExists(at.path());
        } else {
            s3.delete(at);
        }
    }

    /** Opens an object to be read by ranges. */
    public ByteSource open(String uri) throws IOException {
        ArtifactUri at = parse(uri);
        Optional<ByteSource> source = open(at);
        if (source.isEmpty()) {
            throw missing(at);
        }
        return source.get();
    }

    private Optional<ByteSource> open(ArtifactUri at) throws IOException {
        if (at.isFile()) {
            return Files.isRegularFile(at.path()) ? Optional.of(LocalFile.of(at.path())) : Optional.empty();
        }
        return s3.find(at).map(object -> object);
    }

    /** All objects below {@code uri}, sorted. */
    public List<Listed> list(String uri) throws IOException {
        ArtifactUri at = parse(uri);
        List<Listed> found = new ArrayList<>();
        if (!at.isFile()) {
            for (S3Object o : s3.list(at, null)) {
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

    // ---- what users bring: models, adapters, data

    /** A model or adapter folder, read in place: nothing is downloaded but what is read. */
    public Folder folder(String uri) throws IOException {
        ArtifactUri at = parse(uri);
        if (at.isFile()) {
            return new LocalFolder(at.path());
        }
        SortedMap<String, S3Object> files = new TreeMap<>();
        int prefix = at.key().isEmpty() ? 0 : at.key().length() + 1;
        for (S3Object o : s3.list(at, "/")) {
            String name = o.key().substring(prefix);
            // Its files become files of this machine; what lies there under a name that no model's file has is not of
            // the model.
            if (Names.isSafe(name)) {
                files.put(name, o);
            }
        }
        if (files.isEmpty()) {
            throw new InvalidArtifactException(uri + ": there is nothing below this URI; check bucket and key");
        }
        return new S3Folder(at, files);
    }

    /**
     * What identifies the content at {@code uri}, a file or a folder: SHA-256 over the content, in S3 over ETag and
     * size.
     *
     * @throws InvalidArtifactException if there is nothing
     */
    public String digest(String uri) throws IOException {
        ArtifactUri at = parse(uri);
        Optional<ByteSource> file = open(at);
        if (file.isEmpty()) {
            return folder(uri).digest();
        }
        return at.isFile() ? Sha256.hex(at.path()) : digest((S3Source) file.get());
    }

    /**
     * The file or the model or adapter folder at {@code uri} on this machine: where it lies if it is local, else in
     * the cache, by its digest.
     */
    public Path download(String uri) throws IOException {
        ArtifactUri at = parse(uri);
        Optional<ByteSource> file = open(at);
        if (at.isFile()) {
            return file.isPresent() ? at.path() : new LocalFolder(at.path()).path();
        }
        if (file.isPresent()) {
            S3Source source = (S3Source) file.get();
            String name = Names.local(at.key().substring(at.key().lastIndexOf('/') + 1));
            // The name is part of the key: readers tell formats by it, and the same content may have several.
            String key = ContentAddress.of(Map.of("name", name, "object", digest(source)));
            return cache.take(key, List.of(new Wanted(name, source.size(), null, () -> source)))
                    .resolve(name);
        }
        Folder folder = folder(uri);
        List<Wanted> wanted = new ArrayList<>();
        folder.files().forEach((name, size) -> {
            if (Folder.counts(name)) {
                wanted.add(new Wanted(name, size, null, () -> folder.open(name)));
            }
        });
        return cache.take(folder.digest(), wanted);
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
        List<Wanted> wanted = new ArrayList<>();
        for (Manifest.Entry entry : content.files()) {
            String uri = folder.resolve(entry.name()).text();
            wanted.add(new Wanted(entry.name(), entry.size(), entry.sha256(), () -> open(uri)));
        }
        return cache.take(manifest.sha256(), wanted);
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

    // ---- local files

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

    private static String digest(S3Source source) {
        return ContentAddress.of(source.etag() + " " + source.size());
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
        public ByteSource open(String file) throws IOException {
            S3Object object = objects.get(file);
            if (object == null) {
                throw missing(at.resolve(file));
            }
            return s3.source(at.resolve(file), object.size(), object.eTag());
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

    /** What to throw where there is nothing at {@code at}. */
    private IOException missing(ArtifactUri at) throws IOException {
        if (at.isFile()) {
            throw new InvalidArtifactException(at + ": there is no such file");
        }
        return s3.missing(at);
    }

    static InvalidArtifactException mismatch(String uri) {
        return new InvalidArtifactException(
                uri
                        + ": its content is not what its manifest or reference says (SHA-256 differs); it was changed or damaged");
    }

    private ArtifactUri parse(String uri) {
        return ArtifactUri.parse(uri, settings.filesAllowed());
    }

    @Override
    public void close() {
        s3.close();
        cache.close();
    }
}
