package io.safelora.pipeline;

import io.safelora.testkit.EmbeddedKafka;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;

/**
 * One broker for all small tests of this JVM, whose topics and groups have names of their own. It ends with the JVM.
 */
final class SharedKafka {
    private static EmbeddedKafka broker;

    private SharedKafka() {}

    static synchronized String bootstrapServers() {
        if (broker == null) {
            try {
                Path dir = Files.createTempDirectory("safelora-kafka-");
                broker = EmbeddedKafka.start(dir, 0, Map.of("group.share.min.record.lock.duration.ms", "1000"));
                Runtime.getRuntime().addShutdownHook(new Thread(() -> close(dir)));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
        return broker.bootstrapServers();
    }

    private static void close(Path dir) {
        broker.close();
        try (Stream<Path> files = Files.walk(dir)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static Map<String, Object> client() {
        return Map.of("bootstrap.servers", bootstrapServers());
    }

    static void createTopic(String topic) throws Exception {
        try (Admin admin = Admin.create(client())) {
            admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get();
        }
    }
}
