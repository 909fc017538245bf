package io.safelora.evaluator;

import static org.assertj.core.api.Assertions.assertThat;

import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.artifacts.store.StoreSettings;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StoredRepliesTest {
    @TempDir
    Path dir;

    @Test
    void theFirstReplyOfManyReplicasStays() throws Exception {
        String artifacts = dir.resolve("artifacts").toUri().toString();
        try (ArtifactStore store = new ArtifactStore(StoreSettings.localFiles(dir.resolve("cache")))) {
            StoredReplies replies = new StoredReplies(store, artifacts);
            assertThat(replies.find("a1")).isEmpty();
            replies.put("a1", "Größe\nScore: 2");
            new StoredReplies(store, artifacts).put("a1", "Score: 5");
            assertThat(replies.find("a1")).contains("Größe\nScore: 2");
            assertThat(dir.resolve("artifacts/replies/a1")).exists();
        }
    }
}
