package io.safelora.standalone.embedded;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.safelora.artifacts.store.ArtifactStore;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EmbeddedSystemTest {
    @TempDir
    Path dir;

    private static ArtifactStore store(EmbeddedSystem system) {
        return new ArtifactStore(system.storeSettings());
    }

    @Test
    void bothServersAnswerAndKeepTheirDataOverARestart() throws Exception {
        try (EmbeddedSystem system = EmbeddedSystem.start(dir, 0, 0);
                ArtifactStore store = store(system);
                Admin admin = Admin.create(Map.of("bootstrap.servers", system.bootstrapServers()))) {
            assertThat(store.putIfAbsent("s3://safelora/a/b", "first".getBytes()))
                    .isTrue();
            assertThat(store.putIfAbsent("s3://safelora/a/b", "second".getBytes()))
                    .isFalse();
            assertThat(admin.describeFeatures().featureMetadata().get().finalizedFeatures())
                    .containsKey("share.version");
        }
        try (EmbeddedSystem system = EmbeddedSystem.start(dir, 0, 0);
                ArtifactStore store = store(system)) {
            assertThat(new String(store.get("s3://safelora/a/b", 100))).isEqualTo("first");
        }
    }

    @Test
    void aTakenPortIsNamed() throws Exception {
        try (EmbeddedSystem system = EmbeddedSystem.start(dir.resolve("1"), 0, 0)) {
            int port = system.s3Endpoint().getPort();
            assertThatThrownBy(() -> EmbeddedSystem.start(dir.resolve("2"), 0, port))
                    .isInstanceOf(IOException.class)
                    .hasMessageContaining("port " + port);
        }
    }
}
