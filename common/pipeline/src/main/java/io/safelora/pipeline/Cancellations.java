package io.safelora.pipeline;

import io.safelora.contract.Topics;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The jobs that users cancelled. Every replica reads all of {@link Topics#CONTROLS}, from its beginning as far as it is
 * retained, without a consumer group: a replica that starts later must know too, and none may take a record from another.
 */
final class Cancellations implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Cancellations.class);
    private static final int REMEMBERED = 100_000;

    private final KafkaConsumer<byte[], byte[]> consumer;
    private final Set<String> cancelled = Collections.synchronizedSet(Collections.newSetFromMap(new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Boolean> eldest) {
            return size() > REMEMBERED;
        }
    }));
    private final List<Consumer<String>> listeners = new CopyOnWriteArrayList<>();
    private final CountDownLatch caughtUp = new CountDownLatch(1);
    private final Thread reader = new Thread(this::read, "safelora-controls");
    private volatile boolean closing;

    Cancellations(Map<String, Object> kafka) {
        Map<String, Object> config = KafkaProperties.consumer(kafka);
        config.remove("group.id");
        config.put("enable.auto.commit", false);
        config.put("auto.offset.reset", "earliest");
        this.consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        reader.setDaemon(true);
    }

    /** Starts reading, and waits until all that was there is read. */
    void start(Duration timeout) {
        reader.start();
        try {
            if (!caughtUp.await(timeout.toMillis(), TimeUnit.MILLISECONDS)) {
                LOG.warn("{} is not read to its end yet; a cancelled job may run for a while", Topics.CONTROLS);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    boolean contains(String jobId) {
        return cancelled.contains(jobId);
    }

    /** Calls {@code listener} with the id of every job that is cancelled from now on. */
    void onCancel(Consumer<String> listener) {
        listeners.add(listener);
    }

    private void read() {
        try (consumer) {
            Map<TopicPartition, Long> ends = null;
            while (!closing) {
                try {
                    if (ends == null) {
                        List<TopicPartition> partitions = consumer.partitionsFor(Topics.CONTROLS).stream()
                                .map(p -> new TopicPartition(p.topic(), p.partition()))
                                .toList();
                        consumer.assign(partitions);
                        consumer.seekToBeginning(partitions);
                        ends = consumer.endOffsets(partitions);
                    }
                    for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                        accept(record);
                    }
                    if (caughtUp.getCount() > 0
                            && ends.entrySet().stream().allMatch(e -> consumer.position(e.getKey()) >= e.getValue())) {
                        caughtUp.countDown();
                    }
                } catch (KafkaException e) {
                    LOG.warn("{} cannot be read: {}; trying again", Topics.CONTROLS, e.toString());
                    Thread.sleep(2000);
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void accept(ConsumerRecord<byte[], byte[]> record) {
        String jobId = record.key() == null ? null : new String(record.key(), StandardCharsets.UTF_8);
        if (!EventCodec.isJobId(jobId)) {
            LOG.warn("{}-{}@{} is ignored: its key is no job id", record.topic(), record.partition(), record.offset());
        } else if (cancelled.add(jobId)) {
            listeners.forEach(listener -> listener.accept(jobId));
        }
    }

    @Override
    public void close() {
        closing = true;
        try {
            reader.join(5000);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
