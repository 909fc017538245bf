package io.safelora.pipeline;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.safelora.contract.InvalidJobException;
import io.safelora.contract.JobEvent.JobCancelled;
import io.safelora.contract.JobEvent.JobStatus.State;
import io.safelora.contract.JobEvent.TrainingStep;
import io.safelora.contract.Topics;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.InterruptException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.junit.jupiter.api.Test;

class PublisherTest {
    private static final Map<String, String> TRACE = Map.of("traceparent", "00-1-2-01");

    private final Sent sent = new Sent();
    private final Publisher publisher = new Publisher(sent);
    private final Event about =
            new Event("job", "0-1", "abc", false, Topics.of(JobCancelled.class), new JobCancelled(null, null), TRACE);

    @Test
    void anEventCarriesJobRunAndTraceOn() {
        publisher.publish(about, "evaluator", new JobCancelled("why", "0-1"));
        Event event = sent.events(Topics.CONTROLS).get(0);
        assertThat(event.jobId()).isEqualTo("job");
        assertThat(event.run()).isEqualTo("0-1");
        assertThat(event.trace()).isEqualTo(TRACE);
        assertThat(event.data()).isEqualTo(new JobCancelled("why", "0-1"));
        assertThat(Sent.header(sent.records.get(0), "ce_source")).isEqualTo("/safelora/evaluator");
    }

    @Test
    void aProducerOfItsOwnKnowsNoRun() {
        publisher.publish("job", "me", new JobCancelled(null, null), TRACE);
        assertThat(sent.events(Topics.CONTROLS).get(0).run()).isNull();
        assertThatThrownBy(() -> publisher.publish("a b", "me", new JobCancelled(null, null), TRACE))
                .isInstanceOf(InvalidJobException.class);
    }

    @Test
    void statusesSayHowFarARunIs() {
        TrainingStep step = new TrainingStep(1, 2, 0.5, 1e-4, 100);
        publisher.running(about, "lora-trainer", 0.25, 3.0, "training", step);
        publisher.end(about, "evaluator", State.SUCCEEDED, null);
        publisher.end(about, "evaluator", State.FAILED, "why");
        publisher.refused("job", "0-9", "alignment-analyzer", "unreadable", TRACE);
        assertThat(sent.statuses().get(0))
                .usingRecursiveComparison()
                .ignoringFields("at")
                .isEqualTo(new io.safelora.contract.JobEvent.JobStatus(
                        State.RUNNING, "lora-trainer", 0.25, 3.0, "training", null, null, step, "0-1", "abc"));
        assertThat(sent.statuses())
                .extracting(s -> s.state())
                .containsExactly(State.RUNNING, State.SUCCEEDED, State.FAILED, State.FAILED);
        assertThat(sent.statuses()).extracting(s -> s.progress()).containsExactly(0.25, 1.0, null, null);
        assertThat(sent.statuses()).extracting(s -> s.error()).containsExactly(null, null, "why", "unreadable");
        assertThat(sent.statuses()).extracting(s -> s.run()).containsExactly("0-1", "0-1", "0-1", "0-9");
        assertThat(sent.statuses()).extracting(s -> s.requestSha256()).containsExactly("abc", "abc", "abc", null);
        assertThat(sent.events(Topics.JOB_STATUS)).allMatch(e -> e.trace().equals(TRACE));
    }

    @Test
    void aDeadLetterIsTheRecordAsItCameWithTheReason() {
        ConsumerRecord<byte[], byte[]> record =
                new ConsumerRecord<>(Topics.JOBS, 3, 14, "key".getBytes(UTF_8), "value".getBytes(UTF_8));
        record.headers().add("own", "header".getBytes(UTF_8));
        publisher.deadLetter(Topics.DEAD_LETTERS, record, "evaluator", "x".repeat(5000), new IllegalStateException());
        ConsumerRecord<byte[], byte[]> letter = sent.on(Topics.DEAD_LETTERS).get(0);
        assertThat(letter.key()).isEqualTo(record.key());
        assertThat(letter.value()).isEqualTo(record.value());
        assertThat(Sent.header(letter, "own")).isEqualTo("header");
        assertThat(Sent.header(letter, "dead-letter-reason")).isEqualTo("x".repeat(4000));
        assertThat(Sent.header(letter, "dead-letter-stage")).isEqualTo("evaluator");
        assertThat(Sent.header(letter, "dead-letter-topic")).isEqualTo(Topics.JOBS);
        assertThat(Sent.header(letter, "dead-letter-partition")).isEqualTo("3");
        assertThat(Sent.header(letter, "dead-letter-offset")).isEqualTo("14");
        assertThat(Sent.header(letter, "dead-letter-exception-class-name"))
                .isEqualTo("java.lang.IllegalStateException");
        publisher.deadLetter(
                Topics.DEAD_LETTERS, new ConsumerRecord<>(Topics.JOBS, 0, 0, null, null), "x", "short", null);
        letter = sent.on(Topics.DEAD_LETTERS).get(1);
        assertThat(letter.key()).isNull();
        assertThat(Sent.header(letter, "dead-letter-reason")).isEqualTo("short");
        assertThat(Sent.header(letter, "dead-letter-exception-class-name")).isNull();
    }

    @Test
    void whatKafkaDoesNotTakeIsAnError() {
        sent.answer = CompletableFuture.failedStage(new RecordTooLargeException("too large"));
        assertThatThrownBy(() -> publisher.end(about, "x", State.FAILED, ""))
                .isInstanceOf(RecordTooLargeException.class);
        sent.answer = CompletableFuture.failedStage(new IllegalStateException("closed"));
        assertThatThrownBy(() -> publisher.publish(about, "x", new JobCancelled(null, null)))
                .isInstanceOf(KafkaException.class)
                .hasRootCauseMessage("closed");
        assertThatThrownBy(() -> publisher.refused("job", "0-1", "x", "", TRACE))
                .isInstanceOf(KafkaException.class);
        sent.answer = new CompletableFuture<>();
        publisher.running(about, "x", 0.5, null, "not waited for", null);
        Thread.currentThread().interrupt();
        assertThatThrownBy(() -> publisher.publish("job", "x", new JobCancelled(null, null), TRACE))
                .isInstanceOf(InterruptException.class);
        Thread.interrupted();
    }
}
