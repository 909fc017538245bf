package io.safelora.standalone.embedded;

import io.quarkus.test.common.QuarkusTestResourceLifecycleManager;
import io.safelora.testkit.EmbeddedS3;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/** The system of {@code ./safelora run}, with an S3 server that stands for the user's own. */
public class OwnS3Resource implements QuarkusTestResourceLifecycleManager {
    static final String BUCKET = "users-bucket";

    private EmbeddedSystem system;
    private EmbeddedS3 own;

    @Override
    public Map<String, String> start() {
        try {
            Path dir = Files.createTempDirectory("safelora test-");
            own = EmbeddedS3.start(dir.resolve("own"), 0, BUCKET);
            system = EmbeddedSystem.onFiles(dir.resolve("system"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        Map<String, String> properties = new HashMap<>(system.properties());
        // What the user sets: SAFELORA_S3_ENDPOINT and the keys.
        properties.put("safelora.s3.endpoint", own.endpoint().toString());
        properties.put("safelora.s3.access-key", EmbeddedS3.ACCESS_KEY);
        properties.put("safelora.s3.secret-key", EmbeddedS3.SECRET_KEY);
        properties.put("quarkus.http.test-port", "0");
        return properties;
    }

    @Override
    public void stop() {
        if (system != null) {
            system.close();
        }
        if (own != null) {
            own.close();
        }
    }
}
