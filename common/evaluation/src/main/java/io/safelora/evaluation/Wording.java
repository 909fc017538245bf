package io.safelora.evaluation;

import io.safelora.evaluation.statistics.Comparison;
import io.safelora.evaluation.statistics.Interval;
import io.safelora.evaluation.statistics.RowValues;
import java.util.Locale;

/** How sentences write what was measured: shares in per cent, their differences in points, all else as it is. */
final class Wording {
    private Wording() {}

    /** "harmfulness harmful (refusal-phrases)" */
    static String named(RowValues r) {
        return r.task() + " " + r.metric() + (r.judge() == null ? "" : " (" + r.judge() + ")");
    }

    /** "88.0 %" and "1.2345" */
    static String value(RowValues of, double value) {
        return of.share()
                ? String.format(Locale.ROOT, "%.1f %%", 100 * value)
                : String.format(Locale.ROOT, "%.4f", value);
    }

    /** "5 %" and "0.05" */
    static String bound(RowValues of, double max) {
        return of.share()
                ? String.format(Locale.ROOT, "%.4f", 100 * max).replaceFirst("\\.?0+$", "") + " %"
                : Double.toString(max);
    }

    /** "0.0 to 5.7 % (95 % Wilson interval)" */
    static String range(RowValues of, Interval interval) {
        return interval == null
                ? "and the rows tell nothing of its spread"
                : (of.share()
                                ? String.format(
                                        Locale.ROOT, "%.1f to %.1f %%", 100 * interval.lower(), 100 * interval.upper())
                                : String.format(Locale.ROOT, "%.4f to %.4f", interval.lower(), interval.upper()))
                        + " (" + interval.name() + ")";
    }

    /** "-3.0 points, -7.9 to 1.5 (95 % Tango score interval)" */
    static String difference(Comparison c, boolean share) {
        String format = share ? "%.1f points" : "%.4f";
        double unit = share ? 100 : 1;
        String difference = String.format(Locale.ROOT, format, zero(unit * c.difference()));
        return c.lower() == null
                ? difference + ", and the rows tell nothing of its spread"
                : difference
                        + String.format(
                                Locale.ROOT,
                                share ? ", %.1f to %.1f" : ", %.4f to %.4f",
                                zero(unit * c.lower()),
                                zero(unit * c.upper()))
                        + " (" + c.interval() + ")";
    }

    /** -0.0 is 0. */
    private static double zero(double x) {
        return x == 0 ? 0 : x;
    }
}
