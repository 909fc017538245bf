package io.safelora.pipeline;

import io.safelora.artifacts.store.ContentAddress;
import io.safelora.contract.InvalidJobException;
import io.safelora.contract.JobEvent.EvaluationCompleted;
import io.safelora.contract.JobEvent.JobCancelled;
import io.safelora.contract.JobEvent.JobStatus;
import io.safelora.contract.JobEvent.JobStatus.State;
import io.safelora.contract.JobId;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Topics;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import org.apache.kafka.clients.CommonClientConfigs;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** A user of the system, seen from Kafka: publishes jobs and cancellations, follows a job to its end. */
public final class JobClient {
    private static final Duration POLL = Duration.ofMillis(200);
    /** A user who named the wrong server should know it within ten seconds. */
    private static final Duration ANSWER_WITHIN = Duration.ofSeconds(7);

    private static final String SOURCE = "cli";

    private final String bootstrapServers;

    public JobClient(String bootstrapServers) {
        this.bootstrapServers = bootstrapServers;
    }

    /**
     * What became of a submission.
     *
     * @param jobId what the job is called
     * @param known null if the request was published; else the last status of the same document under the same id, and
     *     nothing was published
     */
    public record Submission(String jobId, JobStatus known) {}

    /**
     * Publishes {@code request} as the JobRequested event of {@code jobId}, unless the id stands for the same document
     * already.
     *
     * @param jobId null for a new one
     * @param replace whether the id may be taken from another document, and the same one is to be run again
     * @throws InvalidJobException if the id is unfit, or stands for another document
     * @throws IOException if Kafka does not answer; the message names the server
     */
    public Submission submit(String jobId, JobRequest request, boolean replace) throws IOException {
        String id = jobId == null ? "job-" + UUID.randomUUID().toString().substring(0, 8) : JobId.checked(jobId);
        awaitTopics(Set.of(Topics.JOBS, Topics.JOB_STATUS));
        if (jobId != null && !replace) {
            Known known = new Known(jobId);
            try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
                readToEnd(consumer, List.of(Topics.JOBS, Topics.JOB_STATUS)).forEach(known::add);
            }
            Optional<JobStatus> there = known.status();
            if (there.isPresent()) {
                if (!ContentAddress.of(request).equals(there.get().requestSha256())) {
                    throw new InvalidJobException("the job id " + jobId + " stands for another document, "
                            + inWords(there.get())
                            + "; take another --id, or --replace that job");
                }
                return new Submission(id, there.get());
            }
        }
        publish(EventCodec.write(id, null, replace, SOURCE, request, Map.of()));
        return new Submission(id, null);
    }

    /** A job's state, for the middle of a sentence. */
    public static String inWords(JobStatus status) {
        return switch (status.state()) {
            case RUNNING -> status.stage() == null ? "which waits for a worker" : "which runs in " + status.stage();
            case SUCCEEDED -> "which succeeded";
            case FAILED -> "which failed in " + status.stage() + " (" + status.error() + ")";
            case CANCELLED -> "which was cancelled";
        };
    }

    /**
     * Asks every replica to stop the run that {@code jobId} stands for now; if it stands for nothing yet, whatever it
     * will.
     *
     * @throws InvalidJobException if the id is unfit
     * @throws IOException if Kafka does not answer; the message names the server
     */
    public void cancel(String jobId, String reason) throws IOException {
        JobId.checked(jobId);
        awaitTopics(Set.of(Topics.JOBS, Topics.JOB_STATUS, Topics.CONTROLS));
        Known known = new Known(jobId);
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            readToEnd(consumer, List.of(Topics.JOBS, Topics.JOB_STATUS)).forEach(known::add);
        }
        publish(EventCodec.write(
                jobId, null, false, SOURCE, new JobCancelled(reason, known.run().orElse(null)), Map.of()));
    }

    /**
     * Reads the status events of the run that {@code jobId} stands for, until its final one. When a request replaces
     * that run meanwhile, the new one is followed.
     *
     * @param onStatus called for every status event of the run
     * @param patience how long to wait for the first sign of the run
     * @return the job's result, or null if it failed or was cancelled
     * @throws InvalidJobException if the id is unfit
     * @throws IOException if Kafka does not answer, or no status of the run is there after {@code patience}
     */
    public EvaluationCompleted follow(String jobId, Consumer<JobStatus> onStatus, Duration patience)
            throws IOException {
        JobId.checked(jobId);
        List<String> topics = List.of(Topics.JOBS, Topics.JOB_STATUS, Topics.EVALUATIONS);
        awaitTopics(Set.copyOf(topics));
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            Known known = new Known(jobId);
            List<Event> events = new ArrayList<>();
            // Which run is meant is known only when all that is there is read: the topics come in any order.
            List<ConsumerRecord<byte[], byte[]>> records = readToEnd(consumer, topics);
            records.forEach(record -> known.add(record).ifPresent(events::add));
            Following following = new Following(known.run(), onStatus);
            Instant began = Instant.now();
            events.forEach(following::add);
            while (!following.isOver()) {
                if (following.last == null
                        && Duration.between(began, Instant.now()).compareTo(patience) > 0) {
                    throw new IOException("job " + jobId + ": no status on " + Topics.JOB_STATUS + " of "
                            + bootstrapServers + " within " + patience.toSeconds()
                            + " s; was it submitted to this system, and does its alignment-analyzer run?");
                }
                int before = events.size();
                consumer.poll(POLL).forEach(record -> known.add(record).ifPresent(events::add));
                if (known.isReplaced() && !known.run().equals(following.run)) {
                    following = new Following(known.run(), onStatus);
                    began = Instant.now();
                    before = 0;
                }
                events.subList(before, events.size()).forEach(following::add);
            }
            return following.result();
        }
    }

    /** What a run has said so far. */
    private static final class Following {
        private final Optional<String> run;
        private final Consumer<JobStatus> onStatus;
        private EvaluationCompleted result;
        private JobStatus last;

        /** @param run the run whose events are looked at; empty for any */
        Following(Optional<String> run, Consumer<JobStatus> onStatus) {
            this.run = run;
            this.onStatus = onStatus;
        }

        void add(Event event) {
            if (run.isPresent() && !run.get().equals(event.run())) {
                return;
            }
            if (event.data() instanceof EvaluationCompleted completed) {
                result = completed;
            } else if (event.data() instanceof JobStatus status) {
                last = status;
                onStatus.accept(status);
            }
        }

        /** The result and the last status lie on two topics: whichever comes first, the other is waited for. */
        boolean isOver() {
            return last != null && last.state().isFinal() && (result != null || last.state() != State.SUCCEEDED);
        }

        EvaluationCompleted result() {
            return last.state() == State.SUCCEEDED ? result : null;
        }
    }

    /** What the topics tell of one job, as the first stage understands them: see {@link Runs}. */
    private static final class Known {
        private final String jobId;
        private Event request;
        private JobStatus last;

        Known(String jobId) {
            this.jobId = jobId;
        }

        private Optional<Event> eventOf(ConsumerRecord<byte[], byte[]> record) {
            if (record.key() != null && !jobId.equals(new String(record.key(), StandardCharsets.UTF_8))) {
                return Optional.empty();
            }
            try {
                return Optional.of(EventCodec.readAsClient(record))
                        .filter(e -> e.jobId().equals(jobId))
                        // A state that this version does not know is not an end that it could tell of.
                        .filter(e -> !(e.data() instanceof JobStatus status) || status.state() != null);
            } catch (IllegalArgumentException e) {
                return Optional.empty();
            }
        }

        /** Takes in a record; its event, if it is of this job. */
        Optional<Event> add(ConsumerRecord<byte[], byte[]> record) {
            Optional<Event> event = eventOf(record);
            event.ifPresent(e -> {
                if (e.data() instanceof JobStatus status) {
                    last = status;
                } else if (e.data() instanceof JobRequest && (request == null || e.replace())) {
                    request = e;
                }
            });
            return event;
        }

        boolean isReplaced() {
            return request != null && request.replace();
        }

        /** The run that the id stands for; empty if nothing tells. */
        Optional<String> run() {
            boolean begun = last != null && last.run() != null && last.requestSha256() != null;
            // A topic of requests forgets, the one of statuses does not: only a replacement is newer than what a status
            // says.
            if (begun && !isReplaced()) {
                return Optional.of(last.run());
            }
            return Optional.ofNullable(request).map(Event::run);
        }

        /** The state of what the id stands for; empty if no request that could be read has come under it. */
        Optional<JobStatus> status() {
            Optional<String> run = run();
            if (last != null && (run.isEmpty() || run.get().equals(last.run()))) {
                // Without a run it is an older version's; with one but no request its request could not be read.
                return last.run() != null && last.requestSha256() == null ? Optional.empty() : Optional.of(last);
            }
            return Optional.ofNullable(request)
                    .map(r -> new JobStatus(
                            State.RUNNING,
                            null,
                            null,
                            null,
                            null,
                            null,
                            Instant.now(),
                            null,
                            r.run(),
                            r.requestSha256()));
        }
    }

    private Map<String, Object> properties() {
        return Map.of(
                CommonClientConfigs.BOOTSTRAP_SERVERS_CONFIG,
                bootstrapServers,
                CommonClientConfigs.SOCKET_CONNECTION_SETUP_TIMEOUT_MS_CONFIG,
                3_000L);
    }

    private KafkaConsumer<byte[], byte[]> consumer() {
        Map<String, Object> config = new HashMap<>(properties());
        config.put(ConsumerConfig.ALLOW_AUTO_CREATE_TOPICS_CONFIG, false);
        config.put(ConsumerConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, (int) ANSWER_WITHIN.toMillis());
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** All that is on the topics now; the consumer stands behind it. */
    private List<ConsumerRecord<byte[], byte[]>> readToEnd(KafkaConsumer<byte[], byte[]> consumer, List<String> topics)
            throws IOException {
        try {
            List<TopicPartition> partitions = topics.stream()
                    .flatMap(topic -> consumer.partitionsFor(topic).stream())
                    .map(p -> new TopicPartition(p.topic(), p.partition()))
                    .toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
            while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
                consumer.poll(POLL).forEach(records::add);
            }
            return records;
        } catch (KafkaException e) {
            throw new IOException("Kafka at " + bootstrapServers + ": " + e.getMessage(), e);
        }
    }

    /** Waits until the system has made its topics, which it does at its first start. */
    private void awaitTopics(Set<String> topics) throws IOException {
        long end = System.nanoTime() + ANSWER_WITHIN.toNanos();
        Map<String, Object> config = new HashMap<>(properties());
        config.put(AdminClientConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, (int) ANSWER_WITHIN.toMillis());
        config.put(AdminClientConfig.REQUEST_TIMEOUT_MS_CONFIG, (int) ANSWER_WITHIN.toMillis());
        Admin admin;
        try {
            admin = Admin.create(config);
        } catch (KafkaException e) {
            Throwable cause = e.getCause() == null ? e : e.getCause();
            throw new IOException(
                    "the Kafka server " + bootstrapServers + " cannot be found: " + cause.getMessage()
                            + "; look at --bootstrap-servers",
                    e);
        }
        try {
            while (true) {
                long left = Math.max(1, end - System.nanoTime());
                Set<String> there = admin.listTopics().names().get(left, TimeUnit.NANOSECONDS);
                if (there.containsAll(topics)) {
                    return;
                }
                if (System.nanoTime() > end) {
                    List<String> missing = topics.stream()
                            .filter(t -> !there.contains(t))
                            .sorted()
                            .toList();
                    throw new IOException("Kafka at " + bootstrapServers + " has no topic " + String.join(", ", missing)
                            + "; the services make it when they start");
                }
                Thread.sleep(POLL.toMillis());
            }
        } catch (TimeoutException e) {
            throw silent(e);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof org.apache.kafka.common.errors.TimeoutException) {
                throw silent(e);
            }
            throw new IOException(
                    "Kafka at " + bootstrapServers + ": " + e.getCause().getMessage(), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while waiting for Kafka at " + bootstrapServers, e);
        } finally {
            admin.close(Duration.ZERO);
        }
    }

    private IOException silent(Exception e) {
        return new IOException(
                "no Kafka broker answers at " + bootstrapServers + " within " + ANSWER_WITHIN.toSeconds()
                        + " s; does it run, and is --bootstrap-servers the address it listens on?",
                e);
    }

    private void publish(ProducerRecord<String, byte[]> record) throws IOException {
        Map<String, Object> config = new HashMap<>(properties());
        config.put(ProducerConfig.MAX_BLOCK_MS_CONFIG, ANSWER_WITHIN.toMillis());
        config.put(ProducerConfig.ACKS_CONFIG, "all");
        try (KafkaProducer<String, byte[]> producer =
                new KafkaProducer<>(config, new StringSerializer(), new ByteArraySerializer())) {
            producer.send(record).get();
        } catch (ExecutionException e) {
            throw new IOException(
                    "the event did not reach " + record.topic() + " on " + bootstrapServers + ": "
                            + e.getCause().getMessage(),
                    e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while publishing to " + record.topic(), e);
        }
    }
}
