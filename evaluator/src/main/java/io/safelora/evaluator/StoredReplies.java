package io.safelora.evaluator;

import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.evaluation.judge.ReplyCache;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/** What endpoints said before, in the artifact store, for all replicas: {@code <artifacts-uri>/replies/<SHA-256>}. */
record StoredReplies(ArtifactStore store, String artifactsUri) implements ReplyCache {
    @Override
    public Optional<String> find(String key) throws IOException {
        return store.find(uri(key), MAX_BYTES).map(bytes -> new String(bytes, StandardCharsets.UTF_8));
    }

    @Override
    public void put(String key, String reply) throws IOException {
        store.putIfAbsent(uri(key), reply.getBytes(StandardCharsets.UTF_8));
    }

    private String uri(String key) {
        return artifactsUri.replaceAll("/+$", "") + "/replies/" + key;
    }
}
