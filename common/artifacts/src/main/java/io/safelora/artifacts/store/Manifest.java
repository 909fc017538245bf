package io.safelora.artifacts.store;

import com.fasterxml.jackson.core.JsonProcessingException;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.contract.Json;
import java.util.List;

/**
 * {@code manifest.json}: the files of a result. It is written last, so that a result is there whole or not at all.
 *
 * @param folder where the files lie, relative to the manifest; named after their content, so that two workers that do
 *     the same task never write over each other's files
 */
public record Manifest(int schemaVersion, String folder, List<Entry> files) {
    public static final String NAME = "manifest.json";
    static final int SCHEMA_VERSION = 1;
    static final int MAX_BYTES = 10_000_000;

    /** A file; {@code name} may have slashes. */
    public record Entry(String name, String sha256, long size) {}

    /** @throws InvalidArtifactException if {@code json} is not a manifest, or names a file outside its folder */
    static Manifest parse(String uri, byte[] json) {
        Manifest manifest;
        try {
            manifest = Json.MAPPER.readValue(json, Manifest.class);
        } catch (JsonProcessingException e) {
            throw new InvalidArtifactException(
                    uri + ": is not a manifest: "
                            + e.getOriginalMessage().lines().findFirst().orElse(""),
                    e);
        } catch (java.io.IOException e) {
            throw new InvalidArtifactException(uri + ": is not a manifest", e);
        }
        if (manifest == null || manifest.schemaVersion != SCHEMA_VERSION || manifest.files == null) {
            throw new InvalidArtifactException(uri + ": is not a manifest of schema_version " + SCHEMA_VERSION);
        }
        Names.check(uri, manifest.folder);
        for (Entry file : manifest.files) {
            Names.check(uri, file.name);
            if (file.sha256 == null || !file.sha256.matches("[0-9a-f]{64}") || file.size < 0) {
                throw new InvalidArtifactException(uri + ": " + file.name + " has no valid sha256 and size");
            }
        }
        return manifest;
    }

    /** @throws InvalidArtifactException if there is no file of that name */
    Entry file(String uri, String name) {
        return files.stream()
                .filter(f -> f.name.equals(name))
                .findFirst()
                .orElseThrow(() -> new InvalidArtifactException(uri + ": lists no " + name + ", only "
                        + files.stream().map(Entry::name).toList()));
    }

    static InvalidArtifactException mismatch(String uri) {
        return new InvalidArtifactException(uri
                + ": its content is not what its manifest or reference says (SHA-256 differs); it "
                + "was changed or damaged");
    }
}
