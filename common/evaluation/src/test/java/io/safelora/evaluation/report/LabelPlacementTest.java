package io.safelora.evaluation.report;

import static org.assertj.core.api.Assertions.assertThat;

import io.safelora.evaluation.report.LabelPlacement.Label;
import io.safelora.evaluation.report.LabelPlacement.Named;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class LabelPlacementTest {
    private static final Box FRAME = new Box(40, 10, 280, 230);

    @Test
    void namesNeverCoverNamesOrMarksAndStayInTheFrame() {
        Random random = new Random(1);
        for (int round = 0; round < 200; round++) {
            int points = 1 + random.nextInt(round % 10 == 0 ? 60 : 6);
            // Every third round all points crowd into a corner or into one place.
            double spread = round % 3 == 0 ? random.nextDouble() * 0.1 : 1;
            List<Named> named = named(random, points, spread);
            List<Box> marks = IntStream.range(0, points)
                    .mapToObj(i -> Box.around(named.get(i).x(), named.get(i).y(), i < 5 ? 7 : 4.5))
                    .toList();
            List<Box> bars = named.stream()
                    .map(p -> new Box(p.x() - 30, p.y() - 2, 60, 4))
                    .toList();
            List<Label> labels = LabelPlacement.of(FRAME, marks, bars, named);
            for (int i = 0; i < labels.size(); i++) {
                Label label = labels.get(i);
                assertThat(FRAME.holds(label.box())).isTrue();
                assertThat(marks).noneMatch(label.box()::overlaps);
                assertThat(label.tied() || distance(label) < 9).isTrue();
                for (Label other : labels.subList(0, i)) {
                    assertThat(label.box().overlaps(other.box())).isFalse();
                    assertThat(label.tied() && other.box().cuts(label.x(), label.y(), label.lineX(), label.lineY()))
                            .isFalse();
                    assertThat(other.tied() && label.box().cuts(other.x(), other.y(), other.lineX(), other.lineY()))
                            .isFalse();
                }
            }
            if (points <= 5) {
                assertThat(labels).as("round " + round).hasSize(points);
            }
            assertThat(labels.stream().map(Label::number))
                    .as("the most important are named, round " + round)
                    .containsAll(IntStream.range(0, Math.min(3, points)).boxed().toList());
        }
    }

    @Test
    void aNameStandsAtItsOwnPoint() {
        List<Named> named = List.of(new Named("left", 60, 100, 30, 14), new Named("right", 250, 200, 36, 14));
        List<Label> labels = LabelPlacement.of(
                FRAME, named.stream().map(p -> Box.around(p.x(), p.y(), 7)).toList(), List.of(), named);
        assertThat(labels).extracting(Label::text).containsExactly("left", "right");
        assertThat(labels).allSatisfy(l -> assertThat(distance(l)).isLessThan(9));
        assertThat(labels).noneMatch(Label::tied);
    }

    private static double distance(Label label) {
        return Math.hypot(label.lineX() - label.x(), label.lineY() - label.y());
    }

    private static List<Named> named(Random random, int points, double spread) {
        double left = random.nextDouble() * (1 - spread);
        double top = random.nextDouble() * (1 - spread);
        List<Named> named = new ArrayList<>();
        for (int i = 0; i < points; i++) {
            named.add(new Named(
                    "p" + i,
                    FRAME.x() + FRAME.width() * (left + spread * random.nextDouble()),
                    FRAME.y() + FRAME.height() * (top + spread * random.nextDouble()),
                    36 + random.nextInt(120),
                    14));
        }
        return named;
    }
}
