package io.safelora.pipeline;

import io.micrometer.core.instrument.MeterRegistry;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.artifacts.store.StoreSettings;
import io.safelora.contract.Topics;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.errors.InterruptException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The stages of this process at work: all of one name share a worker. */
public final class Pipeline implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Pipeline.class);

    private final ArtifactStore store;
    /** By stage. */
    private final Map<String, WorkQueue> queues = new LinkedHashMap<>();

    /**
     * Connects, prepares topics and groups, and starts working.
     *
     * @param kafka properties of the Kafka clients: {@code bootstrap.servers} and the rest
     * @param cancellations is given the records of safelora.controls by the caller, who goes on to do so
     * @throws org.apache.kafka.common.KafkaException if Kafka does not answer
     */
    public Pipeline(
            List<Stage<?>> stages,
            Map<String, Object> kafka,
            PipelineConfig config,
            Publisher publisher,
            Cancellations cancellations,
            MeterRegistry registry) {
        Map<String, List<Stage<?>>> byName = new LinkedHashMap<>();
        stages.forEach(stage ->
                byName.computeIfAbsent(stage.name(), n -> new ArrayList<>()).add(stage));
        prepare(stages, kafka, config, Duration.ofMinutes(1));
        try {
            cancellations.awaitRead(KafkaSetup.ends(kafka, Topics.CONTROLS), Duration.ofSeconds(30));
        } catch (InterruptedException e) {
            throw new InterruptException(e);
        }
        store = new ArtifactStore(storeSettings(config));
        byName.forEach((name, ofName) -> {
            StageRunner runner = new StageRunner(name, ofName, config, store, publisher, cancellations, registry);
            queues.put(name, new WorkQueue(kafka, StageRunner.group(name), runner.topics(), runner));
        });
        queues.values().forEach(WorkQueue::start);
        LOG.info("working: {}", byName.keySet());
    }

    /**
     * Makes missing topics and sets the groups' options, unless the configuration leaves that to others.
     *
     * @throws org.apache.kafka.common.KafkaException if Kafka does not answer within {@code patience}
     */
    public static void prepare(
            List<Stage<?>> stages, Map<String, Object> kafka, PipelineConfig config, Duration patience) {
        if (config.topics().create()) {
            KafkaSetup.prepare(
                    kafka,
                    config,
                    stages.stream()
                            .map(Stage::name)
                            .distinct()
                            .map(StageRunner::group)
                            .toList(),
                    patience);
        }
    }

    /** How the artifact store is reached, by configuration. */
    public static StoreSettings storeSettings(PipelineConfig config) {
        return new StoreSettings(
                config.s3().endpoint().orElse(null),
                config.s3().region().orElse(null),
                config.s3().accessKey().orElse(null),
                config.s3().secretKey().orElse(null),
                config.s3().pathStyle(),
                config.cacheDir().orElse(Path.of(System.getProperty("java.io.tmpdir"), "safelora-cache")),
                config.filesAllowed());
    }

    /** The names of the stages whose worker has ended; empty when all is well. */
    public List<String> dead() {
        return queues.keySet().stream()
                .filter(name -> !queues.get(name).isAlive())
                .toList();
    }

    /** Stops: running tasks end at their next check and are released to other workers. */
    @Override
    public void close() {
        // First ask all, then wait for each: a task may need a while to notice.
        queues.values().forEach(WorkQueue::stop);
        queues.values().forEach(WorkQueue::close);
        store.close();
    }
}
