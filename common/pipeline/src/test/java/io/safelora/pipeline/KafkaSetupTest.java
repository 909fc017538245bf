package io.safelora.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.safelora.contract.Topics;
import io.safelora.testkit.Settings;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Callable;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringSerializer;
import org.junit.jupiter.api.Test;

class KafkaSetupTest {
    private static PipelineConfig config(Map<String, String> properties) {
        return Settings.of(PipelineConfig.class, properties);
    }

    @Test
    void topicsAndGroupsAreMadeAsConfigured() throws Exception {
        String group = "group-" + UUID.randomUUID();
        PipelineConfig config = config(Map.of(
                "safelora.topics.partitions", "3",
                "safelora.topics.replication-factor", "1",
                "safelora.task.lock", "PT7S"));
        ConfigResource status = new ConfigResource(ConfigResource.Type.TOPIC, Topics.JOB_STATUS);
        ConfigResource jobs = new ConfigResource(ConfigResource.Type.TOPIC, Topics.JOBS);
        ConfigResource of = new ConfigResource(ConfigResource.Type.GROUP, group);
        try (Admin admin = Admin.create(SharedKafka.client())) {
            if (admin.listTopics().names().get().contains(Topics.DEAD_LETTERS)) {
                admin.deleteTopics(List.of(Topics.DEAD_LETTERS)).all().get();
            }
            soon(() -> !admin.listTopics().names().get().contains(Topics.DEAD_LETTERS));
            for (int times = 0; times < 2; times++) {
                KafkaSetup.prepare(SharedKafka.client(), config, List.of(group), Duration.ofMinutes(1));
                soon(() -> admin.listTopics().names().get().containsAll(Topics.ALL));
            }
            var letters = admin.describeTopics(List.of(Topics.DEAD_LETTERS))
                    .allTopicNames()
                    .get();
            assertThat(letters.get(Topics.DEAD_LETTERS).partitions()).hasSize(3);
            soon(() -> "7000"
                    .equals(options(admin, of)
                            .get("share.record.lock.duration.ms")
                            .value()));
            assertThat(options(admin, of).get("share.auto.offset.reset").value())
                    .isEqualTo("earliest");
            assertThat(options(admin, status).get("cleanup.policy").value()).isEqualTo("compact");
            assertThat(options(admin, jobs).get("cleanup.policy").value()).isEqualTo("delete");
        }
    }

    private static Config options(Admin admin, ConfigResource of) throws Exception {
        return admin.describeConfigs(List.of(of)).all().get().get(of);
    }

    /** What the controller did is known to the broker a moment later. */
    private static void soon(Callable<Boolean> so) throws Exception {
        long end = System.nanoTime() + Duration.ofSeconds(20).toNanos();
        while (!so.call()) {
            assertThat(System.nanoTime()).isLessThan(end);
            Thread.sleep(50);
        }
    }

    @Test
    void aTopicsEndIsThatOfItsPartitionsWithRecords() throws Exception {
        String topic = "ends-" + UUID.randomUUID();
        SharedKafka.createTopic(topic);
        assertThat(KafkaSetup.ends(SharedKafka.client(), topic)).isEmpty();
        try (KafkaProducer<String, String> producer =
                new KafkaProducer<>(SharedKafka.client(), new StringSerializer(), new StringSerializer())) {
            producer.send(new ProducerRecord<>(topic, "a"));
            producer.send(new ProducerRecord<>(topic, "b")).get();
        }
        assertThat(KafkaSetup.ends(SharedKafka.client(), topic)).isEqualTo(Map.of(0, 2L));
    }

    @Test
    void aBrokerThatIsAwayIsToldWithinThePatience() {
        long began = System.nanoTime();
        assertThatThrownBy(() -> KafkaSetup.prepare(
                        Map.of("bootstrap.servers", "localhost:1"),
                        config(Map.of()),
                        List.of(),
                        Duration.ofMillis(300)))
                .isInstanceOf(TimeoutException.class);
        assertThat(System.nanoTime() - began).isLessThan(20_000_000_000L);
        assertThatThrownBy(() -> KafkaSetup.ends(
                        Map.of(
                                "bootstrap.servers",
                                "localhost:1",
                                "default.api.timeout.ms",
                                300,
                                "request.timeout.ms",
                                300),
                        "x"))
                .isInstanceOf(TimeoutException.class);
    }

    @Test
    void eachClientGetsWhatItKnows() {
        Map<String, Object> all = Map.of("bootstrap.servers", "x", "acks", "all", "group.id", "g", "unknown", "u");
        assertThat(KafkaProperties.consumer(all)).containsOnlyKeys("bootstrap.servers", "group.id");
        assertThat(KafkaProperties.admin(all)).containsOnlyKeys("bootstrap.servers");
    }
}
