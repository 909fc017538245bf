package io.safelora.standalone.embedded;

import io.quarkus.test.common.QuarkusTestResourceLifecycleManager;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.util.HashMap;
import java.util.Map;

/** The embedded broker and S3 server around a Quarkus test. */
public class EmbeddedSystemResource implements QuarkusTestResourceLifecycleManager {
    private EmbeddedSystem system;

    @Override
    public Map<String, String> start() {
        try {
            system = EmbeddedSystem.start(Files.createTempDirectory("safelora-test-"), 0, 0);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        Map<String, String> properties = new HashMap<>(system.properties());
        properties.put("quarkus.http.test-port", "0");
        return properties;
    }

    @Override
    public void stop() {
        if (system != null) {
            system.close();
        }
    }
}
