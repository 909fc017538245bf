package io.safelora.pipeline.quarkus;

import static jakarta.interceptor.Interceptor.Priority.PLATFORM_BEFORE;

import io.micrometer.core.instrument.MeterRegistry;
import io.quarkus.arc.All;
import io.quarkus.runtime.ShutdownEvent;
import io.quarkus.runtime.StartupEvent;
import io.safelora.pipeline.Pipeline;
import io.safelora.pipeline.PipelineConfig;
import io.safelora.pipeline.Stage;
import io.smallrye.common.annotation.Identifier;
import jakarta.annotation.Priority;
import jakarta.enterprise.context.ApplicationScoped;
import jakarta.enterprise.event.Observes;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.KafkaException;
import org.eclipse.microprofile.health.HealthCheck;
import org.eclipse.microprofile.health.HealthCheckResponse;
import org.eclipse.microprofile.health.Liveness;
import org.eclipse.microprofile.health.Readiness;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Sets all {@link Stage} beans of the application to work, and ends them with it. */
@ApplicationScoped
public class PipelineService {
    private static final Logger LOG = LoggerFactory.getLogger(PipelineService.class);
    private static final Duration PAUSE = Duration.ofSeconds(3);
    private static final Duration PATIENCE = Duration.ofSeconds(5);

    private final List<Stage<?>> stages;
    private final Map<String, Object> kafka;
    private final PipelineConfig config;
    private final KafkaChannels channels;
    private final MeterRegistry registry;
    private volatile Pipeline pipeline;
    private volatile boolean stopping;
    private volatile boolean failed;
    private Thread starter;

    PipelineService(
            @All List<Stage<?>> stages,
            @Identifier("default-kafka-broker") Map<String, Object> kafka,
            PipelineConfig config,
            KafkaChannels channels,
            MeterRegistry registry) {
        this.stages = stages;
        this.kafka = kafka;
        this.config = config;
        this.channels = channels;
        this.registry = registry;
    }

    /**
     * Before the channels subscribe, whose clients would warn of every topic that is not there yet. Where Kafka is
     * away, {@link #start} does it later.
     */
    void beforeChannels(@Observes @Priority(PLATFORM_BEFORE) StartupEvent event) {
        try {
            Pipeline.prepare(stages, kafka, config, PATIENCE);
        } catch (KafkaException e) {
            LOG.info("Kafka at {} does not answer yet", kafka.get("bootstrap.servers"));
        }
    }

    /** In the background: a service may come up before Kafka does, and is then not ready yet. */
    void onStart(@Observes StartupEvent event) {
        starter = new Thread(this::start, "safelora-start");
        starter.setDaemon(true);
        starter.start();
    }

    private void start() {
        while (!stopping) {
            try {
                pipeline =
                        new Pipeline(stages, kafka, config, channels.publisher(), channels.cancellations(), registry);
                return;
            } catch (KafkaException e) {
                LOG.warn("Kafka at {} does not answer: {}; trying again", kafka.get("bootstrap.servers"), e.toString());
            } catch (RuntimeException e) {
                // Waiting would not help; liveness tells the orchestrator.
                LOG.error("the stages cannot start", e);
                failed = true;
                return;
            }
            try {
                Thread.sleep(PAUSE.toMillis());
            } catch (InterruptedException e) {
                return;
            }
        }
    }

    void onStop(@Observes ShutdownEvent event) throws InterruptedException {
        stopping = true;
        if (starter != null) {
            starter.interrupt();
            starter.join(PAUSE.toMillis());
        }
        if (pipeline != null) {
            pipeline.close();
        }
    }

    /** A worker that ended does not come back: the process should be restarted. */
    @Liveness
    HealthCheck alive() {
        return () -> {
            Pipeline running = pipeline;
            List<String> dead = running == null ? List.of() : running.dead();
            var response = HealthCheckResponse.named("stages are alive").status(dead.isEmpty() && !failed);
            return dead.isEmpty()
                    ? response.build()
                    : response.withData("ended", String.join(", ", dead)).build();
        };
    }

    /** Whether tasks are taken. That Kafka answers is checked by Quarkus's own Kafka health check. */
    @Readiness
    HealthCheck ready() {
        return () -> HealthCheckResponse.named("stages take tasks")
                .status(pipeline != null)
                .build();
    }
}
