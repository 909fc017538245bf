package io.safelora.evaluation.report;

import java.util.ArrayList;
import java.util.List;

/**
 * A linear axis of a picture.
 *
 * @param from the value at the start
 * @param to the value at the end
 * @param start position of from, in the picture's units; of an axis that goes up it is the larger one, as SVG counts
 *     downwards
 * @param step between ticks, above 0
 */
record Axis(double from, double to, double start, double end, double step) {
    private static final int TICKS = 5;

    /**
     * An axis that begins and ends at round values and holds both.
     *
     * @param least the values never go below it
     * @param most nor above it
     */
    static Axis around(double low, double high, double least, double most, double start, double end) {
        double range = Math.max(high - low, 1e-6 * Math.max(1, Math.abs(high)));
        double raw = range / (TICKS - 1);
        double power = Math.pow(10, Math.floor(Math.log10(raw)));
        double step = power * (raw / power > 5 ? 10 : raw / power > 2 ? 5 : raw / power > 1 ? 2 : 1);
        double from = Math.max(least, step * Math.floor(low / step + 1e-9));
        double to = Math.min(most, step * Math.ceil(high / step - 1e-9));
        return new Axis(from, Math.max(to, from + step), start, end, step);
    }

    double at(double value) {
        return start + (end - start) * (value - from) / (to - from);
    }

    /** The same values, the other way round. */
    Axis reversed() {
        return new Axis(to, from, start, end, step);
    }

    /** The round values on it. */
    List<Double> ticks() {
        double low = Math.min(from, to);
        List<Double> ticks = new ArrayList<>();
        for (int i = 0; low + i * step <= Math.max(from, to) + step * 1e-6; i++) {
            ticks.add(low + i * step);
        }
        return ticks;
    }

    /** How many decimals tell the ticks apart. */
    int decimals() {
        return Math.max(0, (int) Math.ceil(-Math.log10(step) - 1e-9));
    }
}
