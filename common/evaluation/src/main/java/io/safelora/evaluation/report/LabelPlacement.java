package io.safelora.evaluation.report;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Where the names of points go, so that none covers another name, a point, or leaves the frame. One name after another, the
 * most important first, takes the cheapest free place: near its point, to the right rather than to the left, off the bars of the
 * intervals. A name that lies away from its point is tied to it by a line, and lines cross neither names nor lines. A name that
 * finds no free place is left out.
 */
final class LabelPlacement {
    /** Nearer than this, a name needs no line to its point. */
    private static final double TOUCHING = 7;

    private static final double STEP = 4;

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
        private boolean crosses(Label other) {
            return (other.tied && box.cuts(other.x, other.y, other.lineX, other.lineY))
                    || (tied && other.box.cuts(x, y, lineX, lineY))
                    || (tied && other.tied && cross(other));
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

    /** @param points the most important first */
    static List<Label> of(Box frame, List<Box> marks, List<Box> bars, List<Named> points) {
        LabelPlacement placement = new LabelPlacement(frame, marks, bars);
        for (int i = 0; i < points.size(); i++) {
            placement.place(i, points.get(i));
        }
        return placement.placed;
    }

    private void place(int number, Named point) {
        List<Label> candidates = new ArrayList<>();
        // Next to the point, and then anywhere.
        for (double dx : new double[] {8, -8 - point.width(), -point.width() / 2}) {
            for (double dy : new double[] {-point.height() / 2, -point.height() - 6, 6}) {
                candidates.add(candidate(number, point, point.x() + dx, point.y() + dy));
            }
        }
        for (double y = frame.y(); y + point.height() <= frame.bottom(); y += STEP) {
            for (double x = frame.x(); x + point.width() <= frame.right(); x += STEP) {
                candidates.add(candidate(number, point, x, y));
            }
        }
        candidates.stream()
                .filter(this::isFree)
                .min(Comparator.comparingDouble(this::cost))
                .ifPresent(placed::add);
    }

    private static Label candidate(int number, Named point, double x, double y) {
        Box box = new Box(x, y, point.width(), point.height());
        double lineX = Math.max(box.x(), Math.min(box.right(), point.x()));
        double lineY = Math.max(box.y(), Math.min(box.bottom(), point.y()));
        boolean tied = Math.hypot(lineX - point.x(), lineY - point.y()) > TOUCHING + 1.5;
        return new Label(number, point.text(), box, tied, lineX, lineY, point.x(), point.y());
    }

    private boolean isFree(Label label) {
        return frame.holds(label.box())
                && marks.stream().noneMatch(label.box()::overlaps)
                && placed.stream().noneMatch(p -> p.box().overlaps(label.box()) || p.crosses(label));
    }

    private double cost(Label label) {
        double distance = Math.hypot(label.lineX() - label.x(), label.lineY() - label.y());
        double covered = bars.stream().mapToDouble(label.box()::shared).sum();
        double side = label.box().x() >= label.x() ? 0 : 2;
        return distance + (label.tied() ? 10 : 0) + covered / 2 + side;
    }
}
