package io.safelora.testkit;

import io.safelora.contract.Json;
import io.safelora.contract.Topics;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** A user of the system with ordinary Kafka clients: publishes strings and reads strings. */
public final class PlainUser implements AutoCloseable {
    private final KafkaProducer<String, String> producer;
    private final KafkaConsumer<String, String> consumer;
    private final List<ConsumerRecord<String, String>> seen = new ArrayList<>();

    public PlainUser(String bootstrapServers) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrapServers));
        producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
        config.put("auto.offset.reset", "earliest");
        consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
    }

    public void send(String topic, String key, String value, Map<String, String> headers) throws Exception {
        ProducerRecord<String, String> record = new ProducerRecord<>(topic, key, value);
        headers.forEach((k, v) -> record.headers().add(k, v.getBytes(StandardCharsets.UTF_8)));
        producer.send(record).get();
    }

    public void submit(String key, String json) throws Exception {
        send(Topics.JOBS, key, json, Map.of());
    }

    /** The first {@code n} records of a topic that fit; fails after a minute. */
    public List<ConsumerRecord<String, String>> await(
            String topic, int n, Predicate<ConsumerRecord<String, String>> fits) {
        if (consumer.assignment().isEmpty()) {
            List<TopicPartition> all = Topics.ALL.stream()
                    .flatMap(t -> consumer.partitionsFor(t).stream())
                    .map(p -> new TopicPartition(p.topic(), p.partition()))
                    .toList();
            consumer.assign(all);
            consumer.seekToBeginning(all);
        }
        long end = System.nanoTime() + Duration.ofMinutes(1).toNanos();
        while (true) {
            List<ConsumerRecord<String, String>> found = seen.stream()
                    .filter(r -> r.topic().equals(topic))
                    .filter(fits)
                    .toList();
            if (found.size() >= n) {
                return found;
            }
            if (System.nanoTime() > end) {
                throw new AssertionError(topic + " has " + found.size() + " of " + n + "; seen: " + seen);
            }
            consumer.poll(Duration.ofMillis(200)).forEach(seen::add);
        }
    }

    /** What is on the topic now, for "nothing more came". */
    public List<ConsumerRecord<String, String>> all(String topic, Predicate<ConsumerRecord<String, String>> fits) {
        await(topic, 0, fits);
        consumer.poll(Duration.ofMillis(500)).forEach(seen::add);
        return await(topic, 0, fits);
    }

    public ConsumerRecord<String, String> status(String jobId, String state) {
        return await(
                        Topics.JOB_STATUS,
                        1,
                        r -> r.key().equals(jobId) && json(r).get("state").equals(state))
                .get(0);
    }

    @SuppressWarnings("unchecked")
    public static Map<String, Object> json(ConsumerRecord<String, String> record) {
        try {
            return Json.MAPPER.readValue(record.value(), Map.class);
        } catch (Exception e) {
            throw new AssertionError(record.toString(), e);
        }
    }

    public static String header(ConsumerRecord<?, ?> record, String name) {
        var header = record.headers().lastHeader(name);
        return header == null ? null : new String(header.value(), StandardCharsets.UTF_8);
    }

    @Override
    public void close() {
        producer.close();
        consumer.close();
    }
}
