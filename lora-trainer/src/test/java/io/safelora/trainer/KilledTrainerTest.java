package io.safelora.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.JobDocument;
import io.safelora.contract.JobEvent.AdapterTrained;
import io.safelora.contract.JobEvent.JobStatus;
import io.safelora.contract.JobEvent.LayersSelected;
import io.safelora.contract.JobEvent.LayersSelected.Projection;
import io.safelora.contract.JobEvent.TrainingStep;
import io.safelora.contract.Json;
import io.safelora.contract.Topics;
import io.safelora.pipeline.Pipeline;
import io.safelora.pipeline.PipelineConfig;
import io.safelora.pipeline.Publisher;
import io.safelora.testkit.EmbeddedKafka;
import io.safelora.testkit.EmbeddedS3;
import io.safelora.testkit.PlainClients;
import io.safelora.testkit.Records;
import io.safelora.training.TrainerState;
import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Trainings whose worker is killed again and again, over a real broker, and with their checkpoints in a real S3 server.
 */
@Timeout(value = 5, unit = TimeUnit.MINUTES)
class KilledTrainerTest {
    private static final int STEPS = 500;

    /** A tiny Llama of random weights, made by transformers, and rows to train on. */
    private static final Path FIXTURES = Path.of("../common/training/src/test/resources/peft");

    @TempDir
    static Path dir;

    static EmbeddedKafka kafka;
    static EmbeddedS3 s3;

    @BeforeAll
    static void start() throws Exception {
        kafka = EmbeddedKafka.start(dir.resolve("kafka"), 0, Map.of("group.share.min.record.lock.duration.ms", "1000"));
        s3 = EmbeddedS3.start(dir.resolve("s3"), 0, "safelora");
        try (ArtifactStore store = store("none");
                Stream<Path> files = Files.list(FIXTURES.resolve("model"))) {
            for (Path file : files.toList()) {
                store.put("s3://safelora/model/" + file.getFileName(), file);
            }
            store.put("s3://safelora/rows.jsonl", FIXTURES.resolve("rows.jsonl"));
        }
    }

    @AfterAll
    static void stop() {
        s3.close();
        kafka.close();
    }

    @Test
    void itEndsWithTheBytesOfAnUndisturbedOneAndTellsHowFarItIs() throws Exception {
        ArtifactRef whole;
        try (Replica replica = new Replica(kafka.bootstrapServers(), config("whole"))) {
            submit("whole");
            whole = awaitAdapter("whole");
            metricsAndStatusesAreThoseOf(replica, whole);
        }

        long seed = System.nanoTime();
        Random random = new Random(seed);
        submit("killed");
        int kills = 0;
        for (int tries = 0; tries < 2; tries++) {
            Process child = child();
            try {
                // Not before it has saved something new; then at any moment of computing or uploading.
                FileTime before = checkpointed();
                long end = System.nanoTime() + Duration.ofMinutes(2).toNanos();
                for (FileTime now = before; now == null || now.equals(before); now = checkpointed()) {
                    assertThat(child.isAlive() && System.nanoTime() < end)
                            .as(Files.readString(dir.resolve("log")))
                            .isTrue();
                    Thread.sleep(5);
                }
                Thread.sleep(random.nextInt(400));
            } finally {
                child.destroyForcibly().waitFor(); // SIGKILL
            }
            kills += adapters("killed").isEmpty() ? 1 : 0;
        }
        assertThat(kills).isPositive();
        Process child = child();
        try {
            ArtifactRef resumed = awaitAdapter("killed");
            assertThat(statuses("killed"))
                    .extracting(JobStatus::message)
                    .as("seed %s, %s kills", seed, kills)
                    .anyMatch(message -> message != null && message.contains("resumed after step"));
            try (ArtifactStore one = store("whole");
                    ArtifactStore other = store("killed")) {
                for (String file : List.of(
                        "adapter_model.safetensors", "adapter_config.json", "trainer_state.json", "README.md")) {
                    assertThat(other.read(resumed, file, 10_000_000))
                            .as("%s, seed %s, %s kills", file, seed, kills)
                            .isEqualTo(one.read(whole, file, 10_000_000));
                }
            }
            assertThat(checkpointed())
                    .as("a checkpoint that nobody needs any more")
                    .isNull();
        } finally {
            child.destroyForcibly().waitFor();
        }
    }

    private static void metricsAndStatusesAreThoseOf(Replica replica, ArtifactRef adapter) throws Exception {
        TrainerState state;
        try (ArtifactStore store = store("whole")) {
            state = Json.MAPPER.readValue(store.read(adapter, "trainer_state.json", 10_000_000), TrainerState.class);
        }
        assertThat(replica.registry.get("safelora.training.steps").counter().count())
                .isEqualTo(STEPS);
        assertThat(gauge(replica, "loss")).as("of no training").isNaN();

        List<JobStatus> told =
                statuses("whole").stream().filter(s -> s.training() != null).toList();
        assertThat(told).isNotEmpty();
        for (int i = 0; i < told.size(); i++) {
            TrainingStep step = told.get(i).training();
            TrainerState.Entry entry = state.logHistory().get(step.step() - 1);
            assertThat(step.maxSteps()).isEqualTo(STEPS);
            assertThat(step.loss()).isCloseTo(entry.loss(), within(1e-9));
            assertThat(step.learningRate()).isEqualTo(entry.learningRate());
            assertThat(step.tokensPerSecond()).isPositive();
            if (i > 0) {
                assertThat(Duration.between(told.get(i - 1).at(), told.get(i).at()))
                        .isGreaterThanOrEqualTo(Duration.ofMillis(1950));
            }
        }
    }

    private static List<JobStatus> statuses(String job) throws IOException {
        List<JobStatus> statuses = new ArrayList<>();
        for (ConsumerRecord<String, String> status : records(Topics.JOB_STATUS, job)) {
            statuses.add(Json.MAPPER.readValue(status.value(), JobStatus.class));
        }
        return statuses;
    }

    private static double gauge(Replica replica, String name) {
        return replica.registry.get("safelora.training." + name).gauge().value();
    }

    private static Process child() throws IOException {
        return new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-XX:TieredStopAtLevel=1",
                        "-XX:+UseSerialGC",
                        "-cp",
                        System.getProperty("java.class.path"),
                        Replica.Killed.class.getName(),
                        kafka.bootstrapServers(),
                        s3.endpoint().toString(),
                        "s3://safelora/killed",
                        dir.resolve("child").toString())
                .redirectErrorStream(true)
                .redirectOutput(Redirect.appendTo(dir.resolve("log").toFile()))
                .start();
    }

    /** When the checkpoint in S3 was written, whose buckets are folders; null if there is none. */
    private static FileTime checkpointed() throws IOException {
        Path folder = dir.resolve("s3/safelora/killed/checkpoints/lora-trainer");
        if (!Files.exists(folder)) {
            return null;
        }
        try (Stream<Path> files = Files.list(folder)) {
            Path file = files.findFirst().orElse(null);
            return file == null ? null : Files.getLastModifiedTime(file);
        } catch (NoSuchFileException e) {
            return null; // replaced at this moment
        }
    }

    private static PipelineConfig config(String run) {
        return Replica.config(s3.endpoint().toString(), "s3://safelora/" + run, dir.resolve(run));
    }

    private static ArtifactStore store(String run) {
        return new ArtifactStore(Pipeline.storeSettings(config(run)));
    }

    private static void submit(String job) throws Exception {
        ArtifactRef none = new ArtifactRef("s3://safelora/none", "0".repeat(64), 0);
        LayersSelected event =
                new LayersSelected(JobDocument.parse("""
                base: s3://safelora/model
                aligned: s3://safelora/model
                training: {data: "s3://safelora/rows.jsonl", r: 4, lora_dropout: 0.1, max_steps: %d, save_steps: 10,
                           learning_rate: 1.0e-3,
                           per_device_train_batch_size: 2, gradient_accumulation_steps: 1}
                selection: {strategy: number, number: 5}
                dtype: float32
                """.formatted(STEPS)), none, none, Projection.deferred, null);
        try (PlainClients clients = new PlainClients(kafka.bootstrapServers(), control -> {})) {
            new Publisher(clients::send).publish(job, "layer-selector", event, Map.of());
        }
    }

    private static List<ConsumerRecord<String, String>> adapters(String job) {
        return records(Topics.ADAPTERS, job);
    }

    private static ArtifactRef awaitAdapter(String job) throws Exception {
        long end = System.nanoTime() + Duration.ofMinutes(2).toNanos();
        while (adapters(job).isEmpty()) {
            assertThat(System.nanoTime())
                    .as(
                            "no adapter; statuses: %s",
                            records(Topics.JOB_STATUS, job).stream()
                                    .map(ConsumerRecord::value)
                                    .toList())
                    .isLessThan(end);
            Thread.sleep(200);
        }
        return Json.MAPPER
                .readValue(adapters(job).get(0).value(), AdapterTrained.class)
                .adapter();
    }

    private static List<ConsumerRecord<String, String>> records(String topic, String job) {
        return Records.of(kafka.bootstrapServers(), topic, job);
    }
}
