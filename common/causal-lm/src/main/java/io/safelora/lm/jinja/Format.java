package io.safelora.lm.jinja;

import io.safelora.lm.jinja.Values.Arguments;
import io.safelora.lm.jinja.Values.Tuple;
import io.safelora.lm.jinja.Values.Undefined;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Python's two ways to fill a text in: {@code 'a %s' % b} and {@code 'a {}'.format(b)}. */
final class Format {
    private static final Pattern PERCENT =
            Pattern.compile("%(?:\\((\\w{1,100})\\))?([-+ 0#]{0,5})(\\d{0,3})(?:\\.(\\d{1,3}))?([a-zA-Z%])");
    private static final Pattern BRACES = Pattern.compile(
            "\\{\\{|}}|\\{(\\w{0,100})((?:\\.\\w{1,100}|\\[[^\\[\\]{}]{1,100}]){0,10})(?:!([rs]))?}|[{}]");
    private static final Pattern STEP = Pattern.compile("\\.(\\w+)|\\[([^]]+)]");

    private Format() {}

    static String percent(Budget budget, String text, Object values) {
        Iterator<?> given = (values instanceof Tuple tuple ? tuple : Tuple.of(values))
                .items()
                .iterator();
        StringBuilder out = new StringBuilder();
        Matcher field = PERCENT.matcher(text);
        int begin = 0;
        for (int at; (at = text.indexOf('%', begin)) >= 0; begin = field.end()) {
            budget.append(out, text.substring(begin, at));
            if (!field.region(at, text.length()).lookingAt()) {
                throw TemplateException.failure("incomplete or unsupported format in a text before %");
            }
            if (field.group(5).equals("%")) {
                budget.append(out, "%");
                continue;
            }
            Object value;
            if (field.group(1) != null) {
                value = Operators.item(budget, values, field.group(1));
            } else if (given.hasNext()) {
                value = given.next();
            } else {
                throw TemplateException.failure("not enough arguments for format string");
            }
            budget.append(out, field(budget, field, value));
        }
        budget.append(out, text.substring(begin));
        boolean mapping = values instanceof Map || values instanceof List || values instanceof Undefined;
        if (given.hasNext() && !mapping) {
            throw TemplateException.failure("not all arguments converted during string formatting");
        }
        return out.toString();
    }

    private static String field(Budget budget, Matcher field, Object value) {
        String flags = field.group(2);
        String width = field.group(3);
        String precision = field.group(4) == null ? "" : "." + field.group(4);
        String type = field.group(5);
        if (value instanceof Undefined undefined && !type.equals("s")) {
            throw undefined.failure();
        }
        String format = "%" + flags.replace("#", "") + width;
        switch (type) {
            case "s", "r" -> {
                StringBuilder text = new StringBuilder();
                if (type.equals("s")) {
                    text.append(Values.string(budget, value));
                } else {
                    Values.repr(budget, text, value);
                }
                return String.format(
                        Locale.ROOT,
                        "%" + (flags.contains("-") && !width.isEmpty() ? "-" : "") + width + precision + "s",
                        text);
            }
            case "d", "i", "u" -> {
                Object whole = value instanceof Double real
                        ? (Object) Math.round(real < 0 ? Math.ceil(real) : Math.floor(real))
                        : value;
                if (value instanceof Double real && !(Math.abs(real) < 9e18)) {
                    throw TemplateException.failure("integers of more than 64 bits are not supported");
                }
                return String.format(Locale.ROOT, format + "d", Methods.integer(whole));
            }
            case "x", "X", "o" -> {
                return String.format(Locale.ROOT, format + type, Methods.integer(value));
            }
            case "f", "F", "e", "E" -> {
                if (!Operators.isNumber(value)) {
                    throw TemplateException.failure("must be real number, not " + Values.type(value));
                }
                return String.format(
                        Locale.ROOT, format + precision + type.toLowerCase(Locale.ROOT), Operators.real(value));
            }
            default -> throw TemplateException.failure("the format %" + type + " is not supported here");
        }
    }

    static String braces(Scope scope, String text, Arguments arguments) {
        Budget budget = scope.budget();
        StringBuilder out = new StringBuilder();
        Matcher field = BRACES.matcher(text);
        int begin = 0;
        int next = 0;
        while (field.find()) {
            budget.append(out, text.substring(begin, field.start()));
            begin = field.end();
            if (field.group(1) == null) {
                if (field.group().length() == 1) {
                    throw TemplateException.failure("unsupported format in a text's format()");
                }
                budget.append(out, field.group().substring(1));
                continue;
            }
            String name = field.group(1).isEmpty() ? String.valueOf(next++) : field.group(1);
            boolean position = name.chars().allMatch(Character::isDigit) && name.length() < 6;
            if (position
                    ? Integer.parseInt(name) >= arguments.positional().size()
                    : !arguments.named().containsKey(name)) {
                throw TemplateException.failure("format() misses the argument " + name);
            }
            Object value = position
                    ? arguments.positional().get(Integer.parseInt(name))
                    : arguments.named().get(name);
            for (Matcher step = STEP.matcher(field.group(2)); step.find(); ) {
                value = step.group(1) != null
                        ? Operators.attribute(value, step.group(1))
                        : Operators.item(
                                budget,
                                value,
                                step.group(2).matches("\\d{1,9}")
                                        ? (Object) Long.valueOf(step.group(2))
                                        : step.group(2));
            }
            if ("r".equals(field.group(3))) {
                Values.repr(budget, out, value);
            } else {
                budget.append(out, Values.string(budget, value));
            }
        }
        budget.append(out, text.substring(begin));
        return out.toString();
    }
}
