package io.safelora.artifacts.store;

import io.safelora.artifacts.Sha256;
import io.safelora.artifacts.store.DownloadCache.Wanted;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Results of stages: folders of files under a content address, with a {@link Manifest} that is written last. */
final class ResultStore {
    private final ObjectStores stores;
    private final DownloadCache cache;

    ResultStore(ObjectStores stores, DownloadCache cache) {
        this.stores = stores;
        this.cache = cache;
    }

    /** See {@link ArtifactStore#upload}. */
    ArtifactRef upload(Path directory, String uri) throws IOException {
        List<Manifest.Entry> entries = new ArrayList<>();
        for (Path file : FileObjects.below(directory)) {
            String name = directory.relativize(file).toString().replace('\\', '/');
            entries.add(new Manifest.Entry(name, Sha256.hex(file), Files.size(file)));
        }
        Manifest manifest =
                new Manifest(Manifest.SCHEMA_VERSION, ContentAddress.of(entries).substring(0, 16), entries);
        ArtifactUri at = stores.parse(uri);
        ObjectStore objects = stores.of(at);
        ArtifactUri folder = at.resolve(manifest.folder());
        for (Manifest.Entry entry : entries) {
            objects.put(folder.resolve(entry.name()), directory.resolve(entry.name()));
        }
        objects.putIfAbsent(at.resolve(Manifest.NAME), Json.pretty(manifest));
        return find(uri).orElseThrow(() -> new IOException(uri + ": the manifest just written is gone"));
    }

    /** The manifest of the result at {@code uri}; empty if there is no result yet. */
    Optional<ArtifactRef> find(String uri) throws IOException {
        ArtifactUri at = stores.parse(uri).resolve(Manifest.NAME);
        return stores.of(at)
                .find(at, Manifest.MAX_BYTES)
                .map(bytes -> new ArtifactRef(at.text(), Sha256.hex(bytes), bytes.length));
    }

    /** Reads a manifest and checks it against its reference. */
    Manifest manifest(ArtifactRef ref) throws IOException {
        return Manifest.parse(ref.uri(), get(ref, Manifest.MAX_BYTES));
    }

    /** Reads an object whose content must be what {@code ref} says. */
    byte[] get(ArtifactRef ref, int maxBytes) throws IOException {
        ArtifactUri at = stores.parse(ref.uri());
        byte[] bytes = stores.of(at).get(at, maxBytes);
        if (!Sha256.hex(bytes).equals(ref.sha256())) {
            throw Manifest.mismatch(ref.uri());
        }
        return bytes;
    }

    /** Reads one file of a result, and checks it. */
    byte[] read(ArtifactRef manifest, String file, int maxBytes) throws IOException {
        Manifest content = manifest(manifest);
        Manifest.Entry entry = content.file(manifest.uri(), file);
        String uri = filesOf(manifest, content).resolve(file).text();
        return get(new ArtifactRef(uri, entry.sha256(), entry.size()), maxBytes);
    }

    /** Where one file of a result lies. */
    String uri(ArtifactRef manifest, String file) throws IOException {
        Manifest content = manifest(manifest);
        content.file(manifest.uri(), file);
        return filesOf(manifest, content).resolve(file).text();
    }

    /** All files of a result on this machine, checked against the manifest. The folder must not be written to. */
    Path download(ArtifactRef manifest) throws IOException {
        Manifest content = manifest(manifest);
        ArtifactUri folder = filesOf(manifest, content);
        if (folder.isFile()) {
            for (Manifest.Entry entry : content.files()) {
                verify(folder.resolve(entry.name()), entry);
            }
            return folder.path();
        }
        List<Wanted> wanted = new ArrayList<>();
        for (Manifest.Entry entry : content.files()) {
            ArtifactUri at = folder.resolve(entry.name());
            wanted.add(new Wanted(entry.name(), entry.size(), entry.sha256(), () -> stores.of(at)
                    .open(at)));
        }
        return cache.take(manifest.sha256(), wanted);
    }

    private ArtifactUri filesOf(ArtifactRef manifest, Manifest content) {
        String uri = manifest.uri();
        return stores.parse(uri.substring(0, uri.lastIndexOf('/'))).resolve(content.folder());
    }

    private static void verify(ArtifactUri at, Manifest.Entry entry) throws IOException {
        if (!Files.isRegularFile(at.path())
                || Files.size(at.path()) != entry.size()
                || !Sha256.hex(at.path()).equals(entry.sha256())) {
            throw Manifest.mismatch(at.text());
        }
    }
}
