package io.safelora.contract;

import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import jakarta.validation.constraints.Min;
import jakarta.validation.constraints.NotNull;
import jakarta.validation.constraints.Pattern;

/**
 * A reference to bytes in the artifact store. Events carry these, never the bytes.
 *
 * <p>A folder (an adapter, a checkpoint) is referred to by its {@code manifest.json}, which lists the folder's files.
 */
public record ArtifactRef(
        @NotNull
        @Pattern(regexp = URI)
        @JsonPropertyDescription("Where the object lies, as an s3:// URI (file: in a single process)")
        String uri,

        @NotNull
        @Pattern(regexp = "^[0-9a-f]{64}$")
        @JsonPropertyDescription("SHA-256 of the object's bytes, in lower-case hexadecimal")
        String sha256,

        @Min(0) @JsonPropertyDescription("The object's size in bytes")
        long size) {

    /** What every reference to data looks like; a plain path would mean another file in every container. */
    public static final String URI = "^(s3://|file:).+";
}
