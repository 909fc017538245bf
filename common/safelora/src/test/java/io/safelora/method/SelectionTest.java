package io.safelora.method;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.safelora.contract.SelectionOptions;
import io.safelora.method.Selection.Candidate;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

class SelectionTest {
    /** Two groups of cosines, around 0.1 and 0.8; |V|_F grows with the layer; the last module has no cosine. */
    private static final List<Candidate> CANDIDATES = List.of(
            new Candidate("model.layers.0.self_attn.q_proj", 0.08, 1),
            new Candidate("model.layers.0.mlp.down_proj", 0.75, 1),
            new Candidate("model.layers.1.self_attn.q_proj", 0.11, 2),
            new Candidate("model.layers.1.mlp.down_proj", 0.9, 2),
            new Candidate("model.layers.10.self_attn.q_proj", 0.11, 3),
            new Candidate("model.layers.10.mlp.down_proj", 0.8, 4),
            new Candidate("model.layers.11.mlp.down_proj", null, 0));

    @Test
    void numberTakesTheLowestAndTiesGoByName() {
        assertThat(select(Map.of("strategy", "number", "number", 2)))
                .containsExactly("model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj");
        assertThat(select(Map.of("strategy", "number", "number", 0))).isEmpty();
        assertThat(select(Map.of("strategy", "number", "number", 99))).hasSize(6);
    }

    @Test
    void thresholdIsStrict() {
        assertThat(select(Map.of("strategy", "threshold", "threshold", 0.11)))
                .containsExactly("model.layers.0.self_attn.q_proj");
    }

    @Test
    void autoTakesTheFewestThatHoldNineTenthsOfWhatIsMisaligned() {
        // 1 - cosine^2: 0.9936, 0.9879, 0.9879, 0.4375, 0.36, 0.19; nine tenths of their sum are 3.56.
        assertThat(select(Map.of("strategy", "auto")))
                .hasSize(5)
                .doesNotContain("model.layers.1.mlp.down_proj", "model.layers.11.mlp.down_proj");
        assertThat(select(List.of(), Map.of("strategy", "auto"))).isEmpty();
        List<Candidate> aligned = List.of(new Candidate("a", 1.0, 1), new Candidate("b", 1.0, 1));
        assertThat(select(aligned, Map.of("strategy", "auto"))).isEmpty();
        List<Candidate> alike = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
            alike.add(new Candidate("m" + i, 0.4, 1));
        }
        assertThat(select(alike, Map.of("strategy", "auto"))).hasSize(45);
    }

    @Test
    void energyTakesTheFewestThatHoldTheShare() {
        // |V|^2: 16, 9, 4, 4, 1, 1, 0; half of 35 is reached by the first two.
        assertThat(select(Map.of("strategy", "energy", "share", 0.5)))
                .containsExactly("model.layers.10.mlp.down_proj", "model.layers.10.self_attn.q_proj");
        assertThat(select(Map.of("strategy", "energy", "share", 16 / 35.0)))
                .containsExactly("model.layers.10.mlp.down_proj");
        assertThat(select(Map.of("strategy", "energy", "share", 1))).hasSize(6);
    }

    @Test
    void randomIsTheSameForASeedAndTheOrderOfModules() {
        Set<String> chosen = select(Map.of("strategy", "random", "number", 3, "seed", 1));
        List<Candidate> reversed = new ArrayList<>(CANDIDATES);
        Collections.reverse(reversed);
        assertThat(chosen).hasSize(3);
        assertThat(select(reversed, Map.of("strategy", "random", "number", 3, "seed", 1)))
                .isEqualTo(chosen);
        assertThat(java.util.stream.IntStream.range(0, 20)
                        .mapToObj(seed -> select(Map.of("strategy", "random", "number", 3, "seed", seed)))
                        .distinct())
                .hasSizeGreaterThan(5);
    }

    @Test
    void layersAndNamesNarrowEveryStrategy() {
        assertThat(select(Map.of("strategy", "all"))).hasSize(7);
        assertThat(select(Map.of("strategy", "all", "layers", "1"))).hasSize(2).allMatch(n -> n.contains(".1."));
        assertThat(select(Map.of("strategy", "all", "layers", "0,10-11"))).hasSize(5);
        assertThat(select(Map.of("strategy", "all", "modules", List.of("q_proj"))))
                .hasSize(3);
        assertThat(select(Map.of("strategy", "number", "number", 1, "modules", List.of("mlp.down_proj"))))
                .containsExactly("model.layers.0.mlp.down_proj");
        assertThat(select(Map.of("strategy", "energy", "share", 0.9, "layers", "0-1", "modules", List.of("q_proj"))))
                .containsExactly("model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj");
        assertThatThrownBy(() -> select(Map.of("layers", "20-30")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("no adapted module is in layers 20-30");
        assertThatThrownBy(() -> select(Map.of("modules", List.of("k_proj"))))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("ends with k_proj; there are [down_proj, q_proj]");
    }

    private static Set<String> select(Map<String, ?> options) {
        return select(CANDIDATES, options);
    }

    private static Set<String> select(List<Candidate> candidates, Map<String, ?> options) {
        return Selection.select(candidates, SelectionOptions.of(options));
    }
}
