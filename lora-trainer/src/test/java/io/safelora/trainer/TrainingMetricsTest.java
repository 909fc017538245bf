package io.safelora.trainer;

import static org.assertj.core.api.Assertions.assertThat;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.safelora.training.FineTuning.Progress;
import java.util.List;
import org.junit.jupiter.api.Test;

class TrainingMetricsTest {
    private static final List<String> GAUGES = List.of("loss", "learning.rate", "tokens.per.second", "eta.seconds");

    private final SimpleMeterRegistry registry = new SimpleMeterRegistry();
    private final TrainingMetrics metrics = new TrainingMetrics(registry);

    /** A second training begins at step 0 again, and a resumed one at its checkpoint's. */
    @Test
    void stepsOfEveryTrainingAreCounted() {
        try (var first = metrics.begin()) {
            first.at(at(3, 0));
            first.at(at(10, 0));
        }
        assertThat(steps()).isEqualTo(10);
        try (var second = metrics.begin()) {
            second.at(at(4, 0));
        }
        assertThat(steps()).isEqualTo(14);
        try (var resumed = metrics.begin()) {
            resumed.at(at(7, 5));
            resumed.at(at(8, 5));
        }
        assertThat(steps()).isEqualTo(17);
    }

    @Test
    void gaugesAreOfTheTrainingThatRuns() {
        assertThat(GAUGES).allSatisfy(name -> assertThat(gauge(name)).isNaN());
        try (var running = metrics.begin()) {
            running.at(at(3, 0));
            assertThat(GAUGES.stream().map(this::gauge)).containsExactly(1.5, 2e-4, 100.0, 60.0);
        }
        assertThat(GAUGES).allSatisfy(name -> assertThat(gauge(name)).isNaN());
    }

    private static Progress at(int step, int resumedAt) {
        return new Progress(step, resumedAt, 10, 1.5, 2e-4, 100, 60, null);
    }

    private double steps() {
        return registry.get("safelora.training.steps").counter().count();
    }

    private double gauge(String name) {
        return registry.get("safelora.training." + name).gauge().value();
    }
}
