package io.safelora.trainer;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.safelora.training.FineTuning.Progress;
import java.util.function.ToDoubleFunction;

/** The metrics of this service: of the training that runs, one at a time. docs/operations.md has the table. */
final class TrainingMetrics {
    /** While nothing is trained a figure of the last training would be taken for one of today. */
    private static final Progress IDLE = new Progress(0, 0, 0, Double.NaN, Double.NaN, Double.NaN, Double.NaN, null);

    private final Counter steps;
    private volatile Progress latest = IDLE;

    TrainingMetrics(MeterRegistry registry) {
        steps = Counter.builder("safelora.training.steps").register(registry);
        gauge(registry, "safelora.training.loss", Progress::loss);
        gauge(registry, "safelora.training.learning.rate", Progress::learningRate);
        gauge(registry, "safelora.training.tokens.per.second", Progress::tokensPerSecond);
        gauge(registry, "safelora.training.eta.seconds", Progress::etaSeconds);
    }

    private void gauge(MeterRegistry registry, String name, ToDoubleFunction<Progress> figure) {
        Gauge.builder(name, this, m -> figure.applyAsDouble(m.latest)).register(registry);
    }

    /** Must be closed when the training ends, however it ends. */
    Running begin() {
        return new Running();
    }

    /** A training that runs. */
    final class Running implements AutoCloseable {
        private int counted = -1;

        /** Steps that another process took before this one resumed are not counted again. */
        void at(Progress progress) {
            steps.increment(progress.step() - (counted < 0 ? progress.resumedAt() : counted));
            counted = progress.step();
            latest = progress;
        }

        @Override
        public void close() {
            latest = IDLE;
        }
    }
}
