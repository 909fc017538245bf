package io.safelora.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LearningRateTest {
    /**
     * Expected: transformers.get_scheduler(name, optimizer with lr 1, num_warmup_steps=3, num_training_steps=10),
     * get_last_lr before each step.
     */
    @ParameterizedTest
    @CsvSource({
        "linear,0 0.3333333333333333 0.6666666666666666 1 0.8571428571428571 0.7142857142857143"
                + " 0.5714285714285714 0.42857142857142855 0.2857142857142857 0.14285714285714285",
        "cosine,0 0.3333333333333333 0.6666666666666666 1 0.9504844339512095 0.8117449009293668"
                + " 0.6112604669781572 0.3887395330218429 0.1882550990706332 0.04951556604879043",
        "constant_with_warmup,0 0.3333333333333333 0.6666666666666666 1 1 1 1 1 1 1",
        "constant,1 1 1 1 1 1 1 1 1 1"
    })
    void equalsTransformers(String type, String expected) {
        double[] rates = Arrays.stream(expected.split(" "))
                .mapToDouble(Double::parseDouble)
                .toArray();
        for (String warmup : new String[] {"\"warmup_steps\": 3", "\"warmup_ratio\": 0.21"}) {
            LearningRate rate = new LearningRate(
                    TestOptions.json("{\"learning_rate\": 1, \"lr_scheduler_type\": \"" + type + "\", " + warmup + "}"),
                    10);
            for (int step = 0; step < rates.length; step++) {
                assertThat(rate.at(step)).as("step %s", step).isCloseTo(rates[step], within(1e-12));
            }
        }
    }
}
