package io.safelora.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.training.TrainerState.Entry;

/** What a training is held against: the steps of a trace.json that an oracle program wrote. */
final class Traces {
    private Traces() {}

    /** Every step has the oracle's loss within 1e-4, its gradient norm within 1e-3 and its learning rate. */
    static void follows(TrainerState state, JsonNode steps) {
        assertThat(state.logHistory()).hasSize(steps.size());
        for (Entry step : state.logHistory()) {
            JsonNode expected = steps.get(step.step() - 1);
            assertThat(step.loss())
                    .as("loss at step %s", step.step())
                    .isCloseTo(expected.get("loss").asDouble(), within(1e-4));
            assertThat(step.gradNorm())
                    .as("grad_norm at step %s", step.step())
                    .isCloseTo(expected.get("grad_norm").asDouble(), within(1e-3));
            assertThat(step.learningRate())
                    .as("learning_rate at step %s", step.step())
                    .isCloseTo(expected.get("learning_rate").asDouble(), within(1e-12));
        }
    }
}
