package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class AccuracyTest {
    private static final List<String> CHOICES = List.of("no", "certainly", "\ud83d\ude00");

    /** By hand: -6 / 2, -9 / 9 and -4 / 1 per character. */
    @Test
    void theLikeliestIsChosenByTheTextOrByTheCharacter() {
        double[] logprobs = {-6, -9, -4};
        assertThat(new Accuracy(false).of(logprobs, CHOICES, 2)).isEqualTo(1);
        assertThat(new Accuracy(false).of(logprobs, CHOICES, 1)).isZero();
        assertThat(new Accuracy(true).of(logprobs, CHOICES, 1)).isEqualTo(1);
        assertThat(new Accuracy(true).of(logprobs, CHOICES, 2)).isZero();
        assertThat(new Accuracy(false).of(logprobs, CHOICES, -1)).isZero();
        // As numpy.argmax: the first of equals.
        assertThat(new Accuracy(false).of(new double[] {-1, -1}, CHOICES, 0)).isEqualTo(1);
    }
}
