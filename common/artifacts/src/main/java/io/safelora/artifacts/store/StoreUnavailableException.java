package io.safelora.artifacts.store;

import java.io.IOException;

/**
 * The store cannot be used now, and no job is to blame: credentials, network, clock, an overloaded or wrongly
 * configured S3 server, a full disk. The message is one line that names the URI, the server, its region and the
 * remedy. Trying again helps once that is mended; what is wrong with a job's own URI is an {@link
 * io.safelora.artifacts.InvalidArtifactException}.
 */
public final class StoreUnavailableException extends IOException {
    public StoreUnavailableException(String message, Throwable cause) {
        super(message, cause);
    }
}
