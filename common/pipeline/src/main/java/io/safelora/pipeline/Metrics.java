package io.safelora.pipeline;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicInteger;

/** The metrics of one stage. docs/operations.md has the table. */
final class Metrics {
    private static final Duration[] BUCKETS = {
        Duration.ofMillis(100),
        Duration.ofSeconds(1),
        Duration.ofSeconds(10),
        Duration.ofMinutes(1),
        Duration.ofMinutes(5),
        Duration.ofMinutes(30),
        Duration.ofHours(2),
        Duration.ofHours(12)
    };

    enum Outcome {
        succeeded,
        failed,
        cancelled,
        released
    }

    final MeterRegistry registry;
    final AtomicInteger inProgress = new AtomicInteger();
    final Counter retries;
    final Counter deadLetters;
    final Counter reused;
    private final String stage;

    Metrics(MeterRegistry registry, String stage) {
        this.registry = registry;
        this.stage = stage;
        // Registered before the first task, so that a panel shows 0 and not nothing.
        retries = Counter.builder("safelora.task.retries").tag("stage", stage).register(registry);
        deadLetters =
                Counter.builder("safelora.dead.letters").tag("stage", stage).register(registry);
        reused = Counter.builder("safelora.results.reused").tag("stage", stage).register(registry);
        Gauge.builder("safelora.tasks.in.progress", inProgress, AtomicInteger::get)
                .tag("stage", stage)
                .register(registry);
        for (Outcome outcome : Outcome.values()) {
            tasks(outcome);
            duration(outcome);
        }
    }

    void ended(Outcome outcome, long nanos) {
        tasks(outcome).increment();
        duration(outcome).record(Duration.ofNanos(nanos));
    }

    private Counter tasks(Outcome outcome) {
        return Counter.builder("safelora.tasks")
                .tag("stage", stage)
                .tag("outcome", outcome.name())
                .register(registry);
    }

    private Timer duration(Outcome outcome) {
        return Timer.builder("safelora.task.duration")
                .tag("stage", stage)
                .tag("outcome", outcome.name())
                .serviceLevelObjectives(BUCKETS)
                .register(registry);
    }
}
