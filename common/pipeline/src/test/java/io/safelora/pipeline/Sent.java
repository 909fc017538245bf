package io.safelora.pipeline;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.safelora.contract.JobEvent.JobStatus;
import io.safelora.contract.Topics;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;

/** What a {@link Publisher} sent, as a consumer reads it, for tests of what runs without a broker. */
final class Sent implements Publisher.Sender {
    final List<ConsumerRecord<byte[], byte[]>> records = new CopyOnWriteArrayList<>();

    /** What becomes of every record. */
    volatile CompletionStage<?> answer = CompletableFuture.completedStage(null);

    @Override
    public CompletionStage<?> send(ProducerRecord<String, byte[]> record) {
        byte[] key = record.key() == null ? null : record.key().getBytes(UTF_8);
        ConsumerRecord<byte[], byte[]> read =
                new ConsumerRecord<>(record.topic(), 0, records.size(), key, record.value());
        for (Header header : record.headers()) {
            read.headers().add(header);
        }
        records.add(read);
        return answer;
    }

    List<ConsumerRecord<byte[], byte[]>> on(String topic) {
        return records.stream().filter(r -> r.topic().equals(topic)).toList();
    }

    List<Event> events(String topic) {
        return on(topic).stream().map(EventCodec::read).toList();
    }

    List<JobStatus> statuses() {
        return events(Topics.JOB_STATUS).stream()
                .map(event -> (JobStatus) event.data())
                .toList();
    }

    static String header(ConsumerRecord<byte[], byte[]> record, String name) {
        Header header = record.headers().lastHeader(name);
        return header == null ? null : new String(header.value(), UTF_8);
    }
}
