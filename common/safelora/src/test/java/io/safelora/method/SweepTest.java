package io.safelora.method;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.safelora.contract.SelectionOptions;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class SweepTest {
    private static SelectionOptions sweep(Map<String, Object> lists) {
        return SelectionOptions.of(Map.of("number", 5, "sweep", lists));
    }

    @Test
    void everyCombinationThatARepairLooksAtAndTheControls() {
        Map<String, SelectionOptions> points = Sweep.points(sweep(Map.of(
                "repair",
                List.of("safe-lora", "safety-vector"),
                "strategy",
                List.of("number", "all"),
                "number",
                List.of(5, 9),
                "projector",
                List.of("approximate", "subspace"),
                "energy",
                List.of(0.5),
                "gamma",
                List.of(0.5, 2))));
        assertThat(points.keySet())
                .containsExactly(
                        "safe-lora approximate, lowest 5",
                        "safe-lora approximate, lowest 9",
                        "safe-lora approximate, all",
                        "safe-lora subspace 0.5, lowest 5",
                        "safe-lora subspace 0.5, lowest 9",
                        "safe-lora subspace 0.5, all",
                        "safety-vector rank 16 gamma 0.5",
                        "safety-vector rank 16 gamma 2",
                        "drop approximate, lowest 5",
                        "drop approximate, lowest 9",
                        "drop, all",
                        "drop subspace 0.5, lowest 5",
                        "drop subspace 0.5, lowest 9",
                        "scale 0.5");
        assertThat(points.values()).allMatch(point -> point.sweep() == null);
        assertThat(points.get("safety-vector rank 16 gamma 2").gamma()).isEqualTo(2);
        assertThat(points.get("drop subspace 0.5, lowest 9").energy()).isEqualTo(0.5);
    }

    @Test
    void aSweepOfNothingIsTheRepairBesideItWithItsControls() {
        assertThat(Sweep.points(sweep(Map.of())).keySet())
                .containsExactly("safe-lora approximate, lowest 5", "drop approximate, lowest 5", "scale 0.5");
    }

    @Test
    void tooManyPointsAreRefused() {
        assertThatThrownBy(() -> Sweep.points(sweep(Map.of("number", List.of(1, 2, 3), "max_points", 5))))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("selection.sweep: has 9 points");
    }
}
