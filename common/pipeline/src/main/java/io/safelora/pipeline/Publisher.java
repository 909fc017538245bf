package io.safelora.pipeline;

import io.safelora.contract.JobEvent.JobStatus;
import io.safelora.contract.JobEvent.TrainingStep;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.InterruptException;
import org.apache.kafka.common.header.Header;

/** Says what becomes of jobs: events, statuses and dead letters. */
public final class Publisher {
    private static final int MAX_REASON_CHARS = 4000;
    private final Sender sender;

    /** What takes records to Kafka. */
    @FunctionalInterface
    public interface Sender {
        /** The stage completes when all in-sync replicas have the record, or exceptionally. Safe for use by many threads. */
        CompletionStage<?> send(ProducerRecord<String, byte[]> record);
    }

    public Publisher(Sender sender) {
        this.sender = sender;
    }

    /**
     * Publishes an event, or a job request, to its topic.
     *
     * @param source who speaks: the CloudEvent's source is {@code /safelora/<source>}
     * @param data a record of {@link io.safelora.contract.Topics#EVENT_TYPES}
     * @param trace W3C trace context headers to carry on
     * @throws KafkaException if Kafka did not take it
     */
    public void publish(String jobId, String source, Object data, Map<String, String> trace) {
        if (!EventCodec.isJobId(jobId)) {
            throw new IllegalArgumentException("the job id is refused; it must be 1 to 128 of A-Z a-z 0-9 . _ -");
        }
        await(sender.send(EventCodec.write(jobId, source, data, trace)));
    }

    /** Publishes RUNNING without waiting: the next one replaces it anyway. */
    void running(Event event, String stage, Double progress, Double eta, String message, TrainingStep training) {
        sender.send(EventCodec.write(
                event.jobId(),
                stage,
                new JobStatus(JobStatus.State.RUNNING, stage, progress, eta, message, null, Instant.now(), training),
                event.trace()));
    }

    void end(String jobId, String stage, JobStatus.State state, String error, Map<String, String> trace) {
        Double progress = state == JobStatus.State.SUCCEEDED ? 1.0 : null;
        publish(jobId, stage, new JobStatus(state, stage, progress, null, null, error, Instant.now(), null), trace);
    }

    /** The record as it came, with the reason in headers that have the names that SmallRye gives them. */
    void deadLetter(String topic, ConsumerRecord<byte[], byte[]> record, String stage, String reason, Throwable cause) {
        String key = record.key() == null ? null : new String(record.key(), StandardCharsets.UTF_8);
        ProducerRecord<String, byte[]> letter = new ProducerRecord<>(topic, key, record.value());
        for (Header header : record.headers()) {
            letter.headers().add(header);
        }
        Map<String, String> why = new HashMap<>();
        why.put(
                "dead-letter-reason",
                reason.length() > MAX_REASON_CHARS ? reason.substring(0, MAX_REASON_CHARS) : reason);
        why.put("dead-letter-stage", stage);
        why.put("dead-letter-topic", record.topic());
        why.put("dead-letter-partition", String.valueOf(record.partition()));
        why.put("dead-letter-offset", String.valueOf(record.offset()));
        if (cause != null) {
            why.put("dead-letter-exception-class-name", cause.getClass().getName());
        }
        why.forEach((name, value) -> letter.headers().add(name, value.getBytes(StandardCharsets.UTF_8)));
        await(sender.send(letter));
    }

    private static void await(CompletionStage<?> sent) {
        try {
            sent.toCompletableFuture().get();
        } catch (ExecutionException e) {
            throw e.getCause() instanceof KafkaException k ? k : new KafkaException(e.getCause());
        } catch (InterruptedException e) {
            throw new InterruptException(e);
        }
    }
}
