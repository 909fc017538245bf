package io.safelora.lm.jinja;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.function.IntPredicate;

/** What Python's str does, on Java's strings. */
final class Texts {
    private Texts() {}

    /** Python's white space: Unicode's, and the information separators. */
    static boolean isSpace(int c) {
        return c >= 9 && c <= 13 || c >= 0x1c && c <= 0x20 || c == 0x85 || c >= 0xa0 && Character.isSpaceChar(c);
    }

    static boolean isSpace(String text) {
        return !text.isEmpty() && text.chars().allMatch(Texts::isSpace);
    }

    /** Without the characters of {@code set} at its ends; null: white space. */
    static String strip(String text, String set, boolean left, boolean right) {
        int begin = 0;
        int end = text.length();
        while (left && begin < end && in(text.codePointAt(begin), set)) {
            begin += Character.charCount(text.codePointAt(begin));
        }
        while (right && end > begin && in(text.codePointBefore(end), set)) {
            end -= Character.charCount(text.codePointBefore(end));
        }
        return text.substring(begin, end);
    }

    private static boolean in(int c, String set) {
        return set == null ? isSpace(c) : set.indexOf(c) >= 0;
    }

    /**
     * @param separator null: any white space, and no empty parts
     * @param most how often it is split; negative: wherever it can be
     * @param right whether from the right
     */
    static List<Object> split(Budget budget, String text, String separator, long most, boolean right) {
        if (separator != null && separator.isEmpty()) {
            throw TemplateException.failure("split() got an empty separator");
        }
        if (right) {
            // Mirrored, so that there is one way to split.
            List<Object> parts = new ArrayList<>();
            String mirrored = separator == null ? null : reversed(separator);
            split(budget, reversed(text), mirrored, most, false).forEach(part -> parts.add(reversed((String) part)));
            Collections.reverse(parts);
            return parts;
        }
        budget.text(text.length());
        List<Object> parts = new ArrayList<>();
        if (separator == null) {
            for (int at = skip(text, 0, true); at < text.length(); ) {
                int end = parts.size() == most ? text.length() : skip(text, at, false);
                budget.items(1);
                parts.add(text.substring(at, end));
                at = skip(text, end, true);
            }
            return parts;
        }
        budget.search(text, separator);
        int begin = 0;
        for (int at; (most < 0 || parts.size() < most) && (at = text.indexOf(separator, begin)) >= 0; ) {
            budget.items(1);
            parts.add(text.substring(begin, at));
            begin = at + separator.length();
        }
        parts.add(text.substring(begin));
        return parts;
    }

    private static String reversed(String text) {
        return new StringBuilder(text).reverse().toString();
    }

    /** From {@code at} on, the first character that is not white space, or that is. */
    private static int skip(String text, int at, boolean space) {
        while (at < text.length() && isSpace(text.charAt(at)) == space) {
            at++;
        }
        return at;
    }

    static List<Object> lines(Budget budget, String text, boolean keepEnds) {
        budget.text(text.length());
        List<Object> lines = new ArrayList<>();
        for (int begin = 0; begin < text.length(); ) {
            int end = begin;
            while (end < text.length()
                    && "\n\r\u000b\f\u001c\u001d\u001e\u0085\u2028\u2029".indexOf(text.charAt(end)) < 0) {
                end++;
            }
            int next = Math.min(text.length(), text.startsWith("\r\n", end) ? end + 2 : end + 1);
            budget.items(1);
            lines.add(text.substring(begin, keepEnds ? next : end));
            begin = next;
        }
        return lines;
    }

    /** @param most how many; negative: all */
    static String replace(Budget budget, String text, String old, String by, long most) {
        budget.search(text, old);
        StringBuilder out = new StringBuilder();
        int begin = 0;
        for (long count = 0; count != most; count++) {
            int at = old.isEmpty()
                    ? (count == 0 ? 0 : begin < text.length() ? text.offsetByCodePoints(begin, 1) : -1)
                    : text.indexOf(old, begin);
            if (at < 0) {
                break;
            }
            budget.append(out, text.substring(begin, at));
            budget.append(out, by);
            budget.step(1);
            begin = at + old.length();
        }
        budget.append(out, text.substring(begin));
        return out.toString();
    }

    static String pad(Budget budget, String text, String how, long width, String fill) {
        long missing = Math.max(0, width - text.codePointCount(0, text.length()));
        budget.text(text.length() + missing * Math.max(1, fill.length()));
        if (fill.codePointCount(0, fill.length()) != 1) {
            throw TemplateException.failure("the fill character must be exactly one character long");
        }
        // Python's center: the odd one is left if the width is odd, too.
        long left = how.equals("ljust") ? 0 : how.equals("rjust") ? missing : missing / 2 + (missing & width & 1);
        return fill.repeat((int) left) + text + fill.repeat((int) (missing - left));
    }

    /** The methods without arguments; null: no such one. */
    static Object plain(String text, String name) {
        return switch (name) {
            case "upper" -> text.toUpperCase(Locale.ROOT);
            case "lower" -> text.toLowerCase(Locale.ROOT);
            case "capitalize" -> capitalized(text);
            case "title" -> title(text);
            case "isdigit", "isdecimal" -> all(text, Character::isDigit);
            case "isalpha" -> all(text, Character::isLetter);
            case "isalnum" -> all(text, Character::isLetterOrDigit);
            case "isascii" -> text.chars().allMatch(c -> c < 128);
            case "isspace" -> isSpace(text);
            case "isupper" -> !text.equals(text.toLowerCase(Locale.ROOT)) && text.equals(text.toUpperCase(Locale.ROOT));
            case "islower" -> !text.equals(text.toUpperCase(Locale.ROOT)) && text.equals(text.toLowerCase(Locale.ROOT));
            default -> null;
        };
    }

    static String capitalized(String text) {
        if (text.isEmpty()) {
            return "";
        }
        int first = Character.charCount(text.codePointAt(0));
        return text.substring(0, first).toUpperCase(Locale.ROOT)
                + text.substring(first).toLowerCase(Locale.ROOT);
    }

    private static String title(String text) {
        StringBuilder title = new StringBuilder();
        boolean[] inside = {false};
        text.codePoints().forEach(c -> {
            title.appendCodePoint(inside[0] ? Character.toLowerCase(c) : Character.toTitleCase(c));
            inside[0] = Character.isLetter(c);
        });
        return title.toString();
    }

    private static boolean all(String text, IntPredicate test) {
        return !text.isEmpty() && text.codePoints().allMatch(test);
    }
}
