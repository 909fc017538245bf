package io.safelora.pipeline;

import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.safelora.testkit.PlainClients;
import io.safelora.testkit.Settings;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** A process that works on stages, without Quarkus. The lock lasts 3 seconds, so that tasks outlast it. */
final class Worker implements AutoCloseable {
    final Pipeline pipeline;
    private final PlainClients clients;

    Worker(String bootstrapServers, Path dir, MeterRegistry registry, Stage<?>... stages) {
        Cancellations cancellations = new Cancellations();
        clients = new PlainClients(bootstrapServers, cancellations::accept);
        pipeline = new Pipeline(
                List.of(stages),
                Map.of("bootstrap.servers", bootstrapServers),
                config(dir),
                new Publisher(clients::send),
                cancellations,
                registry);
    }

    static PipelineConfig config(Path dir) {
        return Settings.of(
                PipelineConfig.class,
                Map.of(
                        "safelora.artifacts-uri",
                                dir.resolve("artifacts").toUri().toString(),
                        "safelora.scratch-dir", dir.resolve("scratch").toString(),
                        "safelora.cache-dir", dir.resolve("cache").toString(),
                        "safelora.files-allowed", "true",
                        "safelora.task.lock", "PT3S",
                        "safelora.task.backoff", "PT0.2S",
                        "safelora.task.attempts", "3",
                        "safelora.topics.partitions", "1"));
    }

    @Override
    public void close() throws Exception {
        pipeline.close();
        clients.close();
    }

    /** In a process of its own, so that a test can kill it in the midst of a task that takes ten minutes. */
    static final class Killed {
        public static void main(String[] args) throws Exception {
            DigestStage stage = new DigestStage();
            stage.millis = 600_000;
            new Worker(args[0], Path.of(args[1]), new SimpleMeterRegistry(), stage);
            Thread.sleep(600_000);
        }
    }
}
