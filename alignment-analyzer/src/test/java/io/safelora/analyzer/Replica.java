package io.safelora.analyzer;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.AlignmentPartRequested;
import io.safelora.pipeline.Cancellations;
import io.safelora.pipeline.Pipeline;
import io.safelora.pipeline.PipelineConfig;
import io.safelora.pipeline.Publisher;
import io.safelora.pipeline.Stage;
import io.safelora.pipeline.Workspace;
import io.safelora.testkit.PlainClients;
import io.safelora.testkit.Settings;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** One replica of the analyzer, without Quarkus. */
final class Replica implements AutoCloseable {
    private final SimpleMeterRegistry registry = new SimpleMeterRegistry();
    private final PlainClients clients;
    private final Pipeline pipeline;

    /** @param parts the stage that makes parts: the real one, or one that comes to harm */
    Replica(String bootstrapServers, PipelineConfig config, long partElements, Stage<?> parts) {
        Cancellations cancellations = new Cancellations();
        clients = new PlainClients(bootstrapServers, cancellations::accept);
        pipeline = new Pipeline(
                List.of(new AnalyzeStage(partElements), parts),
                Map.of("bootstrap.servers", bootstrapServers),
                config,
                new Publisher(clients::send),
                cancellations,
                registry);
    }

    static PipelineConfig config(String s3Endpoint, String artifactsUri, Path dir) {
        return Settings.ofWorker(PipelineConfig.class, s3Endpoint, artifactsUri, dir);
    }

    double succeeded() {
        return registry.get("safelora.tasks")
                .tags("outcome", "succeeded")
                .counter()
                .count();
    }

    @Override
    public void close() throws Exception {
        pipeline.close();
        clients.close();
    }

    /** In a process of its own: makes one part, tells so by a file, and hangs in the midst of its second. */
    static final class Killed {
        public static void main(String[] args) throws Exception {
            Path dir = Path.of(args[3]);
            new Replica(args[0], config(args[1], args[2], dir), Long.parseLong(args[4]), new HangsInSecondPart(dir));
            Thread.sleep(600_000);
        }
    }

    private static final class HangsInSecondPart implements Stage<AlignmentPartRequested> {
        private final AnalyzePartStage real = new AnalyzePartStage();
        private final Path dir;
        private int parts;

        HangsInSecondPart(Path dir) {
            this.dir = dir;
        }

        @Override
        public String name() {
            return real.name();
        }

        @Override
        public Class<AlignmentPartRequested> input() {
            return real.input();
        }

        @Override
        public JobEvent run(AlignmentPartRequested event, Workspace workspace) throws Exception {
            if (parts++ == 1) {
                Files.writeString(dir.resolve("hangs"), "");
                Thread.sleep(600_000);
            }
            return real.run(event, workspace);
        }
    }
}
