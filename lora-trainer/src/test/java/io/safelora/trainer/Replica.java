package io.safelora.trainer;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.safelora.pipeline.Cancellations;
import io.safelora.pipeline.Pipeline;
import io.safelora.pipeline.PipelineConfig;
import io.safelora.pipeline.Publisher;
import io.safelora.testkit.PlainClients;
import io.safelora.testkit.Settings;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** One replica of the trainer, without Quarkus. */
final class Replica implements AutoCloseable {
    final SimpleMeterRegistry registry = new SimpleMeterRegistry();
    final Publisher publisher;
    private final PlainClients clients;
    private final Pipeline pipeline;

    Replica(String bootstrapServers, PipelineConfig config) {
        Cancellations cancellations = new Cancellations();
        clients = new PlainClients(bootstrapServers, cancellations::accept);
        publisher = new Publisher(clients::send);
        pipeline = new Pipeline(
                List.of(new TrainStage(registry)),
                Map.of("bootstrap.servers", bootstrapServers),
                config,
                publisher,
                cancellations,
                registry);
    }

    static PipelineConfig config(String s3Endpoint, String artifactsUri, Path dir) {
        return Settings.ofWorker(PipelineConfig.class, s3Endpoint, artifactsUri, dir);
    }

    @Override
    public void close() throws Exception {
        pipeline.close();
        clients.close();
    }

    /** In a process of its own, so that a test can kill it. */
    static final class Killed {
        public static void main(String[] args) throws Exception {
            new Replica(args[0], config(args[1], args[2], Path.of(args[3])));
            Thread.sleep(600_000);
        }
    }
}
