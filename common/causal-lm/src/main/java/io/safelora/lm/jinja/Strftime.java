package io.safelora.lm.jinja;

import java.time.LocalDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Locale;

/** Python's datetime.strftime of a time without zone, in the C locale. */
final class Strftime {
    private Strftime() {}

    static String format(Budget budget, LocalDateTime time, String format) {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < format.length(); i++) {
            char c = format.charAt(i);
            if (c != '%' || i + 1 == format.length()) {
                budget.append(out, String.valueOf(c));
                continue;
            }
            boolean unpadded = format.charAt(i + 1) == '-' && i + 2 < format.length();
            i += unpadded ? 2 : 1;
            String field = field(time, format.charAt(i));
            budget.append(out, unpadded ? field.replaceFirst("^0+(?=.)", "") : field);
        }
        return out.toString();
    }

    private static String field(LocalDateTime time, char directive) {
        String pattern =
                switch (directive) {
                    case 'a' -> "EEE";
                    case 'A' -> "EEEE";
                    case 'b', 'h' -> "MMM";
                    case 'B' -> "MMMM";
                    case 'd' -> "dd";
                    case 'm' -> "MM";
                    case 'y' -> "yy";
                    case 'Y' -> "yyyy";
                    case 'H' -> "HH";
                    case 'I' -> "hh";
                    case 'M' -> "mm";
                    case 'S' -> "ss";
                    case 'f' -> "SSSSSS";
                    case 'p' -> "a";
                    case 'j' -> "DDD";
                    case 'e' -> "ppd";
                    case 'F' -> "yyyy-MM-dd";
                    case 'T', 'X' -> "HH:mm:ss";
                    case 'R' -> "HH:mm";
                    case 'D', 'x' -> "MM/dd/yy";
                    case 'c' -> "EEE MMM ppd HH:mm:ss yyyy";
                    case 'G' -> "YYYY";
                    case 'V' -> "ww";
                    case 'u' -> "e";
                    case 'z', 'Z' -> "";
                    case '%' -> "'%'";
                    case 'n' -> "'\n'";
                    case 't' -> "'\t'";
                    default ->
                        throw TemplateException.failure("strftime_now's %" + directive + " is not supported here");
                };
        // Weeks as ISO 8601 counts them, the names in English.
        return pattern.isEmpty() ? "" : time.format(DateTimeFormatter.ofPattern(pattern, Locale.UK));
    }
}
