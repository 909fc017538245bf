package io.safelora.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.safelora.artifacts.Sha256;
import io.safelora.contract.InvalidJobException;
import io.safelora.contract.JobDocument;
import io.safelora.contract.JobEvent.EvaluationCompleted;
import io.safelora.contract.JobEvent.JobStatus.State;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.contract.Topics;
import io.safelora.pipeline.JobClient.Submission;
import io.safelora.testkit.EmbeddedKafka;
import io.safelora.testkit.PlainUser;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Ids and the runs they stand for: the client and two small real stages, on a real broker. */
@Timeout(value = 2, unit = TimeUnit.MINUTES)
class JobClientTest {
    private static final String TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    private static final Duration PATIENCE = Duration.ofSeconds(50);

    @TempDir
    static Path dir;

    static EmbeddedKafka kafka;

    final String id = "weekly-" + UUID.randomUUID();
    final DigestStage stage = new DigestStage();
    final List<Worker> workers = new ArrayList<>();
    JobClient user;
    PlainUser topics;

    @BeforeAll
    static void startKafka() throws IOException {
        kafka = EmbeddedKafka.start(dir.resolve("kafka"), 0, Map.of("group.share.min.record.lock.duration.ms", "1000"));
    }

    @AfterAll
    static void stopKafka() {
        kafka.close();
    }

    @BeforeEach
    void start() {
        user = new JobClient(kafka.bootstrapServers());
        topics = new PlainUser(kafka.bootstrapServers());
        startWorker();
    }

    @AfterEach
    void stop() throws Exception {
        stopWorkers();
        topics.close();
    }

    private void startWorker() {
        workers.add(new Worker(kafka.bootstrapServers(), dir, new SimpleMeterRegistry(), stage, new EvaluateStage()));
    }

    private void stopWorkers() throws Exception {
        for (Worker worker : workers) {
            worker.close();
        }
        workers.clear();
    }

    /** A document of its own, and what its job's result says. */
    private record Job(String document, String digest) {
        JobRequest request() {
            return JobDocument.parse(document);
        }
    }

    private static Job job() throws IOException {
        Path base = Files.writeString(
                Files.createTempFile(dir, "base", ".txt"), UUID.randomUUID().toString());
        return new Job(PipelineTest.job(base.toUri().toString()), Sha256.hex(base));
    }

    private String followed() throws IOException {
        EvaluationCompleted result = user.follow(id, status -> {}, PATIENCE);
        return result == null ? null : result.scores().get(0).model();
    }

    private List<ConsumerRecord<String, String>> onTopic(String topic) {
        return topics.all(topic, r -> id.equals(r.key()));
    }

    private ConsumerRecord<String, String> letter(int n) {
        return topics.await(Topics.DEAD_LETTERS, n, r -> id.equals(r.key())).get(n - 1);
    }

    private String lastState() {
        List<ConsumerRecord<String, String>> all = onTopic(Topics.JOB_STATUS);
        return (String) PlainUser.json(all.get(all.size() - 1)).get("state");
    }

    /** The system may be newer than the client: of its request and its events, what the client knows is enough. */
    @Test
    void anOlderClientWatchesANewerSystem() throws Exception {
        stopWorkers();
        topics.submit(id, job().document().replace("{", "{\"invented\": 1, "));
        String request = new String(Json.canonical(job().request()), StandardCharsets.UTF_8)
                .replaceFirst("\\{", "{\"invented\": 1, ")
                .replace("\"dtype\":\"auto\"", "\"dtype\":\"float4\"");
        String ref = "{\"uri\": \"s3://b/manifest.json\", \"sha256\": \"" + "0".repeat(64) + "\", \"size\": 1}";
        String run = topics.await(Topics.JOBS, 1, r -> id.equals(r.key())).stream()
                .map(r -> r.partition() + "-" + r.offset())
                .findFirst()
                .orElseThrow();
        topics.send(
                Topics.EVALUATIONS,
                id,
                "{\"request\": " + request + ", \"projected\": " + ref + ", \"evaluation\": " + ref
                        + ", \"invented\": {}, \"scores\": [{\"model\": \"m\", \"task\": \"t\", \"metric\": "
                        + "\"x\", \"value\": 1,"
                        + " \"samples\": 1, \"higher_is_better\": true, \"invented\": [0, 1]}]}",
                Map.of("ce_run", run));
        for (String state : List.of("PAUSED", "SUCCEEDED")) {
            topics.send(
                    Topics.JOB_STATUS,
                    id,
                    "{\"state\": \"" + state + "\", \"at\": \"2026-01-01T00:00:00Z\", \"invented\": true, \"run\": \""
                            + run + "\"}",
                    Map.of("ce_run", run));
        }
        assertThat(followed()).isEqualTo("m");
    }

    @Test
    void theSameDocumentUnderTheSameIdIsTheSameJobAndIsNotPublishedAgain() throws Exception {
        Job job = job();
        assertThat(user.submit(id, job.request(), false)).isEqualTo(new Submission(id, null));
        assertThat(followed()).isEqualTo(job.digest());
        Submission again = user.submit(id, job.request(), false);
        assertThat(again.known().state()).isEqualTo(State.SUCCEEDED);
        assertThat(JobClient.inWords(again.known())).isEqualTo("which succeeded");
        assertThat(onTopic(Topics.JOBS)).hasSize(1);
        assertThat(followed()).isEqualTo(job.digest());
    }

    @Test
    void aJobThatNoWorkerHasTakenYetIsKnownByItsRequest() throws Exception {
        stopWorkers();
        Job job = job();
        user.submit(id, job.request(), false);
        assertThat(user.submit(id, job.request(), false).known().state()).isEqualTo(State.RUNNING);
        assertThatThrownBy(() -> user.submit(id, job().request(), false))
                .isInstanceOf(InvalidJobException.class)
                .hasMessage("the job id " + id
                        + " stands for another document, which waits for a worker; take another "
                        + "--id, or --replace that job");
        assertThat(onTopic(Topics.JOBS)).hasSize(1);
    }

    @Test
    void anotherDocumentUnderTheIdIsRefused() throws Exception {
        Job first = job();
        user.submit(id, first.request(), false);
        followed();
        assertThatThrownBy(() -> user.submit(id, job().request(), false))
                .isInstanceOf(InvalidJobException.class)
                .hasMessageContaining("stands for another document, which succeeded; take another --id, or --replace");
        assertThat(onTopic(Topics.JOBS)).hasSize(1);
    }

    @Test
    void watchingAReplacedJobNeverGivesTheOldRunsResult() throws Exception {
        Job old = job();
        user.submit(id, old.request(), false);
        assertThat(followed()).isEqualTo(old.digest());
        stopWorkers();
        Job next = job();
        user.submit(id, next.request(), true);
        // As "submit --id weekly --replace; watch weekly" does it: no worker has seen the new run yet.
        assertThatThrownBy(() -> user.follow(id, status -> {}, Duration.ofSeconds(2)))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("no status on safelora.job-status");
        CompletableFuture<String> watched = CompletableFuture.supplyAsync(() -> {
            try {
                return followed();
            } catch (IOException e) {
                throw new CompletionException(e);
            }
        });
        startWorker();
        assertThat(watched.get(1, TimeUnit.MINUTES)).isEqualTo(next.digest());
        assertThat(followed()).isEqualTo(next.digest());
    }

    @Test
    void theSameDocumentIsRunAgainWhenItReplacesItself() throws Exception {
        Job job = job();
        Path base = Path.of(java.net.URI.create(job.request().base()));
        String content = Files.readString(base);
        Files.delete(base);
        user.submit(id, job.request(), false);
        assertThat(followed()).as("failed: its input is missing").isNull();
        Files.writeString(base, content);
        assertThat(user.submit(id, job.request(), false).known().state()).isEqualTo(State.FAILED);
        assertThat(user.submit(id, job.request(), true).known()).isNull();
        assertThat(followed()).isEqualTo(job.digest());
    }

    @Test
    void aPlainProducersOtherDocumentGoesToTheDeadLettersAndTheJobStaysAsItIs() throws Exception {
        Job job = job();
        topics.submit(id, job.document());
        assertThat(followed()).isEqualTo(job.digest());
        topics.submit(id, job().document());
        assertThat(PlainUser.header(letter(1), "dead-letter-reason"))
                .matches("the job id " + id + " stands for another document \\(run 0-\\d+\\); take another id, or"
                        + " replace that job with the header ce_replace: true");
        assertThat(lastState()).isEqualTo("SUCCEEDED");
        assertThat(followed()).isEqualTo(job.digest());

        Job next = job();
        topics.send(Topics.JOBS, id, next.document(), Map.of("ce_replace", "true"));
        assertThat(followed()).isEqualTo(next.digest());
        // And the same document once more, as a producer that retries sends it, is the same run.
        topics.submit(id, next.document());
        assertThat(topics.await(Topics.EVALUATIONS, 3, r -> id.equals(r.key())))
                .extracting(r -> PlainUser.header(r, "ce_run"))
                .satisfies(runs -> assertThat(runs.get(2)).isEqualTo(runs.get(1)))
                .doesNotContainNull();
    }

    @Test
    void aReplacedRunStopsAndItsEndIsNotTheJobs() throws Exception {
        startWorker();
        stage.millis = 100_000;
        user.submit(id, job().request(), false);
        topics.await(Topics.JOB_STATUS, 1, r -> id.equals(r.key()) && r.value().contains("digesting"));
        CompletableFuture<String> watched = CompletableFuture.supplyAsync(() -> {
            try {
                return followed();
            } catch (IOException e) {
                throw new CompletionException(e);
            }
        });
        stage.millis = 0;
        Job next = job();
        user.submit(id, next.request(), true);
        // Who watched before goes on with the new run.
        assertThat(watched.get(1, TimeUnit.MINUTES)).isEqualTo(next.digest());
        String control =
                topics.await(Topics.CONTROLS, 1, r -> id.equals(r.key())).get(0).value();
        assertThat(control).contains("replaced by run");
        long stopped = System.nanoTime();
        while (stage.running.get() > 0) {
            assertThat(System.nanoTime() - stopped).isLessThan(20_000_000_000L);
            Thread.onSpinWait();
        }
        stopWorkers();
        assertThat(lastState()).isEqualTo("SUCCEEDED");
        assertThat(onTopic(Topics.JOB_STATUS)).noneMatch(r -> r.value().contains("CANCELLED"));
    }

    @Test
    void aCancelledJobCanBeReplaced() throws Exception {
        stage.millis = 100_000;
        user.submit(id, job().request(), false);
        topics.await(Topics.JOB_STATUS, 1, r -> id.equals(r.key()) && r.value().contains("digesting"));
        user.cancel(id, "not needed");
        assertThat(followed()).isNull();
        assertThat(lastState()).isEqualTo("CANCELLED");
        stage.millis = 0;
        Job next = job();
        user.submit(id, next.request(), true);
        assertThat(followed()).isEqualTo(next.digest());
    }

    @Test
    void whatIsNobodysJobGoesToTheDeadLettersAlone() throws Exception {
        Job job = job();
        user.submit(id, job.request(), false);
        followed();
        String other = "other-" + UUID.randomUUID();
        topics.send(Topics.JOBS, id, null, Map.of());
        letter(1);
        topics.submit(id, "{\"base\": 1}");
        letter(2);
        topics.send(Topics.JOBS, other, job().document(), Map.of("ce_subject", id));
        ConsumerRecord<String, String> letter =
                topics.await(Topics.DEAD_LETTERS, 1, r -> other.equals(r.key())).get(0);
        assertThat(PlainUser.header(letter, "dead-letter-reason"))
                .isEqualTo("ce_subject \"" + id + "\" and the record's key \"" + other
                        + "\" differ; both are the job's id");
        assertThat(PlainUser.header(letter, "dead-letter-offset")).matches("\\d+");
        topics.send(Topics.ALIGNMENTS, id, "{}", Map.of());
        letter(3);
        topics.send(Topics.ALIGNMENTS, id, null, Map.of());
        letter(4);
        assertThat(lastState()).isEqualTo("SUCCEEDED");
        assertThat(topics.all(Topics.JOB_STATUS, r -> other.equals(r.key()))).isEmpty();
        assertThat(followed()).isEqualTo(job.digest());
    }

    @Test
    void aRefusedRequestOfANewIdFailsAndItsCorrectionRuns() throws Exception {
        topics.submit(id, "{\"base\": 1}");
        topics.status(id, "FAILED");
        assertThat(followed()).isNull();
        Job job = job();
        assertThat(user.submit(id, job.request(), false).known()).isNull();
        assertThat(followed()).isEqualTo(job.digest());
    }

    @Test
    void structuredModeCloudEventsAreRead() throws Exception {
        Job job = job();
        String event = "{\"specversion\": \"1.0\", \"id\": \"1\", \"source\": \"/me\", \"subject\": \"" + id
                + "\", \"traceparent\": \"" + TRACE
                + "\", \"type\": \"io.safelora.job.requested.v1\", \"datacontenttype\": "
                + "\"application/json\", \"data\": "
                + job.document() + "}";
        Map<String, String> structured = Map.of("content-type", "application/cloudevents+json; charset=UTF-8");
        topics.send(Topics.JOBS, null, event, structured);
        assertThat(followed()).isEqualTo(job.digest());
        assertThat(PlainUser.header(onTopic(Topics.EVALUATIONS).get(0), "traceparent"))
                .isEqualTo(TRACE);

        Job next = job();
        topics.send(
                Topics.JOBS,
                id,
                event.replace(job.document(), next.document()).replace("\"id\"", "\"replace\": \"true\", \"id\""),
                structured);
        assertThat(followed()).isEqualTo(next.digest());

        Map<String, String> batch = new HashMap<>(Map.of("content-type", "application/cloudevents-batch+json"));
        for (String broken : new String[] {"[" + event + "]", "{", "{}", "[]", "\"x\""}) {
            topics.send(Topics.JOBS, id, broken, broken.startsWith("[") ? batch : structured);
        }
        for (int i = 1; i <= 5; i++) {
            assertThat(PlainUser.header(letter(i), "dead-letter-reason"))
                    .startsWith("the value is not a CloudEvent of content-type \"application/cloudevents");
        }
        assertThat(lastState()).isEqualTo("SUCCEEDED");
    }

    @Test
    void anUnfitIdIsRefusedAtOnce() throws Exception {
        for (String unfit : new String[] {"a b", "../x", "", "ü", "x".repeat(129)}) {
            assertThatThrownBy(() -> user.submit(unfit, job().request(), false))
                    .isInstanceOf(InvalidJobException.class)
                    .hasMessageContaining("is refused; it must be 1 to 128 of A-Z a-z 0-9 . _ -");
            assertThatThrownBy(() -> user.follow(unfit, status -> {}, PATIENCE))
                    .isInstanceOf(InvalidJobException.class);
            assertThatThrownBy(() -> user.cancel(unfit, null)).isInstanceOf(InvalidJobException.class);
        }
    }

    @Test
    void aServerThatDoesNotAnswerIsNamedWithinTenSeconds() throws Exception {
        JobRequest request = job().request();
        int closed;
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            closed = socket.getLocalPort();
        }
        // What listens there speaks something else, and to nobody first.
        try (ServerSocket other = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
            for (String server :
                    List.of("no-such-host.invalid:9092", "localhost:" + closed, "localhost:" + other.getLocalPort())) {
                JobClient lost = new JobClient(server);
                long began = System.nanoTime();
                assertThatThrownBy(() -> lost.submit(id, request, false))
                        .isInstanceOf(IOException.class)
                        .hasMessageContaining(server)
                        .hasMessageContaining("--bootstrap-servers");
                assertThat((System.nanoTime() - began) / 1e9).isLessThan(10);
            }
            assertThatThrownBy(() -> new JobClient("localhost:" + closed).follow(id, status -> {}, PATIENCE))
                    .hasMessageContaining("no Kafka broker answers at localhost:" + closed);
        }
    }
}
