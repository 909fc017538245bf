package io.safelora.testkit;

import io.safelora.contract.Topics;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.function.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * What SmallRye's channels are in a service, by plain Kafka clients, so that stages run without Quarkus: {@link #send}
 * is what its publisher sends by, and the records of {@link Topics#CONTROLS} are given to a listener.
 */
public final class PlainClients implements AutoCloseable {
    private final KafkaProducer<String, byte[]> producer;
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final Consumer<ConsumerRecord<byte[], byte[]>> onControl;
    private final Thread reader = new Thread(this::read, "controls");

    /** @param onControl is given all records of safelora.controls, on a thread of its own */
    public PlainClients(String bootstrapServers, Consumer<ConsumerRecord<byte[], byte[]>> onControl) {
        this.onControl = onControl;
        Map<String, Object> kafka = Map.of("bootstrap.servers", bootstrapServers);
        Map<String, Object> config = new HashMap<>(kafka);
        config.put("auto.offset.reset", "earliest");
        producer = new KafkaProducer<>(kafka, new StringSerializer(), new ByteArraySerializer());
        consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        reader.setDaemon(true);
        reader.start();
    }

    /** Completes when all in-sync replicas have the record. */
    public CompletionStage<?> send(ProducerRecord<String, byte[]> record) {
        CompletableFuture<Void> sent = new CompletableFuture<>();
        producer.send(record, (metadata, error) -> {
            if (error == null) {
                sent.complete(null);
            } else {
                sent.completeExceptionally(error);
            }
        });
        return sent;
    }

    private void read() {
        try (consumer) {
            // Subscribed to by no group: the topic may not exist yet, and is found as soon as it does.
            while (consumer.listTopics().get(Topics.CONTROLS) == null) {
                Thread.sleep(50);
            }
            consumer.assign(List.of(new TopicPartition(Topics.CONTROLS, 0)));
            consumer.seekToBeginning(consumer.assignment());
            while (true) {
                consumer.poll(Duration.ofMillis(500)).forEach(onControl);
            }
        } catch (WakeupException | InterruptedException closed) {
            // By close().
        }
    }

    @Override
    public void close() throws Exception {
        consumer.wakeup();
        reader.join(5000);
        producer.close();
    }
}
