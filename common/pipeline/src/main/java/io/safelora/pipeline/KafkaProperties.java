package io.safelora.pipeline;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.consumer.ConsumerConfig;

/**
 * From the one set of {@code kafka.*} properties, what each kind of client knows: no "unknown configuration" warnings.
 */
final class KafkaProperties {
    private KafkaProperties() {}

    static Map<String, Object> consumer(Map<String, Object> kafka) {
        return only(ConsumerConfig.configNames(), kafka);
    }

    static Map<String, Object> admin(Map<String, Object> kafka) {
        return only(AdminClientConfig.configNames(), kafka);
    }

    private static Map<String, Object> only(Set<String> names, Map<String, Object> kafka) {
        Map<String, Object> known = new HashMap<>(kafka);
        known.keySet().retainAll(names);
        return known;
    }
}
