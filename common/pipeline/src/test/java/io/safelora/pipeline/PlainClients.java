package io.safelora.pipeline;

import io.safelora.contract.Topics;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** What SmallRye's channels are in a service, by plain Kafka clients: the pipeline is tested without Quarkus. */
final class PlainClients implements AutoCloseable {
    final Cancellations cancellations = new Cancellations();
    final Publisher publisher = new Publisher(this::send);

    private final KafkaProducer<String, byte[]> producer;
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final Thread reader = new Thread(this::read, "controls");

    PlainClients(Map<String, Object> kafka) {
        Map<String, Object> config = new HashMap<>(kafka);
        config.put("auto.offset.reset", "earliest");
        producer = new KafkaProducer<>(kafka, new StringSerializer(), new ByteArraySerializer());
        consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        reader.setDaemon(true);
        reader.start();
    }

    private CompletionStage<?> send(ProducerRecord<String, byte[]> record) {
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
                consumer.poll(Duration.ofMillis(500)).forEach(cancellations::accept);
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
