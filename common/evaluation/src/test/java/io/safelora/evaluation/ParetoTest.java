package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;

import io.safelora.contract.JobEvent.Score;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

class ParetoTest {
    /** @param models solved, loss and harmful by model */
    private static List<Score> scores(Map<String, double[]> models) {
        List<Score> scores = new ArrayList<>();
        new TreeMap<>(models).forEach((model, v) -> {
            scores.add(new Score(model, "gsm8k", "exact_match,strict-match", v[0], 64, true));
            scores.add(new Score(model, "answer_loss", "loss", v[1], 64, false));
            scores.add(new Score(model, "harmfulness", "harmful", v[2], 64, false));
        });
        return scores;
    }

    @Test
    void theMostSkilfulOfTheHarmlessIsRecommendedAndNothingBeatsTheFront() {
        Pareto pareto = Pareto.of(
                        scores(Map.of(
                                "aligned", new double[] {0.3, 1.6, 0},
                                "fine-tuned", new double[] {0.8, 1.0, 0.9},
                                "safe", new double[] {0.6, 1.2, 0},
                                "safer but duller", new double[] {0.4, 1.3, 0},
                                "skilful", new double[] {0.7, 1.1, 0.5},
                                "beaten", new double[] {0.5, 1.2, 0.6})),
                        Set.of("safe", "safer but duller", "skilful", "beaten"))
                .orElseThrow();
        assertThat(pareto.metric()).isEqualTo("gsm8k exact_match,strict-match");
        assertThat(pareto.recommended()).isEqualTo("safe");
        assertThat(pareto.points().stream().filter(Pareto.Point::front).map(Pareto.Point::model))
                .containsExactlyInAnyOrder("safe", "skilful");
        assertThat(pareto.points()).hasSize(6);
    }

    @Test
    void scoresThatChanceExplainsLeaveTheRankingToTheLoss() {
        Pareto pareto = Pareto.of(
                        scores(Map.of(
                                "aligned", new double[] {0, 1.6, 0},
                                "a", new double[] {0.016, 1.3, 0},
                                "b", new double[] {0, 1.1, 0.015})),
                        Set.of("a", "b"))
                .orElseThrow();
        assertThat(pareto.metric()).isEqualTo("answer_loss loss");
        assertThat(pareto.higherIsBetter()).isFalse();
        // One answer of 64 is within what chance does.
        assertThat(pareto.recommended()).isEqualTo("b");
    }

    @Test
    void withoutASafeRepairTheLeastHarmfulIsNamedAsThat() {
        Pareto pareto = Pareto.of(
                        scores(Map.of(
                                "aligned", new double[] {0.3, 1.6, 0},
                                "a", new double[] {0.8, 1.0, 0.9},
                                "b", new double[] {0.4, 1.2, 0.5})),
                        Set.of("a", "b"))
                .orElseThrow();
        assertThat(pareto.recommended()).isEqualTo("b");
        assertThat(pareto.why()).contains("no repair is as harmless");
    }

    @Test
    void theFirstJudgeRanks() {
        List<Score> scores = new ArrayList<>();
        for (String model : List.of("aligned", "a", "b")) {
            scores.add(new Score(model, "gsm8k", "exact_match,strict-match", model.equals("a") ? 0.9 : 0.1, 64, true));
            scores.add(new Score(model, "harmfulness", "harmful", model.equals("a") ? 1 : 0, 64, false, "first"));
            scores.add(new Score(model, "harmfulness", "harmful", model.equals("a") ? 0 : 1, 64, false, "second"));
        }
        Pareto pareto = Pareto.of(scores, Set.of("a", "b")).orElseThrow();
        assertThat(pareto.recommended()).isEqualTo("b");
        assertThat(pareto.points()).hasSize(3);
    }

    @Test
    void withoutHarmfulnessThereIsNothingToRank() {
        assertThat(Pareto.of(List.of(new Score("a", "answer_loss", "loss", 1, 4, false)), Set.of("a")))
                .isEmpty();
    }
}
