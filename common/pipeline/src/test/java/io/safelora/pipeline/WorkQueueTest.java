package io.safelora.pipeline;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringSerializer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A worker's end of a share group, on a topic of its own. The lock lasts one second. */
@Timeout(value = 1, unit = TimeUnit.MINUTES)
class WorkQueueTest {
    private final String topic = "work-" + UUID.randomUUID();
    private final String group = "group-" + UUID.randomUUID();
    private final BlockingQueue<String> taken = new LinkedBlockingQueue<>();
    private final BlockingQueue<String> ended = new LinkedBlockingQueue<>();
    private WorkQueue queue;

    @BeforeEach
    void prepare() throws Exception {
        SharedKafka.createTopic(topic);
        try (Admin admin = Admin.create(SharedKafka.client())) {
            admin.incrementalAlterConfigs(Map.of(
                            new ConfigResource(ConfigResource.Type.GROUP, group),
                            List.of(
                                    set("share.auto.offset.reset", "earliest"),
                                    set("share.record.lock.duration.ms", "1000"))))
                    .all()
                    .get();
        }
    }

    private static AlterConfigOp set(String name, String value) {
        return new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET);
    }

    @AfterEach
    void close() {
        queue.close();
        assertThat(queue.isAlive()).isFalse();
    }

    private void send(String... values) throws Exception {
        try (KafkaProducer<String, String> producer =
                new KafkaProducer<>(SharedKafka.client(), new StringSerializer(), new StringSerializer())) {
            for (String value : values) {
                producer.send(new ProducerRecord<>(topic, value)).get();
            }
        }
    }

    private void start(WorkQueue.Worker worker) {
        queue = new WorkQueue(SharedKafka.client(), group, Set.of(topic), (record, claim) -> {
            taken.add(value(record));
            return worker.work(record, claim);
        });
        queue.start();
        assertThat(queue.isAlive()).isTrue();
    }

    private static String value(ConsumerRecord<byte[], byte[]> record) {
        return new String(record.value(), UTF_8);
    }

    private String next() throws InterruptedException {
        return taken.poll(30, TimeUnit.SECONDS);
    }

    /** Works until the claim ends, and says why. */
    private AcknowledgeType workUntilStopped(Claim claim) {
        try {
            while (true) {
                claim.check();
                Thread.sleep(10);
            }
        } catch (TaskStopped e) {
            ended.add(e.why().name());
            return AcknowledgeType.RELEASE;
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void whatIsReleasedComesAgainAndWhatIsNotDoesNot() throws Exception {
        send("rejected", "released", "accepted", "thrown", "last");
        start((record, claim) -> {
            boolean first = record.deliveryCount().orElseThrow() == 1;
            return switch (value(record)) {
                case "rejected" -> AcknowledgeType.REJECT;
                case "released" -> first ? AcknowledgeType.RELEASE : AcknowledgeType.ACCEPT;
                case "thrown" -> {
                    if (first) {
                        throw new IllegalStateException("a fault of the worker");
                    }
                    yield AcknowledgeType.ACCEPT;
                }
                default -> AcknowledgeType.ACCEPT;
            };
        });
        List<String> all = new ArrayList<>();
        for (int i = 0; i < 7; i++) {
            all.add(next());
        }
        assertThat(all)
                .containsExactlyInAnyOrder("rejected", "released", "released", "accepted", "thrown", "thrown", "last");
        assertThat(taken.poll(2, TimeUnit.SECONDS))
                .as("nothing comes a second time")
                .isNull();
    }

    @Test
    void aTaskThatOutlastsTheLockIsOneWorkersAlone() throws Exception {
        send("long", "next");
        start((record, claim) -> {
            if (value(record).equals("long")) {
                long end = System.nanoTime() + Duration.ofSeconds(3).toNanos();
                while (System.nanoTime() < end) {
                    claim.check();
                }
            }
            return AcknowledgeType.ACCEPT;
        });
        assertThat(next()).isEqualTo("long");
        assertThat(next()).as("one at a time").isEqualTo("next");
        assertThat(taken.poll(2, TimeUnit.SECONDS)).isNull();
    }

    /** A worker whose lock is lost must stop: the task is another's. */
    @Test
    void aTaskWhoseLockCannotBeRenewedIsStopped() throws Exception {
        send("task");
        start((record, claim) -> workUntilStopped(claim));
        assertThat(next()).isEqualTo("task");
        try (Admin admin = Admin.create(SharedKafka.client())) {
            admin.deleteTopics(List.of(topic)).all().get();
        }
        assertThat(ended.poll(30, TimeUnit.SECONDS)).isEqualTo("CLAIM_LOST");
    }

    @Test
    void aWorkerThatClosesAsksItsTaskToEnd() throws Exception {
        send("task");
        start((record, claim) -> workUntilStopped(claim));
        assertThat(next()).isEqualTo("task");
        queue.close();
        assertThat(ended.poll()).as("closing waits for it").isEqualTo("CLOSING");
        // It was released, not lost: another worker has it at once.
        ended.clear();
        start((record, claim) -> AcknowledgeType.ACCEPT);
        assertThat(next()).isEqualTo("task");
    }

    @Test
    void whereARecordLies() {
        assertThat(WorkQueue.at(new ConsumerRecord<>("safelora.jobs", 0, 17, null, null)))
                .isEqualTo("safelora.jobs-0@17");
        start((record, claim) -> AcknowledgeType.ACCEPT);
    }
}
