package io.safelora.pipeline.quarkus;

import io.safelora.pipeline.Cancellations;
import io.safelora.pipeline.Publisher;
import io.smallrye.reactive.messaging.MutinyEmitter;
import io.smallrye.reactive.messaging.kafka.api.OutgoingKafkaRecordMetadata;
import jakarta.enterprise.context.ApplicationScoped;
import java.util.concurrent.CompletionStage;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.eclipse.microprofile.reactive.messaging.Channel;
import org.eclipse.microprofile.reactive.messaging.Incoming;
import org.eclipse.microprofile.reactive.messaging.Message;
import org.eclipse.microprofile.reactive.messaging.OnOverflow;

/**
 * The pipeline's channels: what it says goes out through {@code safelora-events}, whatever the topic, and
 * {@code safelora-controls} brings users' wishes to every replica. META-INF/microprofile-config.properties has their
 * configuration. Tasks come by share groups, and by no channel: see WorkQueue.
 */
@ApplicationScoped
public class KafkaChannels {
    private final MutinyEmitter<byte[]> events;
    private final Publisher publisher = new Publisher(this::send);
    private final Cancellations cancellations = new Cancellations();

    KafkaChannels(
            // Statuses are sent without waiting; a burst of them must not fail the task that tells of itself.
            @Channel("safelora-events") @OnOverflow(OnOverflow.Strategy.UNBOUNDED_BUFFER)
                    MutinyEmitter<byte[]> events) {
        this.events = events;
    }

    private CompletionStage<?> send(ProducerRecord<String, byte[]> record) {
        OutgoingKafkaRecordMetadata<String> metadata = OutgoingKafkaRecordMetadata.<String>builder()
                .withTopic(record.topic())
                .withKey(record.key())
                .withHeaders(record.headers())
                .build();
        return events.sendMessage(Message.of(record.value()).addMetadata(metadata))
                .subscribeAsCompletionStage();
    }

    @Incoming("safelora-controls")
    void control(ConsumerRecord<byte[], byte[]> record) {
        cancellations.accept(record);
    }

    Publisher publisher() {
        return publisher;
    }

    Cancellations cancellations() {
        return cancellations;
    }
}
