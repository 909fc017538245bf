package io.safelora.evaluation.report;

import io.safelora.evaluation.report.LabelPlacement.Label;
import io.safelora.evaluation.report.LabelPlacement.Named;
import io.safelora.evaluation.report.LossPicture.Tick;
import io.safelora.evaluation.report.ScoreTable.Cell;
import io.safelora.evaluation.report.SkillAndHarm.Point;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import java.util.stream.DoubleStream;

/**
 * Skill against harm. To the right is more harm; up is more skill, also where skill is a loss, of which less is better.
 *
 * @param marks the models, the least important first, so that the others are drawn over them
 * @param front the points of a polyline through those that no repair beats; empty where there is no sweep
 */
public record PlanePicture(
        double width,
        double height,
        String left,
        String right,
        String top,
        String bottom,
        List<Tick> harms,
        List<Tick> skills,
        List<Mark> marks,
        List<Name> names,
        String front) {
    private static final Box FRAME = new Box(44, 8, 276, 234);

    /** Half of a mark's size, with some air. */
    private static final double MARK = 7;

    private static final double DOT = 4.5;

    /** Names are set in a font whose letters are all of one width, in the picture's units. */
    private static final double LETTER = 6;

    private static final double LINE = 14;
    private static final int LETTERS = 26;

    /** Shares that lie this close together are drawn on a part of the axis. */
    private static final double NARROW = 0.3;

    /**
     * A model, with the bars of its intervals.
     *
     * @param barred whether its bars are drawn: those of all of a sweep's repairs would hide each other
     */
    public record Mark(
            String model,
            Role role,
            boolean front,
            boolean barred,
            String x,
            String y,
            String barLeft,
            String barRight,
            String barTop,
            String barBottom,
            String title) {}

    /**
     * A model's name.
     *
     * @param x of its left edge
     * @param y of its baseline
     * @param length how wide it is drawn, whatever the font
     * @param tied whether a line goes from the mark (fromX, fromY) to the name (lineX, lineY)
     */
    public record Name(
            String model,
            String text,
            Role role,
            String x,
            String y,
            String length,
            boolean tied,
            String fromX,
            String fromY,
            String lineX,
            String lineY) {}

    static PlanePicture of(SkillAndHarm plane) {
        if (plane == null || plane.points().isEmpty()) {
            return null;
        }
        boolean share = plane.skill().share();
        Axis x = new Axis(0, 1, FRAME.x(), FRAME.right(), 0.25);
        Axis y = skillAxis(plane);
        List<Point> points = new ArrayList<>(plane.points());
        points.sort(Comparator.comparingInt(PlanePicture::importance));
        List<Box> boxes = new ArrayList<>();
        List<Box> bars = new ArrayList<>();
        List<Named> named = new ArrayList<>();
        List<Mark> marks = new ArrayList<>();
        for (Point point : points) {
            double px = x.at(point.harm().value());
            double py = y.at(point.skill().value());
            boxes.add(Box.around(px, py, point.role() == Role.other ? DOT : MARK));
            double left = x.at(low(point.harm()));
            double right = x.at(high(point.harm()));
            double one = y.at(low(point.skill()));
            double other = y.at(high(point.skill()));
            if (point.role() != Role.other) {
                bars.add(new Box(left, py - 2, right - left, 4));
                bars.add(new Box(px - 2, Math.min(one, other), 4, Math.abs(one - other)));
            }
            String text = shortened(point.model());
            // A sweep's other repairs come last.
            if (point.role() != Role.other || point.front()) {
                named.add(new Named(text, px, py, LETTER * text.length(), LINE));
            }
            marks.add(
                    0,
                    new Mark(
                            point.model(),
                            point.role(),
                            point.front(),
                            point.role() != Role.other,
                            Format.number(px),
                            Format.number(py),
                            Format.number(left),
                            Format.number(right),
                            Format.number(Math.min(one, other)),
                            Format.number(Math.max(one, other)),
                            title(point, share)));
        }
        List<Label> labels = LabelPlacement.of(FRAME, boxes, bars, named);
        return new PlanePicture(
                HeatMap.WIDTH,
                290,
                Format.number(FRAME.x()),
                Format.number(FRAME.right()),
                Format.number(FRAME.y()),
                Format.number(FRAME.bottom()),
                x.ticks().stream()
                        .map(v -> new Tick(Format.number(x.at(v)), String.format(Locale.ROOT, "%.0f %%", 100 * v)))
                        .toList(),
                y.ticks().stream()
                        .map(v -> new Tick(
                                Format.number(y.at(v)),
                                share
                                        ? String.format(
                                                Locale.ROOT, "%." + Math.max(0, y.decimals() - 2) + "f %%", 100 * v)
                                        : String.format(Locale.ROOT, "%." + y.decimals() + "f", v)))
                        .toList(),
                marks,
                labels.stream().map(l -> name(l, points.get(l.number()))).toList(),
                plane.points().stream()
                        .filter(Point::front)
                        .sorted(Comparator.comparingDouble(p -> p.harm().value()))
                        .map(p -> Format.number(x.at(p.harm().value())) + ","
                                + Format.number(y.at(p.skill().value())))
                        .collect(Collectors.joining(" ")));
    }

    private static Axis skillAxis(SkillAndHarm plane) {
        double[] ends = plane.points().stream()
                .map(Point::skill)
                .flatMapToDouble(c -> DoubleStream.of(low(c), high(c)))
                .toArray();
        double low = DoubleStream.of(ends).min().orElse(0);
        double high = DoubleStream.of(ends).max().orElse(1);
        boolean share = plane.skill().share();
        if (share && high - low > NARROW) {
            return new Axis(0, 1, FRAME.bottom(), FRAME.y(), 0.25);
        }
        double least = share ? 0 : Double.NEGATIVE_INFINITY;
        double most = share ? 1 : Double.POSITIVE_INFINITY;
        Axis axis = Axis.around(low, high, least, most, FRAME.bottom(), FRAME.y());
        return plane.skill().higherIsBetter() ? axis : axis.reversed();
    }

    /** Who is named first, and drawn last. */
    private static int importance(Point point) {
        return switch (point.role()) {
            case repaired -> 0;
            case fine_tuned -> 1;
            case aligned -> 2;
            case control -> 3;
            case other -> point.front() ? 4 : 5;
        };
    }

    private static Name name(Label label, Point point) {
        return new Name(
                point.model(),
                label.text(),
                point.role(),
                Format.number(label.box().x()),
                Format.number(label.box().y() + LINE - 4),
                Format.number(label.box().width()),
                label.tied(),
                Format.number(label.x()),
                Format.number(label.y()),
                Format.number(label.lineX()),
                Format.number(label.lineY()));
    }

    private static String title(Point point, boolean share) {
        return point.model() + ": harmful " + text(true, point.harm()) + "; skill " + text(share, point.skill());
    }

    private static String text(boolean share, Cell cell) {
        return Format.value(share, cell.value())
                + (cell.lower() == null
                        ? ""
                        : " (" + cell.interval() + " " + Format.value(share, cell.lower()) + " to "
                                + Format.value(share, cell.upper()) + ")");
    }

    private static double low(Cell cell) {
        return cell.lower() == null ? cell.value() : cell.lower();
    }

    private static double high(Cell cell) {
        return cell.upper() == null ? cell.value() : cell.upper();
    }

    private static String shortened(String model) {
        return model.length() <= LETTERS ? model : model.substring(0, LETTERS - 1) + "…";
    }
}
