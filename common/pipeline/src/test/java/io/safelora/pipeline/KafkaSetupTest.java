package io.safelora.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.safelora.contract.Topics;
import io.safelora.testkit.Settings;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.kafka.clients.admin.Admin;
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
        try (Admin admin = Admin.create(SharedKafka.client())) {
            admin.deleteTopics(List.of(Topics.DEAD_LETTERS))
                    .all()
                    .toCompletionStage()
                    .handle((done, error) -> null)
                    .toCompletableFuture()
                    .get();
            PipelineConfig config = config(Map.of(
                    "safelora.topics.partitions", "3",
                    "safelora.topics.replication-factor", "1",
                    "safelora.task.lock", "PT7S"));
            for (int times = 0; times < 2; times++) {
                KafkaSetup.prepare(SharedKafka.client(), config, List.of(group), Duration.ofMinutes(1));
            }
            assertThat(admin.listTopics().names().get()).containsAll(Topics.ALL);
            var letters = admin.describeTopics(List.of(Topics.DEAD_LETTERS))
                    .allTopicNames()
                    .get();
            assertThat(letters.get(Topics.DEAD_LETTERS).partitions()).hasSize(3);
            ConfigResource status = new ConfigResource(ConfigResource.Type.TOPIC, Topics.JOB_STATUS);
            ConfigResource jobs = new ConfigResource(ConfigResource.Type.TOPIC, Topics.JOBS);
            ConfigResource of = new ConfigResource(ConfigResource.Type.GROUP, group);
            var configs = admin.describeConfigs(List.of(status, jobs, of)).all().get();
            // Groups' options are set by the controller, and known to the broker a moment later.
            for (int i = 0;
                    i < 100
                            && !configs.get(of)
                                    .get("share.record.lock.duration.ms")
                                    .value()
                                    .equals("7000");
                    i++) {
                Thread.sleep(100);
                configs = admin.describeConfigs(List.of(status, jobs, of)).all().get();
            }
            assertThat(configs.get(status).get("cleanup.policy").value()).isEqualTo("compact");
            assertThat(configs.get(jobs).get("cleanup.policy").value()).isEqualTo("delete");
            assertThat(configs.get(of).get("share.auto.offset.reset").value()).isEqualTo("earliest");
            assertThat(configs.get(of).get("share.record.lock.duration.ms").value())
                    .isEqualTo("7000");
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
