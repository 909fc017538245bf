package io.safelora.artifacts.store;

import io.safelora.contract.InvalidInputException;
import java.net.URI;
import java.nio.file.Path;

/**
 * How the artifact store is reached.
 *
 * @param endpoint the S3 server; null for AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, else AWS itself
 * @param region null for AWS_REGION or the profile's, else us-east-1
 * @param accessKey null for the AWS SDK's default chain (environment, profile, instance role)
 * @param pathStyle whether buckets are paths ({@code host/bucket/key}), as most servers other than AWS want it
 * @param cache folder for downloads, shared by the processes of one machine
 * @param filesAllowed whether {@code file:} URIs are read and written; false in a service, whose requests come from
 *     strangers
 */
public record StoreSettings(
        URI endpoint,
        String region,
        String accessKey,
        String secretKey,
        boolean pathStyle,
        Path cache,
        boolean filesAllowed) {

    /** @throws InvalidInputException if only one of the keys is given */
    public StoreSettings {
        if ((accessKey == null) != (secretKey == null)) {
            throw new InvalidInputException((accessKey == null
                            ? "SAFELORA_S3_SECRET_KEY is set without SAFELORA_S3_ACCESS_KEY"
                            : "SAFELORA_S3_ACCESS_KEY is set without SAFELORA_S3_SECRET_KEY")
                    + ": set both, or neither for the credentials of the AWS SDK's chain "
                    + "(AWS_ACCESS_KEY_ID, profile, role)");
        }
    }

    /** A store of local files only. */
    public static StoreSettings localFiles(Path cache) {
        return new StoreSettings(null, null, null, null, true, cache, true);
    }
}
