package io.safelora.artifacts.store;

import io.safelora.artifacts.ByteSource;
import io.safelora.artifacts.Folder;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.Sha256;
import io.safelora.artifacts.store.DownloadCache.Wanted;
import io.safelora.contract.ArtifactRef;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Artifacts in S3 ({@code s3://bucket/key}), and, where that is allowed, in local files ({@code file:///path}):
 * objects, what users bring, and results of stages. Safe for use by many threads.
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

    private final ObjectStores stores;
    private final DownloadCache cache;
    private final ResultStore results;

    public ArtifactStore(StoreSettings settings) {
        this(settings, UPLOAD_PART);
    }

    ArtifactStore(StoreSettings settings, long uploadPart) {
        this.stores = new ObjectStores(settings, uploadPart);
        this.cache = new DownloadCache(settings.cache());
        this.results = new ResultStore(stores, cache);
    }

    // ---- objects

    /** Writes {@code bytes}, over what is there. */
    public ArtifactRef put(String uri, byte[] bytes) throws IOException {
        ArtifactUri at = stores.parse(uri);
        stores.of(at).put(at, bytes);
        return new ArtifactRef(at.text(), Sha256.hex(bytes), bytes.length);
    }

    /** Uploads a file, over what is there. */
    public ArtifactRef put(String uri, Path file) throws IOException {
        ArtifactUri at = stores.parse(uri);
        stores.of(at).put(at, file);
        return new ArtifactRef(at.text(), Sha256.hex(file), Files.size(file));
    }

    /**
     * Writes {@code bytes} unless there is something already (a conditional put, If-None-Match: *).
     *
     * @return whether they were written; of many writers at once exactly one gets true
     */
    public boolean putIfAbsent(String uri, byte[] bytes) throws IOException {
        ArtifactUri at = stores.parse(uri);
        return stores.of(at).putIfAbsent(at, bytes);
    }

    /** Reads an object whole; empty if there is none. */
    public Optional<byte[]> find(String uri, int maxBytes) throws IOException {
        ArtifactUri at = stores.parse(uri);
        return stores.of(at).find(at, maxBytes);
    }

    /** @throws InvalidArtifactException if there is no such object, or it has more than {@code maxBytes} */
    public byte[] get(String uri, int maxBytes) throws IOException {
        ArtifactUri at = stores.parse(uri);
        return stores.of(at).get(at, maxBytes);
    }

    /** As {@link #get(String, int)}, and the content must be what {@code ref} says. */
    public byte[] get(ArtifactRef ref, int maxBytes) throws IOException {
        return results.get(ref, maxBytes);
    }

    /**
     * Copies an object to a local file, over what is there.
     *
     * @return whether there is such an object
     */
    public boolean copy(String uri, Path file) throws IOException {
        ArtifactUri at = stores.parse(uri);
        Optional<ByteSource> source = stores.of(at).find(at);
        if (source.isPresent()) {
            DownloadCache.copy(source.get(), file);
        }
        return source.isPresent();
    }

    /** Deletes an object, if there is one. Results are never deleted; this is for what leads to them. */
    public void delete(String uri) throws IOException {
        ArtifactUri at = stores.parse(uri);
        stores.of(at).delete(at);
    }

    /** Opens an object to be read by ranges. */
    public ByteSource open(String uri) throws IOException {
        ArtifactUri at = stores.parse(uri);
        return stores.of(at).open(at);
    }

    /** All objects below {@code uri}, sorted. */
    public List<Listed> list(String uri) throws IOException {
        ArtifactUri at = stores.parse(uri);
        return stores.of(at).list(at).stream()
                .sorted(Comparator.comparing(Listed::uri))
                .toList();
    }

    // ---- what users bring: models, adapters, data

    /** A model or adapter folder, read in place: nothing is downloaded but what is read. */
    public Folder folder(String uri) throws IOException {
        ArtifactUri at = stores.parse(uri);
        return stores.of(at).folder(at);
    }

    /**
     * What identifies the content at {@code uri}, a file or a folder: SHA-256 over the content, in S3 over ETag and
     * size.
     *
     * @throws InvalidArtifactException if there is nothing
     */
    public String digest(String uri) throws IOException {
        ArtifactUri at = stores.parse(uri);
        Optional<ByteSource> object = stores.of(at).find(at);
        return object.isPresent()
                ? object.get().digest()
                : stores.of(at).folder(at).digest();
    }

    /**
     * The file or the model or adapter folder at {@code uri} on this machine: where it lies if it is local, else in
     * the cache, by its digest.
     */
    public Path download(String uri) throws IOException {
        ArtifactUri at = stores.parse(uri);
        ObjectStore objects = stores.of(at);
        Path local = objects.localPath(at);
        if (local != null) {
            return local;
        }
        Optional<ByteSource> object = objects.find(at);
        if (object.isPresent()) {
            ByteSource source = object.get();
            String name = Names.local(at.key().substring(at.key().lastIndexOf('/') + 1));
            // The name is part of the key: readers tell formats by it, and the same content may have several.
            String key = ContentAddress.of(Map.of("name", name, "object", source.digest()));
            return cache.take(key, List.of(new Wanted(name, source.size(), null, () -> source)))
                    .resolve(name);
        }
        Folder folder = objects.folder(at);
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
        return results.upload(directory, uri);
    }

    /** The manifest of the result at {@code uri}; empty if there is no result yet. */
    public Optional<ArtifactRef> findManifest(String uri) throws IOException {
        return results.find(uri);
    }

    /** Reads a manifest and checks it against its reference. */
    public Manifest manifest(ArtifactRef ref) throws IOException {
        return results.manifest(ref);
    }

    /** Reads one file of a result, and checks it. */
    public byte[] read(ArtifactRef manifest, String file, int maxBytes) throws IOException {
        return results.read(manifest, file, maxBytes);
    }

    /** Where one file of a result lies. */
    public String uri(ArtifactRef manifest, String file) throws IOException {
        return results.uri(manifest, file);
    }

    /** All files of a result on this machine, checked against the manifest. The folder must not be written to. */
    public Path download(ArtifactRef manifest) throws IOException {
        return results.download(manifest);
    }

    @Override
    public void close() {
        stores.close();
        cache.close();
    }
}
