package io.safelora.standalone.embedded;

import io.safelora.artifacts.store.StoreSettings;
import io.safelora.testkit.EmbeddedKafka;
import io.safelora.testkit.EmbeddedS3;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What the services need around them, in this JVM: a Kafka broker and, where results are not kept in files, an S3
 * server, on real ports of localhost, so that any other client reaches them too. Start it before Quarkus, and give
 * {@link #properties()} to Quarkus.
 */
public final class EmbeddedSystem implements AutoCloseable {
    private static final String BUCKET = "safelora";

    private final EmbeddedKafka kafka;
    private final EmbeddedS3 s3; // null where results are files
    private final Path dataDir;

    private EmbeddedSystem(EmbeddedKafka kafka, EmbeddedS3 s3, Path dataDir) {
        this.kafka = kafka;
        this.s3 = s3;
        this.dataDir = dataDir;
    }

    /**
     * Starts both.
     *
     * @param dataDir where topics, buckets and files in work lie; kept on {@link #close()} and usable again
     * @param kafkaPort 0 for a free one
     * @param s3Port 0 for a free one
     * @throws IOException if the directory cannot be written or a port is taken
     */
    public static EmbeddedSystem start(Path dataDir, int kafkaPort, int s3Port) throws IOException {
        EmbeddedS3 s3 = EmbeddedS3.start(dataDir.resolve("s3"), s3Port, BUCKET);
        try {
            return new EmbeddedSystem(EmbeddedKafka.start(dataDir.resolve("kafka"), kafkaPort, Map.of()), s3, dataDir);
        } catch (IOException | RuntimeException e) {
            s3.close();
            throw e;
        }
    }

    /**
     * Starts a broker alone. Results are kept in files below {@code dataDir}; {@code s3:} inputs are read from the S3
     * server that the environment names (SAFELORA_S3_ENDPOINT, AWS_ACCESS_KEY_ID, ...), as by a service.
     *
     * @param dataDir kept on {@link #close()} and usable again
     * @throws IOException if the directory cannot be written
     */
    public static EmbeddedSystem onFiles(Path dataDir) throws IOException {
        return new EmbeddedSystem(EmbeddedKafka.start(dataDir.resolve("kafka"), 0, Map.of()), null, dataDir);
    }

    public String bootstrapServers() {
        return kafka.bootstrapServers();
    }

    /** @return null without an S3 server */
    public URI s3Endpoint() {
        return s3 == null ? null : s3.endpoint();
    }

    /**
     * The configuration that points the services of this JVM here. {@code file:} URIs are allowed: they are the user's
     * own.
     */
    public Map<String, String> properties() {
        Map<String, String> properties = new LinkedHashMap<>();
        properties.put("kafka.bootstrap.servers", bootstrapServers());
        if (s3 == null) {
            properties.put(
                    "safelora.artifacts-uri",
                    dataDir.resolve("artifacts").toAbsolutePath().toUri().toString());
        } else {
            properties.put("safelora.artifacts-uri", "s3://" + BUCKET);
            properties.put("safelora.s3.endpoint", s3Endpoint().toString());
            properties.put("safelora.s3.access-key", EmbeddedS3.ACCESS_KEY);
            properties.put("safelora.s3.secret-key", EmbeddedS3.SECRET_KEY);
        }
        properties.put("safelora.scratch-dir", dataDir.resolve("scratch").toString());
        properties.put("safelora.cache-dir", cache().toString());
        properties.put("safelora.files-allowed", "true");
        return properties;
    }

    /** How results are read. */
    public StoreSettings storeSettings() {
        return s3 == null
                ? StoreSettings.localFiles(cache())
                : new StoreSettings(
                        s3Endpoint(), null, EmbeddedS3.ACCESS_KEY, EmbeddedS3.SECRET_KEY, true, cache(), false);
    }

    private Path cache() {
        return dataDir.resolve("cache");
    }

    @Override
    public void close() {
        try {
            kafka.close();
        } finally {
            if (s3 != null) {
                s3.close();
            }
        }
    }
}
