package io.safelora.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.safelora.artifacts.store.StoreSettings;
import io.safelora.contract.Topics;
import io.safelora.testkit.PlainUser;
import io.safelora.testkit.Settings;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A whole worker: its start, one job, its end. */
@Timeout(value = 2, unit = TimeUnit.MINUTES)
class WorkerTest {
    @TempDir
    Path dir;

    private static String job(Path base) {
        String uri = base.toUri().toString();
        return "{\"base\": \"" + uri + "\", \"aligned\": \"" + uri + "\", \"adapter\": \"" + uri + "\"}";
    }

    @Test
    void itPreparesTakesAJobAndEnds() throws Exception {
        String id = "job-" + UUID.randomUUID();
        String cancelled = "job-" + UUID.randomUUID();
        DigestStage stage = new DigestStage();
        Path base = Files.writeString(dir.resolve("base"), id);
        Worker worker = new Worker(SharedKafka.bootstrapServers(), dir, new SimpleMeterRegistry(), stage);
        try (PlainUser user = new PlainUser(SharedKafka.bootstrapServers())) {
            assertThat(worker.pipeline.dead()).isEmpty();
            user.submit(id, job(base));
            assertThat(user.await(Topics.ALIGNMENTS, 1, r -> id.equals(r.key())))
                    .hasSize(1);
            worker.close();
            assertThat(worker.pipeline.dead()).containsExactly("digest");
            // A worker that starts later knows what was cancelled before it takes its first task.
            user.send(Topics.CONTROLS, cancelled, "{}", Map.of());
            user.submit(cancelled, job(base));
            worker = new Worker(SharedKafka.bootstrapServers(), dir, new SimpleMeterRegistry(), stage);
            user.status(cancelled, "CANCELLED");
        } finally {
            worker.close();
        }
        assertThat(stage.runs).hasValue(1);
    }

    @Test
    void topicsMayBeOthersAffair() throws Exception {
        PipelineConfig config = Settings.of(PipelineConfig.class, Map.of("safelora.topics.create", "false"));
        Map<String, Object> nowhere = Map.of("bootstrap.servers", "localhost:1");
        Pipeline.prepare(List.of(new DigestStage()), nowhere, config, Duration.ofSeconds(1));
        Pipeline.prepare(List.of(new DigestStage()), SharedKafka.client(), Worker.config(dir), Duration.ofMinutes(1));
        try (Admin admin = Admin.create(SharedKafka.client())) {
            assertThat(admin.listTopics().names().get()).contains(Topics.JOBS);
        }
    }

    @Test
    void theStoreIsReachedAsConfigured() {
        StoreSettings given = Pipeline.storeSettings(Settings.of(
                PipelineConfig.class,
                Map.of(
                        "safelora.s3.endpoint", "http://localhost:9000",
                        "safelora.s3.region", "eu-central-1",
                        "safelora.s3.access-key", "key",
                        "safelora.s3.secret-key", "secret",
                        "safelora.s3.path-style", "false",
                        "safelora.cache-dir", "/cache",
                        "safelora.files-allowed", "true")));
        assertThat(given)
                .isEqualTo(new StoreSettings(
                        URI.create("http://localhost:9000"),
                        "eu-central-1",
                        "key",
                        "secret",
                        false,
                        Path.of("/cache"),
                        true));
        Path cache = Path.of(System.getProperty("java.io.tmpdir"), "safelora-cache");
        assertThat(Pipeline.storeSettings(Settings.of(PipelineConfig.class, Map.of())))
                .isEqualTo(new StoreSettings(null, null, null, null, true, cache, false));
    }
}
