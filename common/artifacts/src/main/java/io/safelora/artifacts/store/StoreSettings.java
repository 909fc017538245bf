package io.safelora.artifacts.store;

import java.net.URI;
import java.nio.file.Path;

/**
 * How the artifact store is reached.
 *
 * @param endpoint the S3 server; null for AWS itself
 * @param accessKey null for the AWS SDK's default chain (environment, profile, instance role)
 * @param pathStyle whether buckets are paths ({@code host/bucket/key}), as most servers other than AWS want it
 * @param cache folder for downloads, shared by the processes of one machine
 * @param filesAllowed whether {@code file:} URIs are read and written; false in a service, whose requests come from strangers
 */
public record StoreSettings(
        URI endpoint,
        String region,
        String accessKey,
        String secretKey,
        boolean pathStyle,
        Path cache,
        boolean filesAllowed) {

    /** A store of local files only. */
    public static StoreSettings localFiles(Path cache) {
        return new StoreSettings(null, "us-east-1", null, null, true, cache, true);
    }
}
