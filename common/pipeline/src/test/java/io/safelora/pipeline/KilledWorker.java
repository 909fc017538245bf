package io.safelora.pipeline;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.util.List;

/** A worker in a process of its own, so that a test can kill it in the midst of a task that takes ten minutes. */
class KilledWorker {
    public static void main(String[] args) throws Exception {
        DigestStage stage = new DigestStage();
        stage.millis = 600_000;
        PlainClients clients = new PlainClients(TestSystem.kafkaProperties(args[0]));
        new Pipeline(
                List.of(stage),
                TestSystem.kafkaProperties(args[0]),
                TestSystem.config(Path.of(args[1])),
                clients.publisher,
                clients.cancellations,
                new SimpleMeterRegistry());
        Thread.sleep(600_000);
    }
}
