package io.safelora.artifacts.store;

import io.safelora.artifacts.ByteSource;
import io.safelora.artifacts.Folder;
import io.safelora.artifacts.InvalidArtifactException;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import software.amazon.awssdk.services.s3.model.S3Object;

/** A model or adapter in S3, read in place: nothing comes down but what is read. */
final class S3Folder implements Folder {
    private final S3Objects s3;
    private final ArtifactUri at;
    private final SortedMap<String, S3Object> objects = new TreeMap<>();

    /** @param listed the objects of the folder itself */
    S3Folder(S3Objects s3, ArtifactUri at, List<S3Object> listed) {
        this.s3 = s3;
        this.at = at;
        int prefix = at.key().isEmpty() ? 0 : at.key().length() + 1;
        for (S3Object object : listed) {
            String name = object.key().substring(prefix);
            // Its files become files of this machine; what lies there under a name that no model's file has is not of
            // the model.
            if (Names.isSafe(name)) {
                objects.put(name, object);
            }
        }
        if (objects.isEmpty()) {
            throw new InvalidArtifactException(at + ": there is nothing below this URI; check bucket and key");
        }
    }

    @Override
    public String name() {
        return at.text().replaceAll("/+$", "");
    }

    @Override
    public SortedMap<String, Long> files() {
        SortedMap<String, Long> files = new TreeMap<>();
        objects.forEach((name, object) -> files.put(name, object.size()));
        return files;
    }

    @Override
    public ByteSource open(String file) throws IOException {
        S3Object object = objects.get(file);
        if (object == null) {
            throw s3.missing(at.resolve(file));
        }
        return s3.source(at.resolve(file), object.size(), object.eTag());
    }

    @Override
    public String digest() {
        Map<String, String> digests = new TreeMap<>();
        objects.forEach((name, object) -> {
            if (Folder.counts(name)) {
                digests.put(name, object.eTag() + " " + object.size());
            }
        });
        return ContentAddress.of(digests);
    }
}
