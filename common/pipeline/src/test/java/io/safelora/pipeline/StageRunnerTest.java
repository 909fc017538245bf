package io.safelora.pipeline;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.artifacts.store.StoreSettings;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.InvalidInputException;
import io.safelora.contract.JobDocument;
import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.AdapterTrained;
import io.safelora.contract.JobEvent.AlignmentAnalyzed;
import io.safelora.contract.JobEvent.EvaluationCompleted;
import io.safelora.contract.JobEvent.JobCancelled;
import io.safelora.contract.JobEvent.JobStatus;
import io.safelora.contract.JobEvent.JobStatus.State;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.contract.Topics;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.record.TimestampType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What becomes of a record, without a broker: records in, verdicts and records out. */
@Timeout(value = 1, unit = TimeUnit.MINUTES)
class StageRunnerTest {
    private static final String DOCUMENT =
            "{\"base\": \"s3://b/base\", \"aligned\": \"s3://b/aligned\", \"adapter\": \"s3://b/adapter\"}";
    private static final JobRequest REQUEST = JobDocument.parse(DOCUMENT);
    private static final ArtifactRef REF = new ArtifactRef("s3://b/manifest.json", "0".repeat(64), 7);

    /** What the stages do at an attempt, counted from 1. */
    private interface Body {
        JobEvent run(int attempt, Workspace workspace) throws Exception;
    }

    @TempDir
    Path dir;

    private final SimpleMeterRegistry registry = new SimpleMeterRegistry();
    private final Sent sent = new Sent();
    private final Cancellations cancellations = new Cancellations();
    private final Claim claim = new Claim();
    private final List<Long> attempts = new ArrayList<>();
    private Body body = (attempt, workspace) -> new AlignmentAnalyzed(REQUEST, REF);
    private ArtifactStore store;
    private StageRunner runner;

    /** Takes events of {@code type}, and does what the test says. */
    private final class Scripted<I> implements Stage<I> {
        private final Class<I> type;

        Scripted(Class<I> type) {
            this.type = type;
        }

        @Override
        public String name() {
            return "scripted";
        }

        @Override
        public Class<I> input() {
            return type;
        }

        @Override
        public JobEvent run(I event, Workspace workspace) throws Exception {
            attempts.add(System.nanoTime());
            return body.run(attempts.size(), workspace);
        }
    }

    @BeforeEach
    void open() {
        store = new ArtifactStore(StoreSettings.localFiles(dir.resolve("cache")));
        runner = new StageRunner(
                "scripted",
                List.of(new Scripted<>(JobRequest.class), new Scripted<>(AdapterTrained.class)),
                Worker.config(dir),
                store,
                new Publisher(sent),
                cancellations,
                registry);
    }

    @AfterEach
    void close() {
        store.close();
    }

    private static ConsumerRecord<byte[], byte[]> delivered(
            int times, String topic, long offset, String key, String value, Map<String, String> headers) {
        RecordHeaders of = new RecordHeaders();
        headers.forEach((name, text) -> of.add(name, text.getBytes(UTF_8)));
        return new ConsumerRecord<>(
                topic,
                0,
                offset,
                0,
                TimestampType.CREATE_TIME,
                0,
                0,
                key.getBytes(UTF_8),
                value.getBytes(UTF_8),
                of,
                Optional.empty(),
                Optional.of((short) times));
    }

    private static ConsumerRecord<byte[], byte[]> request(long offset) {
        return delivered(1, Topics.JOBS, offset, "job", DOCUMENT, Map.of());
    }

    private static ConsumerRecord<byte[], byte[]> trained(String run) {
        String data = new String(Json.canonical(new AdapterTrained(REQUEST, REF, REF)), UTF_8);
        return delivered(
                1, Topics.ADAPTERS, 5, "job", data, Map.of("ce_type", "io.safelora.adapter.trained.v1", "ce_run", run));
    }

    private double tasks(String outcome) {
        assertThat(registry.get("safelora.tasks.in.progress").gauge().value()).isZero();
        double counted =
                registry.get("safelora.tasks").tag("outcome", outcome).counter().count();
        assertThat(registry.get("safelora.task.duration")
                        .tag("outcome", outcome)
                        .timer()
                        .count())
                .isEqualTo((long) counted);
        return counted;
    }

    private double counter(String name) {
        return registry.get(name).tag("stage", "scripted").counter().count();
    }

    private List<State> states() {
        return sent.statuses().stream().map(JobStatus::state).toList();
    }

    private String reason() {
        List<ConsumerRecord<byte[], byte[]>> letters = sent.on(Topics.DEAD_LETTERS);
        return Sent.header(letters.get(letters.size() - 1), "dead-letter-reason");
    }

    @Test
    void topicsFollowFromTheStages() {
        assertThat(runner.topics()).containsExactlyInAnyOrder(Topics.JOBS, Topics.ADAPTERS);
        assertThat(StageRunner.group("x")).isEqualTo("safelora-x");
    }

    @Test
    void anAnswerIsPublishedAndTheRecordAccepted() throws IOException {
        body = (attempt, workspace) -> {
            assertThat(registry.get("safelora.tasks.in.progress").gauge().value())
                    .isEqualTo(1);
            assertThat(workspace.jobId()).isEqualTo("job");
            return new AlignmentAnalyzed(REQUEST, REF);
        };
        assertThat(runner.work(request(7), claim)).isEqualTo(AcknowledgeType.ACCEPT);
        Event answer = sent.events(Topics.ALIGNMENTS).get(0);
        assertThat(answer.data()).isEqualTo(new AlignmentAnalyzed(REQUEST, REF));
        assertThat(answer.run()).isEqualTo("0-7");
        assertThat(states()).as("the job goes on").containsExactly(State.RUNNING);
        assertThat(sent.statuses().get(0).message()).isEqualTo("started");
        assertThat(tasks("succeeded")).isEqualTo(1);
        assertThat(Files.list(dir.resolve("scratch"))).isEmpty();
    }

    @Test
    void theSameDocumentAgainBelongsToTheSameRun() {
        runner.work(request(7), claim);
        runner.work(request(9), claim);
        assertThat(sent.events(Topics.ALIGNMENTS)).extracting(Event::run).containsExactly("0-7", "0-7");
    }

    @Test
    void aStageMayHaveNothingToTell() {
        body = (attempt, workspace) -> null;
        assertThat(runner.work(request(7), claim)).isEqualTo(AcknowledgeType.ACCEPT);
        assertThat(sent.on(Topics.ALIGNMENTS)).isEmpty();
        assertThat(tasks("succeeded")).isEqualTo(1);
    }

    @Test
    void anEvaluationEndsTheJob() {
        body = (attempt, workspace) -> new EvaluationCompleted(REQUEST, REF, REF, List.of(), null, null, null, null);
        runner.work(request(7), claim);
        assertThat(states()).containsExactly(State.RUNNING, State.SUCCEEDED);
        assertThat(sent.statuses().get(1).run()).isEqualTo("0-7");
    }

    /** Workers that failed together must not come back at once, nor together. */
    @Test
    void betweenAttemptsIsAPauseThatDoubles() {
        body = (attempt, workspace) -> {
            throw new IOException("the store is away\nfor a while");
        };
        assertThat(runner.work(request(7), claim)).isEqualTo(AcknowledgeType.REJECT);
        assertThat(attempts).hasSize(3);
        // 0.2 s, then 0.4 s, each up to a quarter less.
        assertThat(attempts.get(1) - attempts.get(0)).isGreaterThanOrEqualTo(150_000_000);
        assertThat(attempts.get(2) - attempts.get(1)).isGreaterThanOrEqualTo(300_000_000);
        assertThat(sent.statuses())
                .extracting(JobStatus::message)
                .containsExactly("started", "attempt 2", "attempt 3", null);
        assertThat(states()).endsWith(State.FAILED);
        assertThat(sent.statuses().get(3).error())
                .isEqualTo("failed 3 times, the last time with IOException: the store is away")
                .isEqualTo(reason());
        assertThat(counter("safelora.task.retries")).isEqualTo(2);
        assertThat(counter("safelora.dead.letters")).isEqualTo(1);
        assertThat(tasks("failed")).isEqualTo(1);
    }

    @Test
    void wrongInputFailsAtOnceAndALibrarysExceptionDoesNot() {
        body = (attempt, workspace) -> {
            throw new InvalidInputException("rows.jsonl: line 3 is not JSON");
        };
        assertThat(runner.work(request(7), claim)).isEqualTo(AcknowledgeType.REJECT);
        assertThat(attempts).hasSize(1);
        assertThat(reason()).isEqualTo("rows.jsonl: line 3 is not JSON");
        body = (attempt, workspace) -> {
            if (attempt == 2) {
                throw new OutOfMemoryError();
            }
            if (attempt == 3) {
                throw new IllegalArgumentException("comparison method violates its general contract");
            }
            return new AlignmentAnalyzed(REQUEST, REF);
        };
        assertThat(runner.work(request(7), claim)).isEqualTo(AcknowledgeType.ACCEPT);
        assertThat(attempts).hasSize(4);
    }

    @Test
    void aTaskThatKillsItsWorkersIsGivenUp() {
        assertThat(runner.work(delivered(4, Topics.JOBS, 7, "job", DOCUMENT, Map.of()), claim))
                .isEqualTo(AcknowledgeType.ACCEPT);
        assertThat(runner.work(delivered(5, Topics.JOBS, 7, "job", DOCUMENT, Map.of()), claim))
                .isEqualTo(AcknowledgeType.REJECT);
        assertThat(attempts).hasSize(1);
        assertThat(reason())
                .startsWith("given up after 5 workers took the task")
                .contains("killed or out-of-memory scripted");
    }

    @Test
    void anotherGroupsEventIsPassedOver() {
        String data = "{\"request\": " + new String(Json.canonical(REQUEST), UTF_8) + ", \"alignment\": " + json()
                + ", \"adapter\": " + json() + ", \"projected\": " + json() + "}";
        assertThat(runner.work(
                        delivered(
                                1,
                                Topics.ADAPTERS,
                                7,
                                "job",
                                data,
                                Map.of("ce_type", "io.safelora.adapter.projected.v1")),
                        claim))
                .isEqualTo(AcknowledgeType.ACCEPT);
        assertThat(sent.records).isEmpty();
        for (String outcome : List.of("succeeded", "failed", "cancelled", "released")) {
            assertThat(tasks(outcome)).isZero();
        }
    }

    private static String json() {
        return new String(Json.canonical(REF), UTF_8);
    }

    @Test
    void aJobThatIsCancelledBeforeIsNotBegun() {
        cancel();
        assertThat(runner.work(request(7), claim)).isEqualTo(AcknowledgeType.ACCEPT);
        assertThat(attempts).isEmpty();
        assertThat(states()).containsExactly(State.CANCELLED);
        assertThat(tasks("cancelled")).isEqualTo(1);
    }

    @Test
    void aRunningTaskStopsWhenItsJobIsCancelledWhateverItThrows() {
        body = (attempt, workspace) -> {
            cancel();
            throw new IllegalStateException("a library that was interrupted");
        };
        assertThat(runner.work(request(7), claim)).isEqualTo(AcknowledgeType.ACCEPT);
        assertThat(attempts).hasSize(1);
        assertThat(states()).containsExactly(State.RUNNING, State.CANCELLED);
        cancellations.accept(delivered(1, Topics.CONTROLS, 1, "job", "{\"run\": \"0-1\"}", Map.of()));
    }

    @Test
    void anotherJobsCancellationIsNone() {
        body = (attempt, workspace) -> {
            cancellations.accept(delivered(1, Topics.CONTROLS, 0, "other", "{}", Map.of()));
            workspace.checkCancelled();
            return null;
        };
        runner.work(request(7), claim);
        assertThat(tasks("succeeded")).isEqualTo(1);
    }

    private void cancel() {
        cancellations.accept(delivered(1, Topics.CONTROLS, 0, "job", "{}", Map.of()));
    }

    @Test
    void aTaskThatIsStoppedIsLeftToOthers() {
        for (TaskStopped.Why why : List.of(TaskStopped.Why.CLOSING, TaskStopped.Why.CLAIM_LOST)) {
            Claim stopped = new Claim();
            body = (attempt, workspace) -> {
                stopped.stop(why);
                stopped.stop(TaskStopped.Why.CANCELLED); // the first reason stays
                workspace.checkCancelled();
                return null;
            };
            assertThat(runner.work(request(7), stopped)).isEqualTo(AcknowledgeType.RELEASE);
        }
        assertThat(states()).containsOnly(State.RUNNING);
        assertThat(sent.on(Topics.DEAD_LETTERS)).isEmpty();
        assertThat(tasks("released")).isEqualTo(2);
    }

    @Test
    void aPauseEndsWithTheClaim() {
        body = (attempt, workspace) -> {
            claim.stop(TaskStopped.Why.CLOSING);
            throw new IOException();
        };
        assertThat(runner.work(request(7), claim)).isEqualTo(AcknowledgeType.RELEASE);
        assertThat(attempts).hasSize(1);
        assertThat(counter("safelora.task.retries")).isZero();
    }

    @Test
    void whatBecomesOfATaskMustReachKafka() {
        sent.answer = CompletableFuture.failedStage(new TimeoutException("no broker"));
        assertThat(runner.work(request(7), claim)).isEqualTo(AcknowledgeType.RELEASE);
        assertThat(tasks("released")).isEqualTo(1);
    }

    @Test
    void anotherDocumentUnderTheIdFailsAndTheJobStaysAsItIs() {
        runner.work(request(7), claim);
        sent.records.clear();
        String other = DOCUMENT.replace("s3://b/base", "s3://b/other");
        assertThat(runner.work(delivered(1, Topics.JOBS, 8, "job", other, Map.of()), claim))
                .isEqualTo(AcknowledgeType.REJECT);
        assertThat(reason()).startsWith("the job id job stands for another document (run 0-7)");
        assertThat(sent.statuses()).isEmpty();
    }

    @Test
    void aReplacedRunEndsInSilence() {
        runner.work(request(7), claim);
        runner.work(delivered(1, Topics.JOBS, 8, "job", DOCUMENT, Map.of("ce_replace", "true")), claim);
        assertThat(sent.events(Topics.CONTROLS).get(0).data())
                .isEqualTo(new JobCancelled("replaced by run 0-8", "0-7"));
        sent.records.clear();
        assertThat(runner.work(trained("0-7"), claim)).isEqualTo(AcknowledgeType.ACCEPT);
        assertThat(sent.records).isEmpty();
        assertThat(tasks("cancelled")).isEqualTo(1);
        assertThat(runner.work(trained("0-8"), claim)).isEqualTo(AcknowledgeType.ACCEPT);
        assertThat(sent.on(Topics.ALIGNMENTS)).hasSize(1);
    }

    @Test
    void aRunThatIsReplacedWhileItWorksDoesNotEndTheJob() {
        body = (attempt, workspace) -> {
            if (attempt == 1) {
                runner.work(delivered(1, Topics.JOBS, 8, "job", DOCUMENT, Map.of("ce_replace", "true")), new Claim());
                throw new InvalidInputException("of the old run");
            }
            return null;
        };
        runner.work(request(7), claim);
        assertThat(states()).doesNotContain(State.FAILED);
    }

    @Test
    void anUnreadableRecordIsAJobsFailureOnlyIfItIsThatJobs() {
        assertThat(runner.work(delivered(1, Topics.JOBS, 1, "job", "{", Map.of()), claim))
                .isEqualTo(AcknowledgeType.REJECT);
        assertThat(states()).as("of a free id").containsExactly(State.FAILED);
        assertThat(sent.statuses().get(0).run()).isEqualTo("0-1");
        runner.work(request(7), claim);
        sent.records.clear();
        runner.work(delivered(1, Topics.JOBS, 8, "job", "{", Map.of()), claim);
        runner.work(delivered(1, Topics.JOBS, 9, "../job", "{", Map.of()), claim);
        Map<String, String> type = Map.of("ce_type", "io.safelora.adapter.trained.v1");
        runner.work(delivered(1, Topics.ADAPTERS, 8, "job", "{}", type), claim);
        runner.work(delivered(1, Topics.ADAPTERS, 8, "other", "{}", type), claim);
        assertThat(sent.statuses()).as("of an id that is taken, or of no run").isEmpty();
        assertThat(sent.on(Topics.DEAD_LETTERS)).hasSize(4);
        Map<String, String> ofRun = Map.of("ce_type", "io.safelora.adapter.trained.v1", "ce_run", "0-7");
        runner.work(delivered(1, Topics.ADAPTERS, 9, "job", "{}", ofRun), claim);
        assertThat(states()).containsExactly(State.FAILED);
        assertThat(counter("safelora.dead.letters")).isEqualTo(6);
        assertThat(tasks("failed")).isEqualTo(6);
    }
}
