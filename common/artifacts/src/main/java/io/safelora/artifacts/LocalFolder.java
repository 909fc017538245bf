package io.safelora.artifacts;

import io.safelora.contract.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/** A folder of this machine. */
public record LocalFolder(Path path) implements Folder {

    /** @throws InvalidArtifactException if there is no such folder */
    public LocalFolder {
        if (!Files.isDirectory(path)) {
            throw new InvalidArtifactException(path + ": no such folder");
        }
    }

    @Override
    public String name() {
        return path.toString();
    }

    @Override
    public SortedMap<String, Long> files() throws IOException {
        SortedMap<String, Long> files = new TreeMap<>();
        try (var list = Files.list(path)) {
            for (Path file : (Iterable<Path>) list.filter(Files::isRegularFile)::iterator) {
                files.put(file.getFileName().toString(), Files.size(file));
            }
        }
        return files;
    }

    @Override
    public ByteSource open(String file) throws IOException {
        return LocalFile.of(path.resolve(file));
    }

    @Override
    public String digest() throws IOException {
        Map<String, String> digests = new TreeMap<>();
        for (String file : files().keySet()) {
            if (Folder.counts(file)) {
                digests.put(file, FileDigests.sha256(path.resolve(file)));
            }
        }
        return Sha256.hex(Json.canonical(digests));
    }
}
