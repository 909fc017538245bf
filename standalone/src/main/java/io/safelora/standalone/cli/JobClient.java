package io.safelora.standalone.cli;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.JsonProcessingException;
import io.safelora.contract.JobEvent.EvaluationCompleted;
import io.safelora.contract.JobEvent.JobCancelled;
import io.safelora.contract.JobEvent.JobStatus;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.contract.Topics;
import io.safelora.contract.Topics.EventType;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.function.Consumer;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** A user of the system, seen from Kafka: publishes jobs and cancellations, follows a job to its end. */
final class JobClient {
    private static final Duration POLL = Duration.ofMillis(200);

    private final String bootstrapServers;

    JobClient(String bootstrapServers) {
        this.bootstrapServers = bootstrapServers;
    }

    /** Publishes {@code request} as the JobRequested event of {@code jobId}. */
    void submit(String jobId, JobRequest request) throws IOException {
        publish(jobId, request);
    }

    /** Asks every replica to stop {@code jobId}. */
    void cancel(String jobId, String reason) throws IOException {
        publish(jobId, new JobCancelled(reason));
    }

    /**
     * Reads the status events of {@code jobId} until its final one.
     *
     * @param onStatus called for every status event
     * @param patience how long to wait for the first sign of the job
     * @return the job's result, or null if it failed or was cancelled
     * @throws IOException if no status of the job is there after {@code patience}
     */
    EvaluationCompleted follow(String jobId, Consumer<JobStatus> onStatus, Duration patience) throws IOException {
        Map<String, Object> config = Map.of(
                ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG,
                bootstrapServers,
                ConsumerConfig.ALLOW_AUTO_CREATE_TOPICS_CONFIG,
                false);
        try (KafkaConsumer<String, byte[]> consumer =
                new KafkaConsumer<>(config, new StringDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> partitions = List.of(Topics.JOB_STATUS, Topics.EVALUATIONS).stream()
                    .flatMap(topic -> consumer.partitionsFor(topic).stream())
                    .map(p -> new TopicPartition(p.topic(), p.partition()))
                    .toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            EvaluationCompleted result = null;
            JobStatus last = null;
            Instant began = Instant.now();
            while (true) {
                for (ConsumerRecord<String, byte[]> record : consumer.poll(POLL)) {
                    if (!jobId.equals(record.key()) || record.value() == null) {
                        continue;
                    }
                    if (record.topic().equals(Topics.EVALUATIONS)) {
                        result = Json.MAPPER.readValue(record.value(), EvaluationCompleted.class);
                    } else {
                        last = Json.MAPPER.readValue(record.value(), JobStatus.class);
                        onStatus.accept(last);
                    }
                }
                if (last == null && Duration.between(began, Instant.now()).compareTo(patience) > 0) {
                    throw new IOException("job " + jobId + ": no status on " + Topics.JOB_STATUS + " of "
                            + bootstrapServers + " within " + patience.toSeconds()
                            + " s; was it submitted to this system, and does its alignment-analyzer run?");
                }
                // The result and the last status lie on two topics: whichever comes first, wait for the other.
                if (last != null
                        && last.state().isFinal()
                        && (result != null || last.state() != JobStatus.State.SUCCEEDED)) {
                    return last.state() == JobStatus.State.SUCCEEDED ? result : null;
                }
            }
        }
    }

    private void publish(String jobId, Object data) throws IOException {
        EventType event = Topics.of(data.getClass());
        Map<String, Object> config = Map.of(
                ProducerConfig.BOOTSTRAP_SERVERS_CONFIG,
                bootstrapServers,
                ProducerConfig.MAX_BLOCK_MS_CONFIG,
                20_000,
                ProducerConfig.ACKS_CONFIG,
                "all");
        try (KafkaProducer<String, byte[]> producer =
                new KafkaProducer<>(config, new StringSerializer(), new ByteArraySerializer())) {
            ProducerRecord<String, byte[]> record =
                    new ProducerRecord<>(event.topic(), jobId, Json.MAPPER.writeValueAsBytes(data));
            Map.of(
                            "ce_specversion",
                            "1.0",
                            "ce_id",
                            UUID.randomUUID().toString(),
                            "ce_type",
                            event.type(),
                            "ce_source",
                            "/safelora/cli",
                            "ce_subject",
                            jobId,
                            "ce_time",
                            Instant.now().toString(),
                            "content-type",
                            "application/json")
                    .forEach((name, value) -> record.headers().add(name, value.getBytes(UTF_8)));
            producer.send(record).get();
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(e);
        } catch (ExecutionException e) {
            throw new IOException(
                    "the event did not reach " + event.topic() + " on " + bootstrapServers + ": "
                            + e.getCause().getMessage(),
                    e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while publishing to " + event.topic(), e);
        }
    }
}
