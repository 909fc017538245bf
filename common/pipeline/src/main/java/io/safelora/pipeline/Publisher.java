package io.safelora.pipeline;

import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.JobStatus;
import io.safelora.contract.JobEvent.JobStatus.State;
import io.safelora.contract.JobEvent.TrainingStep;
import io.safelora.contract.JobId;
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
        /**
         * The stage completes when all in-sync replicas have the record, or exceptionally. Safe for use by many
         * threads.
         */
        CompletionStage<?> send(ProducerRecord<String, byte[]> record);
    }

    public Publisher(Sender sender) {
        this.sender = sender;
    }

    /**
     * Publishes an event of which no run is known, as a producer other than the pipeline does.
     *
     * @param source who speaks: the CloudEvent's source is {@code /safelora/<source>}
     * @throws KafkaException if Kafka did not take it
     */
    public void publish(String jobId, String source, JobEvent data, Map<String, String> trace) {
        await(sender.send(EventCodec.write(JobId.checked(jobId), null, false, source, data, trace)));
    }

    /**
     * Publishes what a stage has to say of a job.
     *
     * @param about the event that the stage works on: job, run and trace context are its
     * @param source who speaks: the CloudEvent's source is {@code /safelora/<source>}
     * @throws KafkaException if Kafka did not take it
     */
    void publish(Event about, String source, JobEvent data) {
        await(sender.send(EventCodec.write(about.jobId(), about.run(), false, source, data, about.trace())));
    }

    /** Publishes RUNNING without waiting: the next one replaces it anyway. */
    void running(Event event, String stage, Double progress, Double eta, String message, TrainingStep training) {
        JobStatus status = new JobStatus(
                State.RUNNING,
                stage,
                progress,
                eta,
                message,
                null,
                Instant.now(),
                training,
                event.run(),
                event.requestSha256());
        sender.send(EventCodec.write(event.jobId(), event.run(), false, stage, status, event.trace()));
    }

    void end(Event event, String stage, State state, String error) {
        publish(event, stage, ended(stage, state, error, event.run(), event.requestSha256()));
    }

    /** FAILED of a job whose request could not be read. */
    void refused(String jobId, String run, String stage, String error, Map<String, String> trace) {
        JobStatus status = ended(stage, State.FAILED, error, run, null);
        await(sender.send(EventCodec.write(jobId, run, false, stage, status, trace)));
    }

    private static JobStatus ended(String stage, State state, String error, String run, String requestSha256) {
        Double progress = state == State.SUCCEEDED ? 1.0 : null;
        return new JobStatus(state, stage, progress, null, null, error, Instant.now(), null, run, requestSha256);
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
