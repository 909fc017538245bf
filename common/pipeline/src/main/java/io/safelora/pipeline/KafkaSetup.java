package io.safelora.pipeline;

import io.safelora.contract.Topics;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InterruptException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Prepares what the stages need in Kafka: missing topics, and the options of the share groups. */
final class KafkaSetup {
    private static final Logger LOG = LoggerFactory.getLogger(KafkaSetup.class);

    private KafkaSetup() {}

    /** @throws RetriableException if Kafka is away */
    static void prepare(
            Map<String, Object> kafka, PipelineConfig config, Collection<String> groups, Duration patience) {
        Map<String, Object> client = KafkaProperties.admin(kafka);
        client.put(AdminClientConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, (int) patience.toMillis());
        client.put(AdminClientConfig.REQUEST_TIMEOUT_MS_CONFIG, (int) Math.min(30_000, patience.toMillis()));
        try (Admin admin = Admin.create(client)) {
            createTopics(admin, config.topics());
            configureGroups(admin, config.task(), groups);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof RetriableException away) {
                throw away;
            }
            // An operator may have made them, and given the services no right to: then all is well.
            LOG.warn(
                    "topics and groups are not set up by this service: {}. Create the topics {} yourself, and set"
                            + " share.auto.offset.reset=earliest on the groups {}",
                    e.getCause().toString(),
                    Topics.ALL,
                    groups);
        } catch (InterruptedException e) {
            throw new InterruptException(e);
        }
    }

    private static void createTopics(Admin admin, PipelineConfig.TopicOptions options)
            throws ExecutionException, InterruptedException {
        Set<String> existing = admin.listTopics().names().get();
        List<NewTopic> missing = new ArrayList<>();
        for (String topic : Topics.ALL) {
            if (!existing.contains(topic)) {
                Optional<Integer> partitions = options.partitions().isPresent()
                        ? Optional.of(options.partitions().getAsInt())
                        : Optional.empty();
                NewTopic created = new NewTopic(topic, partitions, options.replicationFactor());
                if (topic.equals(Topics.JOB_STATUS)) {
                    created.configs(Map.of("cleanup.policy", "compact"));
                }
                missing.add(created);
            }
        }
        for (var created : admin.createTopics(missing).values().entrySet()) {
            try {
                created.getValue().get();
                LOG.info("created topic {}", created.getKey());
            } catch (ExecutionException e) {
                if (!(e.getCause() instanceof TopicExistsException)) {
                    throw e;
                }
            }
        }
    }

    private static void configureGroups(Admin admin, PipelineConfig.TaskOptions task, Collection<String> groups)
            throws ExecutionException, InterruptedException {
        Map<ConfigResource, Collection<AlterConfigOp>> changes = new HashMap<>();
        for (String group : groups) {
            changes.put(
                    new ConfigResource(ConfigResource.Type.GROUP, group),
                    List.of(
                            // A job that was published before the first worker came must not be lost.
                            set("share.auto.offset.reset", "earliest"),
                            set(
                                    "share.record.lock.duration.ms",
                                    String.valueOf(task.lock().toMillis()))));
        }
        admin.incrementalAlterConfigs(changes).all().get();
    }

    /**
     * Where a topic ends now.
     *
     * @return by partition, the offset after its last record; none for an empty partition
     */
    static Map<Integer, Long> ends(Map<String, Object> kafka, String topic) {
        try (Admin admin = Admin.create(KafkaProperties.admin(kafka))) {
            List<TopicPartition> partitions =
                    admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().stream()
                            .map(p -> new TopicPartition(topic, p.partition()))
                            .toList();
            Map<Integer, Long> ends = new HashMap<>();
            for (TopicPartition partition : partitions) {
                long first = offset(admin, partition, OffsetSpec.earliest());
                long end = offset(admin, partition, OffsetSpec.latest());
                if (end > first) {
                    ends.put(partition.partition(), end);
                }
            }
            return ends;
        } catch (ExecutionException e) {
            throw e.getCause() instanceof KafkaException k ? k : new KafkaException(e.getCause());
        } catch (InterruptedException e) {
            throw new InterruptException(e);
        }
    }

    private static long offset(Admin admin, TopicPartition partition, OffsetSpec spec)
            throws ExecutionException, InterruptedException {
        return admin.listOffsets(Map.of(partition, spec))
                .partitionResult(partition)
                .get()
                .offset();
    }

    private static AlterConfigOp set(String name, String value) {
        return new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET);
    }
}
