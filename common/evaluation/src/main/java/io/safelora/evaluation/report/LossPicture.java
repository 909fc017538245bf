package io.safelora.evaluation.report;

import io.safelora.evaluation.report.TrainingLoss.Point;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * The training's loss, step by step.
 *
 * @param line the points of a polyline
 */
public record LossPicture(
        double width,
        double height,
        String left,
        String right,
        String top,
        String bottom,
        String line,
        List<Tick> steps,
        List<Tick> losses) {

    /** A round value of an axis. */
    public record Tick(String at, String label) {}

    static LossPicture of(TrainingLoss training) {
        if (training == null) {
            return null;
        }
        List<Point> points = training.points();
        double least = points.stream().mapToDouble(Point::loss).min().orElseThrow();
        double most = points.stream().mapToDouble(Point::loss).max().orElseThrow();
        int last = points.get(points.size() - 1).step();
        Axis y = Axis.around(Math.min(0, least), most, Double.NEGATIVE_INFINITY, Double.POSITIVE_INFINITY, 170, 8);
        Axis x = Axis.around(0, Math.max(1, last), 0, Math.max(1, last), 40, 322);
        return new LossPicture(
                HeatMap.WIDTH,
                212,
                "40",
                "322",
                "8",
                "170",
                points.stream()
                        .map(p -> Format.number(x.at(p.step())) + "," + Format.number(y.at(p.loss())))
                        .collect(Collectors.joining(" ")),
                ticks(x),
                ticks(y));
    }

    static List<Tick> ticks(Axis axis) {
        return axis.ticks().stream()
                .map(v -> new Tick(
                        Format.number(axis.at(v)), String.format(Locale.ROOT, "%." + axis.decimals() + "f", v)))
                .toList();
    }
}
