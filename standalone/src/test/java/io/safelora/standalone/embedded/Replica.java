package io.safelora.standalone.embedded;

import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.safelora.analyzer.AnalyzePartStage;
import io.safelora.analyzer.AnalyzeStage;
import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.AlignmentPartRequested;
import io.safelora.pipeline.Cancellations;
import io.safelora.pipeline.Pipeline;
import io.safelora.pipeline.PipelineConfig;
import io.safelora.pipeline.Publisher;
import io.safelora.pipeline.Stage;
import io.safelora.pipeline.Workspace;
import io.safelora.trainer.TrainStage;
import io.smallrye.config.SmallRyeConfigBuilder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** One replica of a service, without Quarkus. */
final class Replica implements AutoCloseable {
    final SimpleMeterRegistry registry = new SimpleMeterRegistry();
    private final KafkaProducer<String, byte[]> producer;
    private final Pipeline pipeline;

    /** @param stages the service's, which count into the registry */
    Replica(String bootstrap, PipelineConfig config, Function<MeterRegistry, List<Stage<?>>> stages) {
        Map<String, Object> kafka = Map.of("bootstrap.servers", bootstrap);
        producer = new KafkaProducer<>(kafka, new StringSerializer(), new ByteArraySerializer());
        pipeline =
                new Pipeline(stages.apply(registry), kafka, config, publisher(producer), new Cancellations(), registry);
    }

    static Publisher publisher(KafkaProducer<String, byte[]> producer) {
        return new Publisher(record -> {
            CompletableFuture<Void> sent = new CompletableFuture<>();
            producer.send(record, (metadata, error) -> {
                if (error == null) {
                    sent.complete(null);
                } else {
                    sent.completeExceptionally(error);
                }
            });
            return sent;
        });
    }

    static Replica ofAnalyzer(String bootstrap, PipelineConfig config, long partElements, Stage<?> parts) {
        return new Replica(bootstrap, config, registry -> List.of(new AnalyzeStage(partElements), parts));
    }

    static Replica ofTrainer(String bootstrap, PipelineConfig config) {
        return new Replica(bootstrap, config, registry -> List.of(new TrainStage(registry)));
    }

    static PipelineConfig config(String s3Endpoint, String artifacts, Path dir) {
        return new SmallRyeConfigBuilder()
                .withMapping(PipelineConfig.class)
                .withDefaultValue("safelora.artifacts-uri", artifacts)
                .withDefaultValue("safelora.s3.endpoint", s3Endpoint)
                .withDefaultValue("safelora.s3.access-key", EmbeddedS3.ACCESS_KEY)
                .withDefaultValue("safelora.s3.secret-key", EmbeddedS3.SECRET_KEY)
                .withDefaultValue("safelora.scratch-dir", dir.resolve("scratch").toString())
                .withDefaultValue("safelora.cache-dir", dir.resolve("cache").toString())
                .withDefaultValue("safelora.task.lock", "PT3S")
                .withDefaultValue("safelora.topics.partitions", "1")
                .addDefaultInterceptors()
                .build()
                .getConfigMapping(PipelineConfig.class);
    }

    double succeeded() {
        return registry.get("safelora.tasks")
                .tags("outcome", "succeeded")
                .counter()
                .count();
    }

    @Override
    public void close() {
        pipeline.close();
        producer.close();
    }

    /** A replica of the analyzer in a process of its own, which makes one part, tells so by a file, and hangs in the midst of its second. */
    static final class Killed {
        public static void main(String[] args) throws Exception {
            Path dir = Path.of(args[3]);
            ofAnalyzer(args[0], config(args[1], args[2], dir), Long.parseLong(args[4]), new HangsInSecondPart(dir));
            Thread.sleep(600_000);
        }
    }

    /** A replica of the trainer in a process of its own. */
    static final class Trainer {
        public static void main(String[] args) throws Exception {
            ofTrainer(args[0], config(args[1], args[2], Path.of(args[3])));
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
