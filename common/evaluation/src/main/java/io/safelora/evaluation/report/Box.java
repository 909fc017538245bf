package io.safelora.evaluation.report;

/** A rectangle of a picture; y grows downwards. */
record Box(double x, double y, double width, double height) {
    static Box around(double x, double y, double half) {
        return new Box(x - half, y - half, 2 * half, 2 * half);
    }

    double right() {
        return x + width;
    }

    double bottom() {
        return y + height;
    }

    boolean overlaps(Box other) {
        return x < other.right() && other.x < right() && y < other.bottom() && other.y < bottom();
    }

    boolean holds(Box other) {
        return x <= other.x && y <= other.y && other.right() <= right() && other.bottom() <= bottom();
    }

    /** How much of the other lies in this one. */
    double shared(Box other) {
        double w = Math.min(right(), other.right()) - Math.max(x, other.x);
        double h = Math.min(bottom(), other.bottom()) - Math.max(y, other.y);
        return w <= 0 || h <= 0 ? 0 : w * h;
    }

    /** Whether a straight line goes through it (Liang and Barsky's clipping). */
    boolean cuts(double x1, double y1, double x2, double y2) {
        double from = 0;
        double to = 1;
        double[] p = {x1 - x2, x2 - x1, y1 - y2, y2 - y1};
        double[] q = {x1 - x, right() - x1, y1 - y, bottom() - y1};
        for (int i = 0; i < 4; i++) {
            if (p[i] == 0) {
                if (q[i] <= 0) {
                    return false;
                }
            } else if (p[i] < 0) {
                from = Math.max(from, q[i] / p[i]);
            } else {
                to = Math.min(to, q[i] / p[i]);
            }
        }
        return from < to;
    }
}
