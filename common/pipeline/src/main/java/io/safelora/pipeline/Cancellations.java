package io.safelora.pipeline;

import io.safelora.contract.JobEvent.JobCancelled;
import io.safelora.contract.Topics;
import java.time.Duration;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The jobs that users cancelled. Every replica is given all records of {@link Topics#CONTROLS}, from its beginning as
 * far as it is retained: a replica that starts later must know too.
 */
public final class Cancellations {
    private static final Logger LOG = LoggerFactory.getLogger(Cancellations.class);
    private static final int REMEMBERED = 100_000;

    /** Of whatever a job's id stands for where {@code run} is null, else of that run alone. */
    private record Cancelled(String jobId, String run) {}

    private final Set<Cancelled> cancelled =
            Collections.synchronizedSet(Collections.newSetFromMap(new LinkedHashMap<>() {
                @Override
                protected boolean removeEldestEntry(Map.Entry<Cancelled, Boolean> eldest) {
                    return size() > REMEMBERED;
                }
            }));
    private final List<Runnable> listeners = new CopyOnWriteArrayList<>();
    private final Map<Integer, Long> read = new HashMap<>();

    /** Takes in one record of the topic. */
    public void accept(ConsumerRecord<byte[], byte[]> record) {
        try {
            Event event = EventCodec.read(record);
            if (cancelled.add(new Cancelled(event.jobId(), ((JobCancelled) event.data()).run()))) {
                listeners.forEach(Runnable::run);
            }
        } catch (IllegalArgumentException e) {
            LOG.warn("{} is ignored: {}", WorkQueue.at(record), e.getMessage());
        }
        synchronized (read) {
            read.put(record.partition(), record.offset() + 1);
            read.notifyAll();
        }
    }

    /**
     * Waits until all that was on the topic is taken in.
     *
     * @param ends by partition, the offset after its last record
     */
    void awaitRead(Map<Integer, Long> ends, Duration timeout) throws InterruptedException {
        long end = System.nanoTime() + timeout.toNanos();
        synchronized (read) {
            while (ends.entrySet().stream().anyMatch(e -> read.getOrDefault(e.getKey(), 0L) < e.getValue())) {
                long left = (end - System.nanoTime()) / 1_000_000;
                if (left <= 0) {
                    LOG.warn("{} is not read to its end yet; a cancelled job may run for a while", Topics.CONTROLS);
                    return;
                }
                read.wait(left);
            }
        }
    }

    boolean contains(Event event) {
        return cancelled.contains(new Cancelled(event.jobId(), null))
                || cancelled.contains(new Cancelled(event.jobId(), event.run()));
    }

    /** Calls {@code listener} whenever a job is cancelled from now on. */
    void onCancel(Runnable listener) {
        listeners.add(listener);
    }
}
