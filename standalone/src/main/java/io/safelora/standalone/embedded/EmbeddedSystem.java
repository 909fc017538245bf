package io.safelora.standalone.embedded;

import io.safelora.pipeline.embedded.EmbeddedKafka;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What the services need around them, in this JVM: a Kafka broker and an S3 server, on real ports of localhost, so that
 * any other client reaches them too. Start it before Quarkus, and give {@link #properties()} to Quarkus.
 */
public final class EmbeddedSystem implements AutoCloseable {
    private static final String BUCKET = "safelora";

    private final EmbeddedKafka kafka;
    private final EmbeddedS3 s3;
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

    public String bootstrapServers() {
        return kafka.bootstrapServers();
    }

    public URI s3Endpoint() {
        return s3.endpoint();
    }

    /** The configuration that points the services of this JVM here. {@code file:} URIs are allowed: they are the user's own. */
    public Map<String, String> properties() {
        Map<String, String> properties = new LinkedHashMap<>();
        properties.put("kafka.bootstrap.servers", bootstrapServers());
        properties.put("safelora.artifacts-uri", "s3://" + BUCKET);
        properties.put("safelora.s3.endpoint", s3Endpoint().toString());
        properties.put("safelora.s3.access-key", EmbeddedS3.ACCESS_KEY);
        properties.put("safelora.s3.secret-key", EmbeddedS3.SECRET_KEY);
        properties.put("safelora.scratch-dir", dataDir.resolve("scratch").toString());
        properties.put("safelora.cache-dir", dataDir.resolve("cache").toString());
        properties.put("safelora.files-allowed", "true");
        return properties;
    }

    @Override
    public void close() {
        try {
            kafka.close();
        } finally {
            s3.close();
        }
    }
}
