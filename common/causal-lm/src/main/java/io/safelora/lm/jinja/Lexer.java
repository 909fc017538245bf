package io.safelora.lm.jinja;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A template's tokens, as jinja2.lexer cuts them. With trim_blocks and lstrip_blocks, transformers' settings, the line
 * break after a tag and the blanks before one in its line are not part of the text.
 */
final class Lexer {
    enum Kind {
        DATA,
        PRINT_BEGIN,
        PRINT_END,
        TAG_BEGIN,
        TAG_END,
        NAME,
        STRING,
        NUMBER,
        OPERATOR,
        END
    }

    /** @param value of a string or number; else null */
    record Token(Kind kind, String text, Object value, int line) {
        boolean is(String name) {
            return (kind == Kind.NAME || kind == Kind.OPERATOR) && text.equals(name);
        }

        @Override
        public String toString() {
            return kind == Kind.END ? "the end of the template" : "'" + text + "'";
        }
    }

    private static final Pattern RAW = Pattern.compile("\\{%([-+]?)\\s*+raw\\s*+(-?)%}");
    private static final Pattern END_RAW = Pattern.compile("\\{%([-+]?)\\s*+endraw\\s*+([-+]?)%}");
    private static final Pattern FLOAT =
            Pattern.compile("\\d[\\d_]*+(?:\\.\\d[\\d_]*+(?:[eE][-+]?\\d[\\d_]*+)?|[eE][-+]?\\d[\\d_]*+)");
    private static final Pattern INTEGER =
            Pattern.compile("0[bB][01_]++|0[oO][0-7_]++|0[xX][\\da-fA-F_]++|[1-9][\\d_]*+|0[0_]*+");
    private static final Pattern OPERATOR = Pattern.compile("\\*\\*|//|[=!<>]=|[-+/*%~\\[\\](){}<>=.:|,;]");

    private final String source;
    private final boolean trimBlocks;
    private final List<Token> tokens = new ArrayList<>();
    private int at;
    private int line = 1;
    /** How far lines are counted. */
    private int counted;
    /** Whether what was read last ended in a line break: blanks before a tag then stand at a line's beginning. */
    private boolean lineStarting = true;

    private Lexer(String source, boolean trimBlocks) {
        this.source = source;
        this.trimBlocks = trimBlocks;
    }

    static List<Token> tokens(String source, Template.Settings settings) {
        String lines = source.replace("\r\n", "\n").replace('\r', '\n');
        boolean cut = lines.endsWith("\n") && !settings.keepTrailingNewline();
        Lexer lexer = new Lexer(cut ? lines.substring(0, lines.length() - 1) : lines, settings.trimBlocks());
        while (lexer.at < lexer.source.length()) {
            lexer.data();
        }
        lexer.add(Kind.END, "", null);
        return lexer.tokens;
    }

    /** Text up to the next tag, and that tag. */
    private void data() {
        int tag = source.indexOf('{', at);
        while (tag >= 0 && (tag + 1 == source.length() || "{%#".indexOf(source.charAt(tag + 1)) < 0)) {
            tag = source.indexOf('{', tag + 1);
        }
        if (tag < 0) {
            add(Kind.DATA, source.substring(at), null);
            at = source.length();
            return;
        }
        char type = source.charAt(tag + 1);
        char sign = sign(tag + 2);
        text(tag, sign, type != '{');
        Matcher raw = RAW.matcher(source).region(tag, source.length());
        if (raw.lookingAt()) {
            end(raw.end(), raw.group(2), false);
            raw();
            return;
        }
        at = tag + (sign == 0 ? 2 : 3);
        if (type == '#') {
            comment();
        } else {
            add(type == '{' ? Kind.PRINT_BEGIN : Kind.TAG_BEGIN, source.substring(tag, at), null);
            inside(type == '{');
        }
    }

    private char sign(int index) {
        return index < source.length() && "-+".indexOf(source.charAt(index)) >= 0 ? source.charAt(index) : 0;
    }

    /** Adds the text up to a tag. */
    private void text(int end, char sign, boolean mayStrip) {
        String text = source.substring(at, end);
        if (sign == '-') {
            text = Texts.strip(text, null, false, true);
        } else if (trimBlocks && mayStrip && sign != '+') {
            int begin = text.lastIndexOf('\n') + 1;
            if ((begin > 0 || lineStarting) && Texts.isSpace(text.substring(begin))) {
                text = text.substring(0, begin);
            }
        }
        if (!text.isEmpty()) {
            add(Kind.DATA, text, null);
        }
    }

    /** A tag ends: after "-" all white space belongs to it, else, if lines are trimmed, one line break. */
    private void end(int end, String sign, boolean trim) {
        at = end;
        if (sign.equals("-")) {
            while (at < source.length() && Texts.isSpace(source.charAt(at))) {
                at++;
            }
        } else if (trimBlocks && trim && sign.isEmpty() && at < source.length() && source.charAt(at) == '\n') {
            at++;
        }
        lineStarting = source.charAt(at - 1) == '\n';
    }

    private void raw() {
        Matcher end = END_RAW.matcher(source);
        if (!end.find(at)) {
            throw failure("'raw' without 'endraw'");
        }
        text(end.start(), end.group(1).isEmpty() ? 0 : end.group(1).charAt(0), true);
        end(end.end(), end.group(2), true);
    }

    private void comment() {
        int end = source.indexOf("#}", at);
        if (end < 0) {
            throw failure("a comment does not end");
        }
        char sign = end > at ? sign(end - 1) : 0;
        end(end + 2, sign == 0 ? "" : String.valueOf(sign), true);
    }

    /** The tokens of a tag, and its end, which is one only outside of brackets. */
    private void inside(boolean print) {
        String end = print ? "}}" : "%}";
        Deque<Character> brackets = new ArrayDeque<>();
        Matcher number = FLOAT.matcher(source);
        Matcher integer = INTEGER.matcher(source);
        Matcher operator = OPERATOR.matcher(source);
        while (at < source.length()) {
            char c = source.charAt(at);
            if (brackets.isEmpty()) {
                char sign = sign(at);
                boolean signed = sign == '-' || sign == '+' && !print;
                if (source.startsWith(end, signed ? at + 1 : at)) {
                    add(print ? Kind.PRINT_END : Kind.TAG_END, end, null);
                    end(at + (signed ? 3 : 2), signed ? String.valueOf(sign) : "", !print);
                    return;
                }
            }
            if (Texts.isSpace(c)) {
                at++;
            } else if (source.charAt(at - 1) != '.'
                    && number.region(at, source.length()).lookingAt()) {
                add(
                        Kind.NUMBER,
                        number.group(),
                        Double.parseDouble(number.group().replace("_", "")));
                at = number.end();
            } else if (integer.region(at, source.length()).lookingAt()) {
                add(Kind.NUMBER, integer.group(), integer(integer.group().replace("_", "")));
                at = integer.end();
            } else if (Character.isUnicodeIdentifierStart(c) || c == '_') {
                int begin = at;
                while (at < source.length()
                        && (Character.isUnicodeIdentifierPart(source.charAt(at)) || source.charAt(at) == '_')) {
                    at++;
                }
                add(Kind.NAME, source.substring(begin, at), null);
            } else if (c == '\'' || c == '"') {
                string(c);
            } else if (operator.region(at, source.length()).lookingAt()) {
                balance(brackets, c);
                add(Kind.OPERATOR, operator.group(), null);
                at = operator.end();
            } else {
                throw failure("unexpected '" + c + "'");
            }
        }
    }

    private void balance(Deque<Character> brackets, char c) {
        switch (c) {
            case '(' -> brackets.push(')');
            case '[' -> brackets.push(']');
            case '{' -> brackets.push('}');
            case ')', ']', '}' -> {
                if (brackets.isEmpty() || brackets.pop() != c) {
                    throw failure("unexpected '" + c + "'");
                }
            }
            default -> {}
        }
    }

    private Long integer(String digits) {
        int radix = digits.length() < 2
                ? 10
                : switch (Character.toLowerCase(digits.charAt(1))) {
                    case 'x' -> 16;
                    case 'o' -> 8;
                    case 'b' -> 2;
                    default -> 10;
                };
        try {
            return Long.parseLong(radix == 10 ? digits : digits.substring(2), radix);
        } catch (NumberFormatException e) {
            throw failure("the number " + digits.substring(0, Math.min(30, digits.length())) + " is too large");
        }
    }

    private void string(char quote) {
        int end = at + 1;
        while (end < source.length() && source.charAt(end) != quote) {
            end += source.charAt(end) == '\\' ? 2 : 1;
        }
        if (end >= source.length()) {
            throw failure("a string does not end");
        }
        String text = source.substring(at + 1, end);
        add(Kind.STRING, source.substring(at, end + 1), text.indexOf('\\') < 0 ? text : unescaped(text));
        at = end + 1;
    }

    /** Python's escapes; a backslash before any other character stays. */
    private String unescaped(String text) {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c != '\\') {
                out.append(c);
                continue;
            }
            char escape = text.charAt(++i);
            int simple = "nrtbfva\\'\"".indexOf(escape);
            int digits = escape == 'x' ? 2 : escape == 'u' ? 4 : escape == 'U' ? 8 : 0;
            if (simple >= 0) {
                out.append("\n\r\t\b\f\u000b\u0007\\'\"".charAt(simple));
            } else if (digits > 0) {
                try {
                    out.appendCodePoint(Integer.parseUnsignedInt(text.substring(i + 1, i + 1 + digits), 16));
                } catch (IllegalArgumentException | IndexOutOfBoundsException e) {
                    throw failure("the escape \\" + escape + " is not followed by a character's code");
                }
                i += digits;
            } else if (escape >= '0' && escape <= '7') {
                int end = i + 1;
                while (end < text.length() && end < i + 3 && text.charAt(end) >= '0' && text.charAt(end) <= '7') {
                    end++;
                }
                out.append((char) Integer.parseInt(text.substring(i, end), 8));
                i = end - 1;
            } else if (escape == 'N') {
                throw failure("the escape \\N is not supported");
            } else if (escape != '\n') {
                out.append('\\').append(escape);
            }
        }
        return out.toString();
    }

    private void add(Kind kind, String text, Object value) {
        count();
        tokens.add(new Token(kind, text, value, line));
    }

    private void count() {
        for (; counted < at; counted++) {
            line += source.charAt(counted) == '\n' ? 1 : 0;
        }
    }

    private TemplateException failure(String message) {
        count();
        return TemplateException.failure(message + " (line " + line + ")");
    }
}
