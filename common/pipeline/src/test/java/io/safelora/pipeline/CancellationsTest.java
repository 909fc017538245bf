package io.safelora.pipeline;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.safelora.contract.JobEvent.JobStatus;
import io.safelora.contract.JobEvent.JobStatus.State;
import io.safelora.contract.Topics;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.junit.jupiter.api.Test;

class CancellationsTest {
    private final Cancellations cancellations = new Cancellations();
    private long offset;

    private void cancel(String job, String data) {
        cancellations.accept(
                new ConsumerRecord<>(Topics.CONTROLS, 0, offset++, job.getBytes(UTF_8), data.getBytes(UTF_8)));
    }

    private static Event event(String job, String run) {
        JobStatus status = new JobStatus(State.RUNNING, null, null, null, null, null, Instant.EPOCH, null, run, null);
        return new Event(job, run, null, false, Topics.of(JobStatus.class), status, Map.of());
    }

    @Test
    void allThatWereCancelledAreRemembered() {
        cancel("a", "{}");
        cancel("b", "{\"run\": \"0-1\"}");
        cancel("c", "{\"reason\": \"not needed\"}");
        assertThat(cancellations.contains(event("a", "0-7"))).isTrue();
        assertThat(cancellations.contains(event("a", null))).isTrue();
        assertThat(cancellations.contains(event("b", "0-1"))).isTrue();
        assertThat(cancellations.contains(event("b", "0-2"))).as("another run").isFalse();
        assertThat(cancellations.contains(event("b", null))).isFalse();
        assertThat(cancellations.contains(event("c", "0-7"))).isTrue();
        assertThat(cancellations.contains(event("d", "0-1"))).isFalse();
    }

    @Test
    void listenersAreToldOnceOfEach() {
        AtomicInteger told = new AtomicInteger();
        cancellations.onCancel(told::incrementAndGet);
        cancel("a", "{}");
        cancel("a", "{}");
        assertThat(told).hasValue(1);
        cancel("a", "{\"run\": \"0-1\"}");
        assertThat(told).hasValue(2);
    }

    @Test
    void whatIsNotACancellationIsPassedOver() throws InterruptedException {
        cancel("a", "[");
        cancel("../a", "{}");
        cancel("b", "{}");
        assertThat(cancellations.contains(event("a", null))).isFalse();
        assertThat(cancellations.contains(event("b", null))).isTrue();
        cancellations.awaitRead(Map.of(0, 3L), Duration.ofMinutes(1));
    }

    @Test
    void aWorkerWaitsUntilAllIsRead() throws Exception {
        cancellations.awaitRead(Map.of(), Duration.ofMinutes(1));
        CompletableFuture<Boolean> waited = CompletableFuture.supplyAsync(() -> {
            try {
                cancellations.awaitRead(Map.of(0, 2L), Duration.ofMinutes(1));
                return cancellations.contains(event("b", null));
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
        cancel("a", "{}");
        Thread.sleep(100);
        assertThat(waited).isNotDone();
        cancel("b", "{}");
        assertThat(waited.get(30, TimeUnit.SECONDS)).isTrue();
    }

    @Test
    void aSilentTopicIsNotWaitedForEver() throws InterruptedException {
        long began = System.nanoTime();
        cancellations.awaitRead(Map.of(0, 1L), Duration.ofMillis(150));
        assertThat(System.nanoTime() - began).isGreaterThanOrEqualTo(149_000_000);
    }
}
