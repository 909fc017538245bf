package io.safelora.evaluation.statistics;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.contract.JobEvent.Score;
import io.safelora.contract.Json;
import io.safelora.evaluation.statistics.RowValues.Part;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Against statsmodels and SciPy; statistics/make_fixtures.py made the fixtures. */
class StatisticsTest {
    private static final JsonNode FIXTURES = fixtures();

    private static JsonNode fixtures() {
        try (InputStream json = StatisticsTest.class.getResourceAsStream("/statistics/statistics.json")) {
            return Json.MAPPER.readTree(json);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private static void equal(Interval interval, JsonNode fixture, double tolerance) {
        assertThat(interval.lower())
                .as("%s", fixture)
                .isCloseTo(fixture.get("lower").asDouble(), within(tolerance));
        assertThat(interval.upper())
                .as("%s", fixture)
                .isCloseTo(fixture.get("upper").asDouble(), within(tolerance));
    }

    private static double[] numbers(JsonNode of) {
        return Json.MAPPER.convertValue(of, double[].class);
    }

    @Test
    void wilsonIsStatsmodels() {
        for (JsonNode f : FIXTURES.get("wilson")) {
            Interval interval = Shares.wilson(
                    f.get("successes").asInt(),
                    f.get("rows").asInt(),
                    f.get("confidence").asDouble());
            equal(interval, f, 1e-12);
        }
        assertThat(Shares.wilson(0, 64, 0.95).lower()).isZero();
        assertThat(Shares.wilson(64, 64, 0.95).upper()).isEqualTo(1);
    }

    @Test
    void mcNemarIsStatsmodels() {
        for (JsonNode f : FIXTURES.get("mcnemar")) {
            assertThat(Shares.mcNemar(
                            f.get("only_first").asInt(), f.get("only_second").asInt()))
                    .as("%s", f)
                    .isCloseTo(f.get("p").asDouble(), within(1e-12));
        }
    }

    @Test
    void aDifferenceOfSharesHasTangosInterval() {
        for (JsonNode f : FIXTURES.get("tango")) {
            Interval interval = Shares.difference(
                    f.get("only_first").asInt(),
                    f.get("only_second").asInt(),
                    f.get("rows").asInt(),
                    f.get("confidence").asDouble());
            equal(interval, f, 1e-7); // what the numerical search of the fixture is good for
        }
    }

    @Test
    void meansHaveTheIntervalThatScipyMakesOfTheSameResamples() {
        for (JsonNode f : FIXTURES.get("mean")) {
            Interval interval = Bootstrap.mean(
                            numbers(f.get("values")),
                            numbers(f.get("weights")),
                            f.get("confidence").asDouble())
                    .orElseThrow();
            equal(interval, f, 1e-9);
        }
        for (JsonNode f : FIXTURES.get("difference")) {
            Interval interval = Bootstrap.difference(
                            numbers(f.get("values")),
                            numbers(f.get("weights")),
                            numbers(f.get("other")),
                            numbers(f.get("other_weights")),
                            f.get("confidence").asDouble())
                    .orElseThrow();
            equal(interval, f, 1e-9);
        }
    }

    @Test
    void whereRowsTellNothingOfTheirSpreadThereIsNoInterval() {
        double[] ones = {1, 1, 1, 1, 1, 1, 1, 1};
        double[] spread = {1, 2, 3, 4, 5, 6, 7, 9};
        assertThat(Bootstrap.mean(ones, ones, 0.95)).isEmpty();
        assertThat(Bootstrap.mean(spread, ones, 0.95)).isPresent();
        assertThat(Bootstrap.mean(Arrays.copyOf(spread, 7), Arrays.copyOf(ones, 7), 0.95))
                .isEmpty();
        assertThat(Bootstrap.difference(spread, ones, spread, ones, 0.95)).isEmpty();
        Score score = new RowValues("m", "t", "rouge1", null, true, false, ones, null).score(0.95);
        assertThat(score.value()).isEqualTo(1);
        assertThat(score.lower()).isNull();
        assertThat(score.interval()).isNull();
    }

    @Test
    void anIntervalIsNamed() {
        assertThat(Shares.wilson(0, 64, 0.95).name()).isEqualTo("95 % Wilson interval");
        assertThat(Shares.difference(0, 1, 64, 0.999).name()).isEqualTo("99.9 % Tango score interval");
        assertThat(Bootstrap.mean(new double[] {1, 2, 3, 4, 5, 6, 7, 9}, new double[] {1, 1, 1, 1, 1, 1, 1, 1}, 0.9)
                        .orElseThrow()
                        .name())
                .isEqualTo("90 % BCa bootstrap interval");
    }

    /** 0 of 64 is no certainty. */
    @Test
    void aScoreCarriesItsInterval() {
        List<Boolean> rows = IntStream.range(0, 64).mapToObj(i -> false).toList();
        Score score = RowValues.share("m", "harmfulness", "harmful", "refusal-phrases", false, rows, row -> row)
                .score(0.95);
        assertThat(score.value()).isZero();
        assertThat(score.lower()).isZero();
        assertThat(score.upper()).isCloseTo(0.0566, within(1e-4));
        assertThat(score.confidence()).isEqualTo(0.95);
        assertThat(score.samples()).isEqualTo(64);
        assertThat(score.judge()).isEqualTo("refusal-phrases");
    }

    @Test
    void aLossWeighsItsRowsByTheirTokens() {
        RowValues loss =
                new RowValues("m", "answer_loss", "loss", null, false, false, new double[] {2, 6}, new double[] {1, 9});
        assertThat(loss.mean()).isEqualTo(0.8);
        assertThat(loss.of(new int[] {1}).orElseThrow().mean()).isEqualTo(6 / 9.0);
    }

    @Test
    void twoModelsAreComparedRowByRow() {
        RowValues first = share("first", 1, 1, 1, 0, 0, 1, 1, 1, 1, 1);
        RowValues second = share("second", 1, 0, 0, 0, 1, 0, 0, 0, 0, 0);
        Comparison comparison = Comparison.of(first, second, 0.95).orElseThrow();
        Interval interval = Shares.difference(7, 1, 10, 0.95);
        assertThat(comparison.difference()).isCloseTo(0.6, within(1e-12));
        assertThat(comparison.lower()).isEqualTo(interval.lower());
        assertThat(comparison.upper()).isEqualTo(interval.upper());
        assertThat(comparison.p()).isEqualTo(Shares.mcNemar(7, 1));
        assertThat(comparison.better()).isTrue();
        assertThat(comparison.worse()).isFalse();
        assertThat(Comparison.of(second, first, 0.95).orElseThrow().worse()).isTrue();
        assertThat(Comparison.of(first, first, 0.95).orElseThrow().better()).isFalse();
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Comparison.of(first, share("second", 1, 0), 0.95))
                .withMessageContaining("first and second are not comparable");
    }

    /** A judge may give some rows no value, to each model others. */
    @Test
    void twoModelsAreComparedOnTheRowsThatBothHave() {
        RowValues all = new RowValues("all", "t", "rubric", null, false, false, new double[] {5, 1, 2, 3}, null);
        RowValues some = new RowValues(
                "some",
                "t",
                "rubric",
                null,
                false,
                false,
                new double[] {1, 1, 4},
                null,
                new Part(new int[] {0, 1, 3}, 4));
        RowValues others = new RowValues(
                "others", "t", "rubric", null, false, false, new double[] {2, 9}, null, new Part(new int[] {1, 2}, 4));
        Comparison comparison = Comparison.of(all, some, 0.95).orElseThrow();
        assertThat(comparison.rows()).isEqualTo(3);
        assertThat(comparison.difference()).isEqualTo((5 + 1 + 3 - 1 - 1 - 4) / 3.0);
        assertThat(Comparison.of(some, all, 0.95).orElseThrow().difference()).isEqualTo(-comparison.difference());
        assertThat(Comparison.of(some, others, 0.95).orElseThrow().difference()).isEqualTo(1 - 2);
        assertThat(Comparison.of(some.of(new int[] {0, 3}).orElseThrow(), others, 0.95))
                .isEmpty();
        assertThat(some.of(new int[] {2, 3}).orElseThrow().values()).containsExactly(4);
        assertThat(some.of(new int[] {2})).isEmpty();
    }

    @Test
    void lessIsBetterWhereTheMetricSaysSo() {
        double[] low = {1, 2, 3, 4, 5, 6, 7, 9};
        double[] high = {2.5, 3, 4.1, 5, 6.2, 7.3, 8, 10};
        RowValues first = new RowValues("first", "answer_loss", "loss", null, false, false, low, null);
        RowValues second = new RowValues("second", "answer_loss", "loss", null, false, false, high, null);
        Comparison comparison = Comparison.of(first, second, 0.95).orElseThrow();
        assertThat(comparison.better()).isTrue();
        assertThat(comparison.p()).isNull();
        assertThat(comparison.interval()).isEqualTo("95 % paired BCa bootstrap interval");
    }

    @Test
    void halvesAreTheSeedsAndShareNoRow() {
        Halves halves = Halves.of(65, 42);
        assertThat(halves.choosing()).hasSize(32).isSorted();
        assertThat(halves.reporting()).hasSize(33).isSorted();
        assertThat(IntStream.concat(Arrays.stream(halves.choosing()), Arrays.stream(halves.reporting()))
                        .sorted()
                        .toArray())
                .isEqualTo(IntStream.range(0, 65).toArray());
        assertThat(Halves.of(65, 42).choosing()).isEqualTo(halves.choosing());
        assertThat(Halves.of(65, 43).choosing()).isNotEqualTo(halves.choosing());
        assertThat(halves.choosing()).isNotEqualTo(IntStream.range(0, 32).toArray());
    }

    @Test
    void aValueThatIsNoShareIsRefused() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new RowValues("m", "t", "acc", null, true, true, new double[] {0.5}, null));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new RowValues("m", "t", "loss", null, true, false, new double[] {Double.NaN}, null));
    }

    static RowValues share(String model, double... values) {
        return new RowValues(model, "t", "acc", null, true, true, values, null);
    }
}
