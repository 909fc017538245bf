package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class NumericMatchTest {
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "5.0 | 5 | 1",
                "it costs $1,234.50. | #### 1234.5 | 1",
                "-$5 | -5 | 1",
                "$-5 | -5 | 1",
                "\u22125 \u20ac | -5 | 1",
                "5 - 3 | 3 | 1",
                "5-3 | 3 | 1",
                "50% | 50 | 1",
                "2.5kg | 2.5 | 1",
                "1,23,456 | 123456 | 1",
                "1e3 | 1000 | 1",
                ".5 | 0.50 | 1",
                "7 of 9 | 9 | 1",
                "7 of 9 | 7 | 0",
                "none | 0 | 0",
                "none | none | 0",
                "5 | five | 0",
            })
    void theLastNumbersAreCompared(String answer, String target, double value) {
        assertThat(new NumericMatch().of(answer, target)).isEqualTo(value);
    }

    @Test
    void longDigitsAndManyNumbersCostLittle() {
        Assertions.assertTimeout(Duration.ofSeconds(20), () -> {
            assertThat(NumericMatch.last("9".repeat(1_000_000))).isNull();
            assertThat(NumericMatch.last("1,000".repeat(200_000))).isNotNull();
            assertThat(NumericMatch.last("1 ".repeat(500_000))).isEqualByComparingTo("1");
            assertThat(NumericMatch.last("- ".repeat(500_000))).isNull();
            assertThat(NumericMatch.last("1e999")).isNotNull();
        });
    }
}
