package io.safelora.evaluation.report;

import java.util.Locale;

/** Numbers as the report has them. A percent sign stays on the line of its number. */
final class Format {
    private static final char NO_BREAK = '\u00a0';

    private Format() {}

    /** 0.125 is "12.5 %". */
    static String share(double share) {
        return String.format(Locale.ROOT, "%.1f", 100 * share) + NO_BREAK + "%";
    }

    /** 0.125 is "12.5 points": a difference of shares. */
    static String points(double difference) {
        return String.format(Locale.ROOT, "%.1f", 100 * difference) + NO_BREAK + "points";
    }

    static String signed(double value) {
        return value < 0 ? "−" : "+";
    }

    static String decimal(double value) {
        return String.format(Locale.ROOT, "%.4f", value);
    }

    static String value(boolean share, double value) {
        return share ? share(value) : decimal(value);
    }

    /** Coordinates: a hundredth of a pixel is enough, and keeps the file small. */
    static String number(double value) {
        String text = String.format(Locale.ROOT, "%.2f", value);
        return text.contains(".") ? text.replaceFirst("\\.?0+$", "") : text;
    }
}
