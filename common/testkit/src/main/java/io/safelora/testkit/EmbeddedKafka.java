package io.safelora.testkit;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import kafka.server.KafkaConfig;
import kafka.server.KafkaRaftServer;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.metadata.storage.Formatter;

/**
 * A real Kafka broker (KRaft, broker and controller in one, share groups on) inside this JVM, listening on localhost.
 */
public final class EmbeddedKafka implements AutoCloseable {
    private static final int NODE = 1;
    // A fixed id: a data directory stays usable over restarts.
    private static final String CLUSTER = "c2FmZWxvcmEtZW1iZWRkZQ";

    private final KafkaRaftServer server;
    private final int port;

    private EmbeddedKafka(KafkaRaftServer server, int port) {
        this.server = server;
        this.port = port;
    }

    /**
     * Starts a broker.
     *
     * @param dir where its logs lie; created if missing, kept on {@link #close()}
     * @param port the port of its listener on localhost; 0 for a free one
     * @param overrides broker properties that replace the ones chosen here
     * @throws IOException if the directory cannot be written or the port is taken
     */
    public static EmbeddedKafka start(Path dir, int port, Map<String, String> overrides) throws IOException {
        Files.createDirectories(dir);
        int listen = port == 0 ? Ports.free() : port;
        int controller = Ports.free();
        Map<String, String> properties = new HashMap<>();
        properties.put("process.roles", "broker,controller");
        properties.put("node.id", String.valueOf(NODE));
        properties.put("listeners", "PLAINTEXT://localhost:" + listen + ",CONTROLLER://localhost:" + controller);
        properties.put("advertised.listeners", "PLAINTEXT://localhost:" + listen);
        properties.put("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT");
        properties.put("controller.listener.names", "CONTROLLER");
        properties.put("controller.quorum.voters", NODE + "@localhost:" + controller);
        properties.put("log.dirs", dir.toAbsolutePath().toString());
        properties.put("num.partitions", "1");
        // One broker: nothing can be replicated, and internal topics of 50 partitions would only cost time.
        properties.put("default.replication.factor", "1");
        properties.put("offsets.topic.replication.factor", "1");
        properties.put("offsets.topic.num.partitions", "1");
        properties.put("transaction.state.log.replication.factor", "1");
        properties.put("transaction.state.log.min.isr", "1");
        properties.put("transaction.state.log.num.partitions", "1");
        properties.put("share.coordinator.state.topic.replication.factor", "1");
        properties.put("share.coordinator.state.topic.min.isr", "1");
        properties.put("share.coordinator.state.topic.num.partitions", "1");
        properties.put("group.initial.rebalance.delay.ms", "0");
        properties.put("auto.create.topics.enable", "false");
        properties.put("log.retention.check.interval.ms", "300000");
        properties.putAll(overrides);

        KafkaConfig config = new KafkaConfig(properties, false);
        try {
            new Formatter()
                    .setPrintStream(new PrintStream(OutputStream.nullOutputStream()))
                    .setClusterId(CLUSTER)
                    .setNodeId(NODE)
                    .setControllerListenerName("CONTROLLER")
                    .setMetadataLogDirectory(config.metadataLogDir())
                    .addDirectory(dir.toAbsolutePath().toString())
                    .setIgnoreFormatted(true)
                    .run();
        } catch (Exception e) {
            throw new IOException("the embedded Kafka broker cannot use " + dir + ": " + e.getMessage(), e);
        }
        KafkaRaftServer server = new KafkaRaftServer(config, Time.SYSTEM);
        try {
            server.startup();
        } catch (RuntimeException e) {
            server.shutdown();
            throw new IOException(
                    "the embedded Kafka broker did not start on port " + listen + " with data in " + dir + ": "
                            + e.getMessage(),
                    e);
        }
        return new EmbeddedKafka(server, listen);
    }

    /** What clients give as {@code bootstrap.servers}. */
    public String bootstrapServers() {
        return "localhost:" + port;
    }

    @Override
    public void close() {
        server.shutdown();
        server.awaitShutdown();
    }
}
