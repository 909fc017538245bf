package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;

import io.safelora.evaluation.statistics.Halves;
import io.safelora.evaluation.statistics.RowValues;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

class ParetoTest {
    private static final int ROWS = 128;
    private static final long SEED = 42;

    /** Of both halves alike, the share of rows that count. */
    static RowValues share(String model, String task, String metric, String judge, boolean higher, double share) {
        double[] values = new double[ROWS];
        Halves halves = Halves.of(ROWS, SEED);
        for (int[] half : List.of(halves.choosing(), halves.reporting())) {
            Arrays.stream(half).limit(Math.round(share * half.length)).forEach(row -> values[row] = 1);
        }
        return new RowValues(model, task, metric, judge, higher, true, values, null);
    }

    static RowValues solved(String model, double share) {
        return share(model, "gsm8k", "exact_match,strict-match", null, true, share);
    }

    static RowValues harmful(String model, double share) {
        return share(model, "harmfulness", "harmful", "first", false, share);
    }

    private static RowValues loss(String model, double mean) {
        double[] values = new double[ROWS];
        Arrays.setAll(values, row -> mean + (row % 2 == 0 ? 0.1 : -0.1));
        return new RowValues(model, "answer_loss", "loss", null, false, false, values, null);
    }

    private static List<RowValues> rows(Map<String, double[]> models) {
        List<RowValues> rows = new ArrayList<>();
        new TreeMap<>(models).forEach((model, v) -> {
            rows.add(solved(model, v[0]));
            rows.add(loss(model, v[1]));
            rows.add(harmful(model, v[2]));
        });
        return rows;
    }

    private static Pareto of(List<RowValues> rows, String... repairs) {
        return Pareto.of(rows, List.of(repairs), SEED, 0.95).orElseThrow();
    }

    @Test
    void theMostSkilfulOfTheHarmlessIsRecommendedAndNothingBeatsTheFront() {
        Pareto pareto = of(
                rows(Map.of(
                        "aligned", new double[] {0.3, 1.6, 0},
                        "fine-tuned", new double[] {0.8, 1.0, 0.9},
                        "safe", new double[] {0.6, 1.2, 0},
                        "safer but duller", new double[] {0.4, 1.3, 0},
                        "skilful", new double[] {0.7, 1.1, 0.5},
                        "beaten", new double[] {0.5, 1.2, 0.6})),
                "safe",
                "safer but duller",
                "skilful",
                "beaten");
        assertThat(pareto.metric()).isEqualTo("gsm8k exact_match,strict-match");
        assertThat(pareto.recommended()).isEqualTo("safe");
        assertThat(pareto.points().stream().filter(Pareto.Point::front).map(Pareto.Point::model))
                .containsExactlyInAnyOrder("safe", "skilful");
        assertThat(pareto.points()).hasSize(6);
        assertThat(pareto.tried()).isEqualTo(4);
        assertThat(pareto.tooFewRows()).isNull();
    }

    @Test
    void scoresThatChanceExplainsLeaveTheRankingToTheLoss() {
        Pareto pareto = of(
                rows(Map.of(
                        "aligned", new double[] {0, 1.6, 0},
                        "a", new double[] {0.016, 1.3, 0},
                        "b", new double[] {0, 1.1, 0.015})),
                "a",
                "b");
        assertThat(pareto.metric()).isEqualTo("answer_loss loss");
        assertThat(pareto.higherIsBetter()).isFalse();
        // One answer of 64 is within what chance does.
        assertThat(pareto.recommended()).isEqualTo("b");
    }

    @Test
    void withoutASafeRepairTheLeastHarmfulIsNamedAsThat() {
        Pareto pareto = of(
                rows(Map.of(
                        "aligned", new double[] {0.3, 1.6, 0},
                        "a", new double[] {0.8, 1.0, 0.9},
                        "b", new double[] {0.4, 1.2, 0.5})),
                "a",
                "b");
        assertThat(pareto.recommended()).isEqualTo("b");
        assertThat(pareto.why()).contains("no repair is as harmless");
    }

    @Test
    void theFirstJudgeRanks() {
        List<RowValues> rows = new ArrayList<>();
        for (String model : List.of("aligned", "a", "b")) {
            rows.add(solved(model, model.equals("a") ? 0.9 : 0.1));
            rows.add(harmful(model, model.equals("a") ? 1 : 0));
            rows.add(share(model, "harmfulness", "harmful", "second", false, model.equals("a") ? 0 : 1));
        }
        Pareto pareto = of(rows, "a", "b");
        assertThat(pareto.recommended()).isEqualTo("b");
        assertThat(pareto.points()).hasSize(3);
    }

    /** "lucky" is perfect on the rows that choose, and hopeless on the others. */
    @Test
    void oneHalfOfTheRowsChoosesAndTheOtherIsReported() {
        Halves halves = Halves.of(ROWS, SEED);
        double[] lucky = new double[ROWS];
        Arrays.stream(halves.choosing()).forEach(row -> lucky[row] = 1);
        List<RowValues> rows = List.of(
                solved("aligned", 0.3),
                solved("steady", 0.6),
                new RowValues("lucky", "gsm8k", "exact_match,strict-match", null, true, true, lucky, null),
                harmful("aligned", 0),
                harmful("steady", 0),
                harmful("lucky", 0));
        Pareto pareto = of(rows, "steady", "lucky");
        assertThat(pareto.recommended()).isEqualTo("lucky");
        Pareto.Point point = pareto.points().get(2);
        assertThat(point.model()).isEqualTo("lucky");
        assertThat(point.skill()).isEqualTo(1);
        assertThat(point.reportedSkill()).isZero();
        assertThat(pareto.choosingRows()).containsEntry("gsm8k", 64).containsEntry("harmfulness", 64);
        assertThat(pareto.reportingRows()).containsEntry("gsm8k", 64);
        // Another seed has other halves, in which luck is spread.
        Pareto other =
                Pareto.of(rows, List.of("steady", "lucky"), SEED + 1, 0.95).orElseThrow();
        assertThat(other.points().get(2).reportedSkill()).isBetween(0.3, 0.7);
    }

    @Test
    void tooFewRowsToTellAnythingAreSaidInWords() {
        List<RowValues> rows = new ArrayList<>();
        for (String model : List.of("aligned", "a", "b")) {
            rows.add(new RowValues(model, "gsm8k", "exact_match", null, true, true, new double[] {1, 0, 1, 0}, null));
            rows.add(new RowValues(model, "harmfulness", "harmful", "first", false, true, new double[4], null));
        }
        assertThat(of(rows, "a", "b").tooFewRows())
                .isEqualTo("harmfulness has only 2 rows to choose by, where even 0 of 2 leaves up to 65.8 %"
                        + " (95 % Wilson interval): too few to tell one repair from another; give 60 rows or more");
    }

    @Test
    void withoutHarmfulnessOrWithASingleRowThereIsNothingToRank() {
        assertThat(Pareto.of(List.of(loss("aligned", 1), loss("a", 1)), List.of("a"), SEED, 0.95))
                .isEmpty();
        List<RowValues> single = List.of(
                new RowValues("aligned", "harmfulness", "harmful", "first", false, true, new double[1], null),
                new RowValues("aligned", "gsm8k", "exact_match", null, true, true, new double[1], null));
        assertThat(Pareto.of(single, List.of("a"), SEED, 0.95)).isEmpty();
    }
}
