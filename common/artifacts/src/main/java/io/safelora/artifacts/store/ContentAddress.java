package io.safelora.artifacts.store;

import io.safelora.artifacts.Sha256;
import io.safelora.contract.Json;

/** The name under which a result lies: a hash of everything that the result depends on. */
public final class ContentAddress {
    private ContentAddress() {}

    /** SHA-256, in lower-case hexadecimal, of {@code inputs} as canonical JSON: equal inputs give equal addresses. */
    public static String of(Object inputs) {
        return Sha256.hex(Json.canonical(inputs));
    }
}
