package io.safelora.pipeline;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.safelora.artifacts.store.ContentAddress;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.InvalidJobException;
import io.safelora.contract.JobDocument;
import io.safelora.contract.JobEvent.EvaluationCompleted;
import io.safelora.contract.JobEvent.JobCancelled;
import io.safelora.contract.JobEvent.JobStatus;
import io.safelora.contract.JobEvent.JobStatus.State;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Topics;
import io.safelora.pipeline.JobClient.Submission;
import io.safelora.testkit.Records;
import io.safelora.testkit.Settings;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The client against topics that hold what stages would have said. */
@Timeout(value = 1, unit = TimeUnit.MINUTES)
class JobTopicsTest {
    private static final JobRequest REQUEST = JobDocument.parse(
            "{\"base\": \"s3://b/base\", \"aligned\": \"s3://b/aligned\", \"adapter\": \"s3://b/adapter\"}");
    private static final JobRequest OTHER = JobDocument.parse(
            "{\"base\": \"s3://b/other\", \"aligned\": \"s3://b/aligned\", \"adapter\": \"s3://b/adapter\"}");
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    private final String id = "job-" + UUID.randomUUID();
    private final JobClient client = new JobClient(SharedKafka.bootstrapServers());
    private KafkaProducer<String, byte[]> producer;

    @BeforeEach
    void prepare() {
        PipelineConfig config = Settings.of(PipelineConfig.class, Map.of("safelora.topics.partitions", "1"));
        KafkaSetup.prepare(SharedKafka.client(), config, List.of("any"), Duration.ofMinutes(1));
        producer = new KafkaProducer<>(SharedKafka.client(), new StringSerializer(), new ByteArraySerializer());
    }

    @AfterEach
    void close() {
        producer.close();
    }

    private static String sha256(JobRequest request) {
        return ContentAddress.of(request);
    }

    private RecordMetadata send(ProducerRecord<String, byte[]> record) throws Exception {
        return producer.send(record).get();
    }

    /** @return the run that it begins */
    private String request(JobRequest request, boolean replace) throws Exception {
        RecordMetadata at = send(EventCodec.write(id, null, replace, "me", request, Map.of()));
        return at.partition() + "-" + at.offset();
    }

    private void status(String run, String sha256, State state) throws Exception {
        JobStatus status = new JobStatus(
                state,
                "evaluator",
                null,
                null,
                null,
                state == State.FAILED ? "why" : null,
                Instant.now(),
                null,
                run,
                sha256);
        send(EventCodec.write(id, run, false, "evaluator", status, Map.of()));
    }

    private void evaluated(String run, String recommended) throws Exception {
        ArtifactRef ref = new ArtifactRef("s3://b/manifest.json", "0".repeat(64), 7);
        send(EventCodec.write(
                id,
                run,
                false,
                "evaluator",
                new EvaluationCompleted(REQUEST, ref, ref, List.of(), recommended, null, null, null),
                Map.of()));
    }

    private List<ConsumerRecord<String, String>> on(String topic) {
        return Records.of(SharedKafka.bootstrapServers(), topic, id);
    }

    @Test
    void aNewJobIsPublishedUnderAnIdOfItsOwn() throws Exception {
        Submission submission = client.submit(null, REQUEST, false);
        assertThat(submission.jobId()).matches("job-[0-9a-f]{8}");
        assertThat(submission.known()).isNull();
        assertThat(Records.of(SharedKafka.bootstrapServers(), Topics.JOBS, submission.jobId()))
                .hasSize(1)
                .allSatisfy(r -> assertThat(JobDocument.parse(r.value())).isEqualTo(REQUEST))
                .allSatisfy(
                        r -> assertThat(r.headers().lastHeader("ce_replace")).isNull());
    }

    @Test
    void whatTheIdStandsForIsNotPublishedAgain() throws Exception {
        assertThat(client.submit(id, REQUEST, false).known()).isNull();
        assertThat(client.submit(id, REQUEST, false).known().state()).isEqualTo(State.RUNNING);
        assertThatThrownBy(() -> client.submit(id, OTHER, false)).hasMessageContaining("which waits for a worker");
        String run = "0-" + on(Topics.JOBS).get(0).offset();
        for (State state : State.values()) {
            status(run, sha256(REQUEST), state);
            assertThat(client.submit(id, REQUEST, false))
                    .extracting(s -> s.known().state())
                    .isEqualTo(state);
            assertThatThrownBy(() -> client.submit(id, OTHER, false))
                    .isInstanceOf(InvalidJobException.class)
                    .hasMessage("the job id " + id + " stands for another document, "
                            + switch (state) {
                                case RUNNING -> "which runs in evaluator";
                                case SUCCEEDED -> "which succeeded";
                                case FAILED -> "which failed in evaluator (why)";
                                case CANCELLED -> "which was cancelled";
                            }
                            + "; take another --id, or --replace that job");
        }
        assertThat(on(Topics.JOBS)).hasSize(1);
        assertThat(client.submit(id, OTHER, true).known()).isNull();
        assertThat(on(Topics.JOBS)).hasSize(2);
        assertThat(client.submit(id, OTHER, false).known().state())
                .as("the replacement waits")
                .isEqualTo(State.RUNNING);
    }

    @Test
    void anIdWhoseRequestCouldNotBeReadIsFree() throws Exception {
        RecordMetadata at = send(new ProducerRecord<>(Topics.JOBS, id, "{".getBytes(UTF_8)));
        status("0-" + at.offset(), null, State.FAILED);
        assertThat(client.submit(id, REQUEST, false).known()).isNull();
        assertThat(on(Topics.JOBS)).hasSize(2);
    }

    @Test
    void aStatusOfAnOlderVersionNamesNoRun() throws Exception {
        status(null, null, State.SUCCEEDED);
        assertThatThrownBy(() -> client.submit(id, REQUEST, false)).hasMessageContaining("which succeeded");
        evaluated(null, "of an older version");
        assertThat(client.follow(id, status -> {}, PATIENCE).recommended()).isEqualTo("of an older version");
    }

    @Test
    void aCancellationIsOfTheRunThatIsKnown() throws Exception {
        client.cancel(id, "too early");
        String run = request(REQUEST, false);
        client.cancel(id, "not needed");
        assertThat(on(Topics.CONTROLS))
                .extracting(ConsumerRecord::value)
                .containsExactly("{\"reason\":\"too early\"}", "{\"reason\":\"not needed\",\"run\":\"" + run + "\"}");
        assertThatThrownBy(() -> client.cancel("a b", null)).isInstanceOf(InvalidJobException.class);
    }

    @Test
    void theResultAndTheLastStatusAreWaitedFor() throws Exception {
        String run = request(REQUEST, false);
        status(run, sha256(REQUEST), State.RUNNING);
        List<State> told = new ArrayList<>();
        CompletableFuture<EvaluationCompleted> followed = CompletableFuture.supplyAsync(() -> {
            try {
                return client.follow(id, status -> told.add(status.state()), PATIENCE);
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        });
        status(run, sha256(REQUEST), State.SUCCEEDED);
        Thread.sleep(500);
        assertThat(followed).as("without its result").isNotDone();
        evaluated("0-999999", "of another run");
        evaluated(run, "this one");
        assertThat(followed.get(30, TimeUnit.SECONDS).recommended()).isEqualTo("this one");
        assertThat(told).containsExactly(State.RUNNING, State.SUCCEEDED);
    }

    @Test
    void aJobThatFailedHasNoResult() throws Exception {
        for (State state : List.of(State.FAILED, State.CANCELLED)) {
            String run = request(REQUEST, true);
            status(run, sha256(REQUEST), state);
            assertThat(client.follow(id, status -> assertThat(status.state()).isEqualTo(state), PATIENCE))
                    .isNull();
        }
    }

    @Test
    void theRunThatReplacesAnotherIsFollowed() throws Exception {
        String old = request(REQUEST, false);
        status(old, sha256(REQUEST), State.RUNNING);
        List<String> told = new ArrayList<>();
        CompletableFuture<EvaluationCompleted> followed = CompletableFuture.supplyAsync(() -> {
            try {
                return client.follow(id, status -> told.add(status.run()), PATIENCE);
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        });
        while (told.isEmpty()) {
            Thread.sleep(20);
        }
        String next = request(OTHER, true);
        evaluated(old, "old");
        status(old, sha256(REQUEST), State.SUCCEEDED);
        evaluated(next, "next");
        status(next, sha256(OTHER), State.SUCCEEDED);
        assertThat(followed.get(30, TimeUnit.SECONDS).recommended()).isEqualTo("next");
        assertThat(told).endsWith(next);
        assertThat(client.follow(id, status -> assertThat(status.run()).isEqualTo(next), PATIENCE)
                        .recommended())
                .isEqualTo("next");
    }

    @Test
    void aJobThatNobodyKnowsIsWaitedForAWhile() {
        assertThatThrownBy(() -> client.follow(id, status -> {}, Duration.ofMillis(300)))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("job " + id + ": no status on safelora.job-status")
                .hasMessageContaining("within 0 s");
    }

    @Test
    void aSystemThatWasNeverStartedIsNamed() throws Exception {
        assertThatThrownBy(() -> new JobClient("no-such-host.invalid:9092").submit(id, REQUEST, false))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("the Kafka server no-such-host.invalid:9092 cannot be found")
                .hasMessageContaining("--bootstrap-servers");
    }

    @Test
    void recordsOfOthersArePassedOver() throws Exception {
        send(new ProducerRecord<>(Topics.JOB_STATUS, id, "{".getBytes(UTF_8)));
        send(EventCodec.write("another", "0-1", false, "x", new JobCancelled(null, null), Map.of()));
        String run = request(REQUEST, false);
        evaluated(run, "x");
        status(run, sha256(REQUEST), State.SUCCEEDED);
        assertThat(client.follow(id, status -> {}, PATIENCE)).isNotNull();
    }
}
