package io.safelora.evaluation.report;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Where the names of points go, so that none covers another name, a point, or leaves the frame. One name after another,
 * the most important first, takes the cheapest free place: near its point, to the right rather than to the left, off
 * the bars of the intervals. A name that lies away from its point is tied to it by a line. Lines do not cross names,
 * nor each other if there is another place. A name that finds no free place is left out.
 */
final class LabelPlacement {
    /** Nearer than this, a name needs no line to its point. */
    private static final double TOUCHING = 7;

    private static final double STEP = 4;

    /** So many names must not be left out. */
    private static final int FEW = 5;

    private final Box frame;
    private final List<Box> marks;
    private final List<Box> bars;
    private final List<Label> placed = new ArrayList<>();

    /** A point that is to be named, and the size of its name. */
    record Named(String text, double x, double y, double width, double height) {}

    /**
     * A name in its place.
     *
     * @param number of the point, as they were given
     * @param tied whether a line goes from the point to (lineX, lineY) on the name's edge
     */
    record Label(int number, String text, Box box, boolean tied, double lineX, double lineY, double x, double y) {
        private boolean covers(Label other) {
            return (other.tied && box.cuts(other.x, other.y, other.lineX, other.lineY))
                    || (tied && other.box.cuts(x, y, lineX, lineY));
        }

        private boolean crosses(Label other) {
            return tied && other.tied && fromMark().cross(other.fromMark());
        }

        /** What of the line is seen: it begins at the mark's edge. */
        private Label fromMark() {
            double length = Math.hypot(lineX - x, lineY - y);
            double share = Math.min(1, TOUCHING / length);
            return new Label(number, text, box, tied, lineX, lineY, x + share * (lineX - x), y + share * (lineY - y));
        }

        private boolean cross(Label o) {
            return side(x, y, lineX, lineY, o.x, o.y) * side(x, y, lineX, lineY, o.lineX, o.lineY) < 0
                    && side(o.x, o.y, o.lineX, o.lineY, x, y) * side(o.x, o.y, o.lineX, o.lineY, lineX, lineY) < 0;
        }

        private static double side(double ax, double ay, double bx, double by, double px, double py) {
            return (bx - ax) * (py - ay) - (by - ay) * (px - ax);
        }
    }

    /**
     * @param marks what no name may cover
     * @param bars what names should not cover, if there is another place
     */
    private LabelPlacement(Box frame, List<Box> marks, List<Box> bars) {
        this.frame = frame;
        this.marks = marks;
        this.bars = bars;
    }

    /**
     * Places names in the order given. Where one of the first few finds no place, other orders are tried, and the one
     * that places most of them is taken: wide names need room first.
     *
     * @param points the most important first
     */
    static List<Label> of(Box frame, List<Box> marks, List<Box> bars, List<Named> points) {
        List<Comparator<Integer>> orders = List.of(
                Comparator.naturalOrder(),
                Comparator.comparing(i -> -points.get(i).width()),
                Comparator.comparing(i -> points.get(i).y()),
                Comparator.comparing(i -> -points.get(i).x()));
        int few = Math.min(FEW, points.size());
        LabelPlacement best = null;
        for (Comparator<Integer> order : orders) {
            LabelPlacement placement = new LabelPlacement(frame, marks, bars);
            IntStream.range(0, few).boxed().sorted(order).forEach(i -> placement.place(i, points.get(i)));
            if (best == null || placement.placed.size() > best.placed.size()) {
                best = placement;
            }
            if (best.placed.size() == few) {
                break;
            }
        }
        for (int i = few; i < points.size(); i++) {
            best.place(i, points.get(i));
        }
        return best.placed;
    }

    private void place(int number, Named point) {
        List<Box> boxes = new ArrayList<>();
        // Next to the point, and then anywhere.
        for (double dx : new double[] {8, -8 - point.width(), -point.width() / 2}) {
            for (double dy : new double[] {-point.height() / 2, -point.height() - 6, 6}) {
                boxes.add(new Box(point.x() + dx, point.y() + dy, point.width(), point.height()));
            }
        }
        for (double y = frame.y(); y + point.height() <= frame.bottom(); y += STEP) {
            for (double x = frame.x(); x + point.width() <= frame.right(); x += STEP) {
                boxes.add(new Box(x, y, point.width(), point.height()));
            }
        }
        List<Label> free = boxes.stream()
                .filter(this::isFree)
                .flatMap(box -> ties(number, point, box))
                .filter(label -> placed.stream().noneMatch(label::covers))
                .toList();
        free.stream()
                .filter(label -> placed.stream().noneMatch(label::crosses))
                .min(Comparator.comparingDouble(this::cost))
                .or(() -> free.stream().min(Comparator.comparingDouble(this::cost)))
                .ifPresent(placed::add);
    }

    /** A line ends where the name is nearest to the point, or in the middle of its left or right edge. */
    private static Stream<Label> ties(int number, Named point, Box box) {
        double nearX = Math.max(box.x(), Math.min(box.right(), point.x()));
        double nearY = Math.max(box.y(), Math.min(box.bottom(), point.y()));
        double middle = box.y() + box.height() / 2;
        Label near = label(number, point, box, nearX, nearY);
        return near.tied()
                ? Stream.of(
                        near,
                        label(number, point, box, box.x(), middle),
                        label(number, point, box, box.right(), middle))
                : Stream.of(near);
    }

    private static Label label(int number, Named point, Box box, double lineX, double lineY) {
        boolean tied = Math.hypot(lineX - point.x(), lineY - point.y()) > TOUCHING + 1.5;
        return new Label(number, point.text(), box, tied, lineX, lineY, point.x(), point.y());
    }

    private boolean isFree(Box box) {
        return frame.holds(box)
                && marks.stream().noneMatch(box::overlaps)
                && placed.stream().noneMatch(p -> p.box().overlaps(box));
    }

    private double cost(Label label) {
        double distance = Math.hypot(label.lineX() - label.x(), label.lineY() - label.y());
        double covered = bars.stream().mapToDouble(label.box()::shared).sum();
        double side = label.box().x() >= label.x() ? 0 : 2;
        return distance + (label.tied() ? 10 : 0) + covered / 2 + side;
    }
}
