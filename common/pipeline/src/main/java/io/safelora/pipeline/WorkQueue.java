package io.safelora.pipeline;

import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One worker's end of a share group (KIP-932) whose records are long tasks: it takes one record at a time, and renews
 * the acquisition lock (KIP-1222) until the task has ended.
 *
 * <p>Why not the SmallRye connector: a lock that outlasts one renewal needs RENEW, its commit, and a poll that gives
 * the same record back before it can be renewed again. The connector's timer only marks the record; the mark is sent
 * with its next poll, which comes on demand, after the task; and what that poll gives back it would deliver again.
 */
final class WorkQueue implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(WorkQueue.class);
    private static final Duration POLL = Duration.ofMillis(500);
    private static final Duration PAUSE_AFTER_ERROR = Duration.ofSeconds(2);

    /** Works on one record, on a thread of its own. */
    interface Worker {
        /** What becomes of the record: ACCEPT, REJECT or RELEASE. Never throws. */
        AcknowledgeType work(ConsumerRecord<byte[], byte[]> record, Claim claim);
    }

    private final String group;
    private final Set<String> topics;
    private final Worker worker;
    private final KafkaShareConsumer<byte[], byte[]> consumer;
    private final ExecutorService tasks;
    private final Thread poller;
    private volatile boolean closing;
    private volatile Claim current;

    WorkQueue(Map<String, Object> kafka, String group, Set<String> topics, Worker worker) {
        this.group = group;
        this.topics = topics;
        this.worker = worker;
        Map<String, Object> config = KafkaProperties.consumer(kafka);
        config.put("group.id", group);
        config.put("share.acknowledgement.mode", "explicit");
        // With the default, batch_optimized, a worker may be given a whole batch, whose other tasks would wait for it.
        config.put("share.acquire.mode", "record_limit");
        config.put("max.poll.records", 1);
        this.consumer = new KafkaShareConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        this.tasks = Executors.newSingleThreadExecutor(r -> daemon(r, group + "-task"));
        this.poller = daemon(this::poll, group + "-poll");
    }

    void start() {
        poller.start();
    }

    boolean isAlive() {
        return poller.isAlive();
    }

    private void poll() {
        try {
            consumer.subscribe(topics);
            while (!closing) {
                try {
                    for (ConsumerRecord<byte[], byte[]> record : consumer.poll(POLL)) {
                        work(record);
                    }
                } catch (KafkaException e) {
                    // The client reconnects by itself; what ends up here is worth a line, never the end of the worker.
                    LOG.warn("{}: {}; polling goes on", group, e.toString());
                    pause();
                }
            }
        } catch (InterruptedException e) {
            LOG.warn("{}: interrupted", group);
        } finally {
            // Leaving the group releases whatever is still held.
            consumer.close(Duration.ofSeconds(5));
            tasks.shutdown();
        }
    }

    private void work(ConsumerRecord<byte[], byte[]> record) throws InterruptedException {
        Claim claim = new Claim();
        current = claim;
        if (closing) {
            claim.stop(TaskStopped.Why.CLOSING);
        }
        Future<AcknowledgeType> task = tasks.submit(() -> worker.work(record, claim));
        boolean held = true;
        AcknowledgeType verdict = null;
        while (verdict == null) {
            try {
                verdict = task.get(consumer.acquisitionLockTimeoutMs().orElse(30_000) / 3, TimeUnit.MILLISECONDS);
            } catch (TimeoutException stillWorking) {
                if (held && !renew(record)) {
                    held = false;
                    claim.stop(TaskStopped.Why.CLAIM_LOST);
                }
            } catch (ExecutionException e) {
                LOG.error("{}: {} cannot be worked on", group, at(record), e.getCause());
                verdict = AcknowledgeType.RELEASE;
            }
        }
        current = null;
        if (held) {
            consumer.acknowledge(record, verdict);
            commit(record);
        }
    }

    /** Extends the lock. False: it is lost, and the task is another worker's. */
    private boolean renew(ConsumerRecord<byte[], byte[]> record) {
        try {
            consumer.acknowledge(record, AcknowledgeType.RENEW);
            if (!commit(record)) {
                return false;
            }
            // The client lets a record be acknowledged only after poll gave it out, and that goes for a renewed one
            // again.
            boolean back = false;
            for (ConsumerRecord<byte[], byte[]> polled : consumer.poll(POLL)) {
                if (polled.topic().equals(record.topic())
                        && polled.partition() == record.partition()
                        && polled.offset() == record.offset()) {
                    back = true;
                } else {
                    consumer.acknowledge(polled, AcknowledgeType.RELEASE);
                }
            }
            return back;
        } catch (KafkaException | IllegalStateException e) {
            LOG.warn("{}: the lock on {} was not renewed: {}", group, at(record), e.toString());
            return false;
        }
    }

    private boolean commit(ConsumerRecord<byte[], byte[]> record) {
        for (Optional<KafkaException> error : consumer.commitSync().values()) {
            if (error.isPresent()) {
                LOG.warn(
                        "{}: {} is no longer held: {}",
                        group,
                        at(record),
                        error.get().toString());
                return false;
            }
        }
        return true;
    }

    /** Takes no more tasks, and asks a running one to stop at its next check. */
    void stop() {
        closing = true;
        Claim claim = current;
        if (claim != null) {
            claim.stop(TaskStopped.Why.CLOSING);
        }
    }

    /** Stops, and waits for it. */
    @Override
    public void close() {
        stop();
        try {
            poller.join(Duration.ofSeconds(20).toMillis());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static void pause() throws InterruptedException {
        Thread.sleep(PAUSE_AFTER_ERROR.toMillis());
    }

    /** Where a record lies, so that it can be found: {@code safelora.jobs-0@17}. */
    static String at(ConsumerRecord<?, ?> record) {
        return record.topic() + "-" + record.partition() + "@" + record.offset();
    }

    private static Thread daemon(Runnable body, String name) {
        Thread thread = new Thread(body, name);
        thread.setDaemon(true);
        return thread;
    }
}
