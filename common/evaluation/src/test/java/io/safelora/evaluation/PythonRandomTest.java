package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Expected values: CPython 3.11, {@code r = random.Random(1234); r.sample(range(n), k)}. */
class PythonRandomTest {
    private static List<Integer> range(int n) {
        return IntStream.range(0, n).boxed().toList();
    }

    @Test
    void aLargePopulationIsDrawnByRejection() {
        PythonRandom random = new PythonRandom(1234);
        assertThat(random.sample(range(7473), 5)).containsExactly(6374, 3610, 957, 61, 742);
        assertThat(random.sample(range(7473), 5)).containsExactly(7462, 6610, 4769, 286, 5501);
    }

    @Test
    void aSmallPopulationIsDrawnFromAPool() {
        PythonRandom random = new PythonRandom(1234);
        assertThat(random.sample(range(10), 4)).containsExactly(7, 1, 0, 9);
        assertThat(random.sample(range(30), 8)).containsExactly(29, 25, 18, 1, 21, 22, 2, 3);
    }
}
