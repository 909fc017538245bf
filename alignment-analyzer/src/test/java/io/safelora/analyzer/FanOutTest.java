package io.safelora.analyzer;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.JobEvent.AlignmentAnalyzed;
import io.safelora.contract.Json;
import io.safelora.contract.Topics;
import io.safelora.method.AlignmentAnalysis;
import io.safelora.method.Progress;
import io.safelora.pipeline.Pipeline;
import io.safelora.pipeline.PipelineConfig;
import io.safelora.testkit.EmbeddedKafka;
import io.safelora.testkit.EmbeddedS3;
import io.safelora.testkit.Records;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The analyzer's parts, over a real broker and a real S3 server. */
@Timeout(value = 5, unit = TimeUnit.MINUTES)
class FanOutTest {
    /** The model's 14 modules make ten parts of it. */
    private static final long PART = 1_500;

    /** A tiny Llama of random weights, made by transformers, and rows to train on. */
    private static final Path FIXTURES = Path.of("../common/training/src/test/resources/peft");

    private static final long WHOLE = Long.MAX_VALUE;

    @TempDir
    static Path dir;

    static EmbeddedKafka kafka;
    static EmbeddedS3 s3;
    static byte[] expected;

    @BeforeAll
    static void start() throws Exception {
        kafka = EmbeddedKafka.start(dir.resolve("kafka"), 0, Map.of("group.share.min.record.lock.duration.ms", "1000"));
        s3 = EmbeddedS3.start(dir.resolve("s3"), 0, "safelora");
        Path models = dir.resolve("models");
        try (ArtifactStore store = store("none");
                Stream<Path> files = Files.list(FIXTURES.resolve("model"))) {
            for (Path file : files.toList()) {
                byte[] bytes = Files.readAllBytes(file);
                String name = file.getFileName().toString();
                put(store, models, "aligned/" + name, bytes);
                put(store, models, "base/" + name, name.endsWith(".safetensors") ? otherWeights(bytes) : bytes);
            }
            put(store, models, "rows.jsonl", Files.readAllBytes(FIXTURES.resolve("rows.jsonl")));
        }
        expected = Json.pretty(AlignmentAnalysis.run(
                Checkpoint.open(models.resolve("base")), Checkpoint.open(models.resolve("aligned")), Progress.NONE));
    }

    private static void put(ArtifactStore store, Path models, String name, byte[] bytes) throws IOException {
        Files.createDirectories(models.resolve(name).getParent());
        Files.write(models.resolve(name), bytes);
        store.put("s3://safelora/models/" + name, bytes);
    }

    /** A bfloat16 checkpoint with the last bits of its weights changed. */
    private static byte[] otherWeights(byte[] safetensors) {
        byte[] other = safetensors.clone();
        int data =
                8 + ByteBuffer.wrap(safetensors).order(ByteOrder.LITTLE_ENDIAN).getInt();
        Random random = new Random(1);
        for (int at = data; at < other.length; at += 2) {
            other[at] ^= (byte) random.nextInt(16);
        }
        return other;
    }

    @AfterAll
    static void stop() {
        s3.close();
        kafka.close();
    }

    @Test
    void theSameBytesWhateverTheNumberOfReplicas() throws Exception {
        try (Replica replica = replica("whole", WHOLE)) {
            assertThat(alignment("whole", "whole-1")).isEqualTo(expected);
            replica.close(); // a task is counted after its answer can be read
            assertThat(replica.succeeded()).isEqualTo(1);
        }
        try (Replica replica = replica("one", PART)) {
            assertThat(alignment("one", "one-1")).isEqualTo(expected);
        }
        try (Replica first = replica("three", PART);
                Replica second = replica("three", PART);
                Replica third = replica("three", PART)) {
            assertThat(alignment("three", "three-1")).isEqualTo(expected);
            // The last part's task may not have been counted yet when its answer is read.
            assertThat(first.succeeded() + second.succeeded() + third.succeeded())
                    .isGreaterThanOrEqualTo(10);
            // The same job again is answered from the store, in one task.
            assertThat(alignment("three", "three-2")).isEqualTo(expected);
        }
        assertThat(records(Topics.ALIGNMENT_PARTS, "three-1")).hasSizeGreaterThan(5);
        assertThat(records(Topics.ALIGNMENT_PARTS, "three-2")).isEmpty();
        assertThat(records(Topics.ALIGNMENT_PARTS, "whole-1")).isEmpty();
    }

    @Test
    void twoJobsOnTheSameModelsAtOnceAreBothAnswered() throws Exception {
        submit("both-1");
        submit("both-2");
        try (Replica first = replica("both", PART);
                Replica second = replica("both", PART)) {
            assertThat(read("both", awaitAnswer("both-1"))).isEqualTo(expected);
            assertThat(read("both", awaitAnswer("both-2"))).isEqualTo(expected);
        }
    }

    @Test
    void thePartsOfAKilledReplicaGoToOthers() throws Exception {
        Process killed = new ProcessBuilder(
                        System.getProperty("java.home") + File.separator + "bin" + File.separator + "java",
                        "-cp",
                        System.getProperty("java.class.path"),
                        Replica.Killed.class.getName(),
                        kafka.bootstrapServers(),
                        s3.endpoint().toString(),
                        "s3://safelora/killed",
                        dir.toString(),
                        String.valueOf(PART))
                .redirectErrorStream(true)
                .redirectOutput(dir.resolve("killed.log").toFile())
                .start();
        try {
            submit("killed-1");
            long end = System.nanoTime() + Duration.ofMinutes(2).toNanos();
            while (!Files.exists(dir.resolve("hangs"))) {
                assertThat(killed.isAlive() && System.nanoTime() < end)
                        .as(Files.readString(dir.resolve("killed.log")))
                        .isTrue();
                Thread.sleep(100);
            }
        } finally {
            killed.destroyForcibly().waitFor();
        }
        assertThat(records(Topics.ALIGNMENTS, "killed-1")).isEmpty();
        try (Replica first = replica("killed", PART);
                Replica second = replica("killed", PART)) {
            assertThat(read("killed", awaitAnswer("killed-1"))).isEqualTo(expected);
        }
    }

    private static Replica replica(String run, long partElements) {
        return new Replica(kafka.bootstrapServers(), config(run), partElements, new AnalyzePartStage());
    }

    private static PipelineConfig config(String run) {
        return Replica.config(s3.endpoint().toString(), "s3://safelora/" + run, dir);
    }

    private static ArtifactStore store(String run) {
        return new ArtifactStore(Pipeline.storeSettings(config(run)));
    }

    private static byte[] alignment(String run, String job) throws Exception {
        submit(job);
        return read(run, awaitAnswer(job));
    }

    private static byte[] read(String run, ArtifactRef alignment) throws Exception {
        try (ArtifactStore store = store(run)) {
            return store.read(alignment, "alignment.json", 10_000_000);
        }
    }

    private static void submit(String job) throws Exception {
        String request = "{\"base\": \"s3://safelora/models/base\", \"aligned\": \"s3://safelora/models/aligned\","
                + " \"training\": {\"data\": \"s3://safelora/models/rows.jsonl\"}}";
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(
                Map.of("bootstrap.servers", kafka.bootstrapServers()),
                new StringSerializer(),
                new StringSerializer())) {
            producer.send(new ProducerRecord<>(Topics.JOBS, job, request)).get();
        }
    }

    private static ArtifactRef awaitAnswer(String job) throws Exception {
        long end = System.nanoTime() + Duration.ofMinutes(2).toNanos();
        while (true) {
            List<ConsumerRecord<String, String>> answers = records(Topics.ALIGNMENTS, job);
            if (!answers.isEmpty()) {
                assertThat(answers).hasSize(1);
                return Json.MAPPER
                        .readValue(answers.get(0).value().getBytes(UTF_8), AlignmentAnalyzed.class)
                        .alignment();
            }
            assertThat(System.nanoTime())
                    .as("no answer; statuses: %s", records(Topics.JOB_STATUS, job))
                    .isLessThan(end);
            Thread.sleep(200);
        }
    }

    private static List<ConsumerRecord<String, String>> records(String topic, String job) {
        return Records.of(kafka.bootstrapServers(), topic, job);
    }
}
