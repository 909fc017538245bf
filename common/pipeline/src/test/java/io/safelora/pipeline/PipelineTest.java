package io.safelora.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.safelora.contract.Topics;
import io.safelora.testkit.EmbeddedKafka;
import io.safelora.testkit.PlainUser;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The pipeline against a real broker, with a small real stage. The lock lasts 3 seconds, so that tasks outlast it. */
@Timeout(value = 3, unit = TimeUnit.MINUTES)
class PipelineTest {
    @TempDir
    static Path dir;

    static EmbeddedKafka kafka;

    final MeterRegistry registry = new SimpleMeterRegistry();
    final List<Worker> workers = new ArrayList<>();
    final String id = "job-" + UUID.randomUUID();
    DigestStage stage = new DigestStage();
    PlainUser client;

    @BeforeAll
    static void startKafka() throws IOException {
        kafka = EmbeddedKafka.start(dir.resolve("kafka"), 0, Map.of("group.share.min.record.lock.duration.ms", "1000"));
    }

    @AfterAll
    static void stopKafka() {
        kafka.close();
    }

    @BeforeEach
    void connect() {
        client = new PlainUser(kafka.bootstrapServers());
    }

    @AfterEach
    void stop() throws Exception {
        for (Worker worker : workers) {
            worker.close();
        }
        client.close();
    }

    Worker start() {
        Worker worker = new Worker(kafka.bootstrapServers(), dir, registry, stage);
        workers.add(worker);
        return worker;
    }

    /**
     * A counter's value in the end: a task is counted after its answer can be read, and a worker that is closed is
     * done.
     */
    double counted(String name, String... tags) throws Exception {
        for (Worker worker : workers) {
            worker.close();
        }
        workers.clear();
        return registry.get(name).tags(tags).counter().count();
    }

    /** A job whose base is a new file, so that no other test has its result. */
    String job() throws IOException {
        Path base = Files.writeString(
                Files.createTempFile(dir, "base", ".txt"), UUID.randomUUID().toString());
        return job(base.toUri().toString());
    }

    static String job(String base) {
        return "{\"base\": \"" + base + "\", \"aligned\": \"" + base + "\", \"adapter\": \"" + base + "\"}";
    }

    List<ConsumerRecord<String, String>> answers(int n) {
        return client.await(Topics.ALIGNMENTS, n, r -> r.key().equals(id));
    }

    @Test
    void aJobOfAPlainClientRunsAndItsAnswerIsACloudEvent() throws Exception {
        start();
        String trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        client.send(Topics.JOBS, id, job(), Map.of("traceparent", trace));
        ConsumerRecord<String, String> answer = answers(1).get(0);
        assertThat(PlainUser.header(answer, "ce_specversion")).isEqualTo("1.0");
        assertThat(PlainUser.header(answer, "ce_type")).isEqualTo("io.safelora.alignment.analyzed.v1");
        assertThat(PlainUser.header(answer, "ce_subject")).isEqualTo(id);
        assertThat(PlainUser.header(answer, "ce_source")).isEqualTo("/safelora/digest");
        assertThat(PlainUser.header(answer, "ce_id")).isNotBlank();
        assertThat(PlainUser.header(answer, "ce_time")).isNotBlank();
        assertThat(PlainUser.header(answer, "content-type")).isEqualTo("application/json");
        assertThat(PlainUser.header(answer, "traceparent")).isEqualTo(trace);
        assertThat(client.status(id, "RUNNING").value()).contains("\"stage\":\"digest\"");
        assertThat(counted("safelora.tasks", "stage", "digest", "outcome", "succeeded"))
                .isEqualTo(1);
        assertThat(dir.resolve("scratch")).isEmptyDirectory();
    }

    @Test
    void aJobWithoutKeyIsNamedByItsRequest() throws Exception {
        start();
        String job = job();
        client.submit(null, job);
        client.submit(null, job);
        String marker = job.substring(job.indexOf("file:"), job.indexOf(".txt"));
        var answers = client.await(Topics.ALIGNMENTS, 2, r -> r.value().contains(marker));
        assertThat(answers.get(0).key())
                .matches("job-[0-9a-f]{32}")
                .isEqualTo(answers.get(1).key());
    }

    @Test
    void theSameEventTwiceIsAnsweredFromTheManifest() throws Exception {
        start();
        String job = job();
        client.submit(id, job);
        client.submit(id, job);
        var answers = answers(2);
        assertThat(answers.get(0).value()).isEqualTo(answers.get(1).value());
        // The same event again, by CloudEvents' rule: source and id.
        assertThat(PlainUser.header(answers.get(0), "ce_id")).isEqualTo(PlainUser.header(answers.get(1), "ce_id"));
        assertThat(stage.runs).hasValue(1);
        assertThat(counted("safelora.results.reused")).isEqualTo(1);
    }

    @Test
    void anInvalidJobFailsWithTheFieldsNameAndIsDeadLettered() throws Exception {
        start();
        client.submit(id, "{\"base\": \"s3://a/b\", \"aligned\": \"s3://a/c\", \"adapterr\": \"s3://a/d\"}");
        assertThat(client.status(id, "FAILED").value()).contains("adapterr: is not a field of a job request");
        ConsumerRecord<String, String> letter =
                client.await(Topics.DEAD_LETTERS, 1, r -> id.equals(r.key())).get(0);
        assertThat(letter.value()).contains("adapterr");
        assertThat(PlainUser.header(letter, "dead-letter-reason")).contains("adapterr");
        assertThat(PlainUser.header(letter, "dead-letter-topic")).isEqualTo(Topics.JOBS);
        assertThat(counted("safelora.dead.letters")).isEqualTo(1);
    }

    @Test
    void aHostileJobIdIsRefused() throws Exception {
        start();
        String job = job();
        String marker = job.substring(job.indexOf("file:"), job.indexOf(".txt"));
        client.submit("../../etc/passwd\n", job);
        var letter = client.await(Topics.DEAD_LETTERS, 1, r -> r.value().contains(marker))
                .get(0);
        assertThat(PlainUser.header(letter, "dead-letter-reason"))
                .isEqualTo("the job id \"../../etc/passwd?\" is refused; it must be 1 to 128 of A-Z a-z 0-9 . _ -");
        // Its producer finds it by these, and no job of another name is made up for it.
        assertThat(PlainUser.header(letter, "dead-letter-topic")).isEqualTo(Topics.JOBS);
        assertThat(PlainUser.header(letter, "dead-letter-partition")).isEqualTo("0");
        assertThat(PlainUser.header(letter, "dead-letter-offset")).matches("\\d+");
        assertThat(client.all(
                        Topics.JOB_STATUS,
                        r -> r.value().contains("passwd") || r.key().contains("passwd")))
                .isEmpty();
        assertThat(stage.runs).hasValue(0);
    }

    @Test
    void aMissingArtifactFailsAtOnce() throws Exception {
        start();
        client.submit(id, job(dir.resolve("no-such-file").toUri().toString()));
        assertThat(client.status(id, "FAILED").value()).contains("no-such-file");
        assertThat(counted("safelora.task.retries")).isZero();
    }

    @Test
    void aTransientFailureIsRetried() throws Exception {
        stage.onAttempt = n -> {
            if (n < 3) {
                throw new IOException("the store is away");
            }
        };
        start();
        client.submit(id, job());
        answers(1);
        assertThat(counted("safelora.task.retries")).isEqualTo(2);
    }

    /** A library's own IllegalArgumentException says nothing of the user's input. */
    @Test
    void onlyWrongInputFailsAtOnce() throws Exception {
        stage.onAttempt = n -> {
            if (n < 2) {
                throw new IllegalArgumentException("comparison method violates its general contract");
            }
        };
        start();
        client.submit(id, job());
        answers(1);
        assertThat(counted("safelora.task.retries")).isEqualTo(1);
    }

    @Test
    void aFailureThatStaysIsPermanentInTheEnd() throws Exception {
        stage.onAttempt = n -> {
            throw new IOException("the store is away");
        };
        start();
        client.submit(id, job());
        assertThat(client.status(id, "FAILED").value())
                .contains("failed 3 times, the last time with IOException: the store is away");
        client.await(Topics.DEAD_LETTERS, 1, r -> id.equals(r.key()));
    }

    @Test
    void tasksThatOutlastTheLockRunOnceEachSideBySideOnOnePartition() throws Exception {
        stage.millis = 10_000;
        start();
        start();
        start();
        for (int i = 0; i < 3; i++) {
            client.submit(id + "-" + i, job());
        }
        client.await(Topics.ALIGNMENTS, 3, r -> r.key().startsWith(id));
        // Longer than the lock: a record that was not acknowledged would come again.
        Thread.sleep(4_000);
        assertThat(client.all(Topics.ALIGNMENTS, r -> r.key().startsWith(id))).hasSize(3);
        assertThat(stage.runs).hasValue(3);
        assertThat(stage.mostRunning).hasValue(3);
        assertThat(counted("safelora.tasks", "outcome", "released")).isZero();
        var progress = client.all(
                Topics.JOB_STATUS, r -> r.key().startsWith(id) && r.value().contains("digesting"));
        // 10 s at one status in 2 s, three times.
        assertThat(progress).hasSizeBetween(9, 18);
    }

    @Test
    void aRunningTaskStopsWhenItsJobIsCancelledAndALaterEventIsDropped() throws Exception {
        stage.millis = 60_000;
        start();
        String job = job();
        client.submit(id, job);
        client.await(Topics.JOB_STATUS, 1, r -> r.key().equals(id) && r.value().contains("digesting"));
        client.send(Topics.CONTROLS, id, "{\"reason\": \"not needed\"}", Map.of());
        client.status(id, "CANCELLED");
        client.submit(id, job);
        client.await(Topics.JOB_STATUS, 2, r -> r.key().equals(id) && r.value().contains("CANCELLED"));
        assertThat(stage.runs).hasValue(1);
        assertThat(client.all(Topics.ALIGNMENTS, r -> r.key().equals(id))).isEmpty();
    }

    @Test
    void aReplicaThatStartsLaterKnowsOfTheCancellation() throws Exception {
        start().close();
        workers.clear();
        client.send(Topics.CONTROLS, id, "{}", Map.of());
        client.submit(id, job());
        start();
        client.status(id, "CANCELLED");
        assertThat(stage.runs).hasValue(0);
    }

    @Test
    void aTaskOfAClosedWorkerIsDoneByAnother() throws Exception {
        stage.millis = 60_000;
        Worker first = start();
        client.submit(id, job());
        client.await(Topics.JOB_STATUS, 1, r -> r.key().equals(id) && r.value().contains("digesting"));
        stage.millis = 0;
        start();
        first.close();
        workers.remove(first);
        answers(1);
    }

    @Test
    void theTaskOfAKilledWorkerGoesToAnother() throws Exception {
        Process worker = new ProcessBuilder(
                        System.getProperty("java.home") + File.separator + "bin" + File.separator + "java",
                        "-cp",
                        System.getProperty("java.class.path"),
                        Worker.Killed.class.getName(),
                        kafka.bootstrapServers(),
                        dir.toString())
                .redirectErrorStream(true)
                .redirectOutput(dir.resolve("killed-worker.log").toFile())
                .start();
        try {
            start().close();
            workers.clear();
            client.submit(id, job());
            client.await(
                    Topics.JOB_STATUS, 1, r -> r.key().equals(id) && r.value().contains("digesting"));
        } finally {
            worker.destroyForcibly().waitFor();
        }
        long killed = System.nanoTime();
        start();
        answers(1);
        assertThat((System.nanoTime() - killed) / 1e9).isLessThan(30);
        assertThat(stage.runs).hasValue(1);
        assertThat(stage.resumedFrom)
                .as("what the killed worker had saved last")
                .isEqualTo("second");
        try (var left = Files.walk(dir.resolve("artifacts/checkpoints"))) {
            assertThat(left.filter(Files::isRegularFile))
                    .as("gone with the result")
                    .isEmpty();
        }
    }

    @Test
    void anEventThatIsNoneIsRefusedAndTheWorkerLives() throws Exception {
        AtomicInteger sent = new AtomicInteger();
        Worker worker = start();
        for (String value : new String[] {"", "[", "{}", "null", "\"x\"", "a: &a [*a]", "\u0000"}) {
            client.submit(id + "-" + sent.incrementAndGet(), value);
        }
        client.send(Topics.JOBS, id + "-" + sent.incrementAndGet(), job(), Map.of("ce_type", "io.safelora.nothing.v9"));
        for (int i = 1; i <= sent.get(); i++) {
            client.status(id + "-" + i, "FAILED");
        }
        client.submit(id, job());
        answers(1);
        assertThat(worker.pipeline.dead()).isEmpty();
    }
}
