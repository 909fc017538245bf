package io.safelora.lm.jinja;

import io.safelora.lm.jinja.Values.Arguments;
import io.safelora.lm.jinja.Values.Generator;
import io.safelora.lm.jinja.Values.Markup;
import io.safelora.lm.jinja.Values.Tuple;
import io.safelora.lm.jinja.Values.Undefined;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;

/** Jinja's filters, and tojson as transformers has it. */
final class Filters {
    private Filters() {}

    static Object apply(Scope scope, String name, Object value, Arguments arguments) {
        Budget budget = scope.budget();
        budget.step(1);
        switch (name) {
            case "default", "d" -> {
                Map<String, Object> given = arguments.as(name, "default_value", "boolean");
                boolean other =
                        value instanceof Undefined || Values.isTrue(given.get("boolean")) && !Values.isTrue(value);
                return other ? given.getOrDefault("default_value", "") : value;
            }
            case "tojson" -> {
                return Json.dumps(
                        budget, value, arguments.as(name, "ensure_ascii", "indent", "separators", "sort_keys"));
            }
            case "string" -> {
                arguments.as(name);
                return soft(budget, value);
            }
            case "safe" -> {
                arguments.as(name);
                return new Markup(Values.string(budget, value));
            }
            case "escape", "e", "forceescape" -> {
                arguments.as(name);
                boolean again = name.equals("forceescape") || !(value instanceof Markup);
                Markup escaped = Markup.escape(again ? Values.string(budget, value) : value);
                budget.text(escaped.text().length());
                return escaped;
            }
            case "upper", "lower", "capitalize" -> {
                arguments.as(name);
                return onText(budget, value, text -> (String) Texts.plain(text, name));
            }
            case "title" -> {
                arguments.as(name);
                return onText(budget, value, Filters::title);
            }
            case "trim" -> {
                Object chars = arguments.as(name, "chars").get("chars");
                Arguments set = new Arguments(Collections.singletonList(chars), Map.of());
                return Operators.call(scope, Methods.of(soft(budget, value), "strip"), set);
            }
            case "replace" -> {
                Map<String, Object> given = arguments.as(name, "old", "new", "count");
                Object count = given.get("count");
                return Texts.replace(
                        budget,
                        Values.string(budget, value),
                        Values.string(budget, required(name, given, "old")),
                        Values.string(budget, required(name, given, "new")),
                        count == null ? -1 : Methods.integer(count));
            }
            case "center" -> {
                long width = Methods.integer(arguments.as(name, "width").getOrDefault("width", 80L));
                return onText(budget, value, text -> Texts.pad(budget, text, "center", width, " "));
            }
            case "indent" -> {
                Map<String, Object> given = arguments.as(name, "width", "first", "blank");
                Object width = given.getOrDefault("width", 4L);
                String by = Values.isText(width)
                        ? Values.text(width)
                        : Texts.pad(budget, "", "ljust", Methods.integer(width), " ");
                return indent(budget, value, by, Values.isTrue(given.get("first")), Values.isTrue(given.get("blank")));
            }
            case "truncate" -> {
                return truncate(budget, value, arguments.as(name, "length", "killwords", "end", "leeway"));
            }
            case "format" -> {
                Object values = arguments.named().isEmpty() ? new Tuple(arguments.positional()) : arguments.named();
                return Operators.binary(budget, "%", soft(budget, value), values);
            }
            case "abs" -> {
                arguments.as(name);
                return Operators.isNumber(value) && Operators.real(value) >= 0
                        ? Operators.binary(budget, "+", 0L, value)
                        : Operators.negative(value);
            }
            case "int" -> {
                return integer(value, arguments.as(name, "default", "base"));
            }
            case "float" -> {
                return real(value, arguments.as(name, "default").getOrDefault("default", 0.0));
            }
            case "round" -> {
                return round(budget, value, arguments.as(name, "precision", "method"));
            }
            default -> {
                return ofItems(scope, name, value, arguments);
            }
        }
    }

    /** The filters of lists and dicts. */
    private static Object ofItems(Scope scope, String name, Object value, Arguments arguments) {
        Budget budget = scope.budget();
        switch (name) {
            case "length", "count" -> {
                arguments.as(name);
                return Values.length(value);
            }
            case "list" -> {
                arguments.as(name);
                return Values.list(budget, value);
            }
            case "first" -> {
                arguments.as(name);
                Iterator<Object> items = Values.iterate(budget, value);
                return items.hasNext() ? items.next() : new Undefined("No first item, sequence was empty.");
            }
            case "last" -> {
                arguments.as(name);
                List<Object> items = reversible(budget, value);
                return items.isEmpty()
                        ? new Undefined("No last item, sequence was empty.")
                        : items.get(items.size() - 1);
            }
            case "reverse" -> {
                arguments.as(name);
                if (Values.isText(value)) {
                    return Operators.slice(budget, value, null, null, -1L);
                }
                List<Object> items = Values.list(budget, value);
                Collections.reverse(items);
                return new Generator(items::iterator);
            }
            case "items" -> {
                arguments.as(name);
                return new Generator(() -> {
                    if (!(value instanceof Map<?, ?> || value instanceof Undefined)) {
                        throw TemplateException.failure("Can only get item pairs from a mapping.");
                    }
                    return value instanceof Undefined
                            ? Collections.emptyIterator()
                            : Values.iterate(budget, Operators.call(scope, Methods.of(value, "items"), Arguments.NONE));
                });
            }
            case "dictsort" -> {
                Map<String, Object> given = arguments.as(name, "case_sensitive", "by", "reverse");
                Object by = given.getOrDefault("by", "key");
                if (!(value instanceof Map) || !by.equals("key") && !by.equals("value")) {
                    throw TemplateException.failure("dictsort sorts a dict, by key or by value");
                }
                List<Object> pairs =
                        Values.list(budget, Operators.call(scope, Methods.of(value, "items"), Arguments.NONE));
                return sorted(
                        budget,
                        pairs,
                        pair -> folded(((Tuple) pair).items().get(by.equals("key") ? 0 : 1), given),
                        given);
            }
            case "sort" -> {
                Map<String, Object> given = arguments.as(name, "reverse", "case_sensitive", "attribute");
                List<UnaryOperator<Object>> keys = new ArrayList<>();
                Object attribute = given.get("attribute");
                for (Object part : Values.isText(attribute)
                        ? Texts.split(budget, Values.text(attribute), ",", -1, false)
                        : Collections.singletonList(attribute)) {
                    keys.add(attribute(budget, part, null));
                }
                return sorted(
                        budget,
                        Values.list(budget, value),
                        item -> new Tuple(keys.stream()
                                .map(key -> folded(key.apply(item), given))
                                .toList()),
                        given);
            }
            case "unique" -> {
                Map<String, Object> given = arguments.as(name, "case_sensitive", "attribute");
                UnaryOperator<Object> key = attribute(budget, given.get("attribute"), null);
                Set<Object> seen = new HashSet<>();
                return filtered(budget, value, item -> seen.add(Operators.key(folded(key.apply(item), given))));
            }
            case "min", "max" -> {
                Map<String, Object> given = arguments.as(name, "case_sensitive", "attribute");
                UnaryOperator<Object> key = attribute(budget, given.get("attribute"), null);
                List<Object> items = Values.list(budget, value);
                Comparator<Object> order =
                        (a, b) -> Values.compare(budget, folded(key.apply(a), given), folded(key.apply(b), given));
                Object best = items.isEmpty() ? new Undefined("No aggregated item, sequence was empty.") : items.get(0);
                for (Object item : items) {
                    int compared = order.compare(item, best);
                    best = (name.equals("min") ? compared < 0 : compared > 0) ? item : best;
                }
                return best;
            }
            case "sum" -> {
                Map<String, Object> given = arguments.as(name, "attribute", "start");
                UnaryOperator<Object> key = attribute(budget, given.get("attribute"), null);
                Object sum = given.getOrDefault("start", 0L);
                for (Iterator<Object> items = Values.iterate(budget, value); items.hasNext(); ) {
                    sum = Operators.binary(budget, "+", sum, key.apply(items.next()));
                }
                return sum;
            }
            case "join" -> {
                Map<String, Object> given = arguments.as(name, "d", "attribute");
                UnaryOperator<Object> key = attribute(budget, given.get("attribute"), null);
                String separator = Values.string(budget, given.getOrDefault("d", ""));
                return Methods.join(
                        budget,
                        separator,
                        mapped(budget, value, item -> Values.string(budget, key.apply(item))),
                        false);
            }
            case "map" -> {
                boolean byAttribute =
                        arguments.positional().isEmpty() && arguments.named().containsKey("attribute");
                if (!byAttribute && arguments.positional().isEmpty()) {
                    throw TemplateException.failure("map requires a filter argument");
                }
                Map<String, Object> named = arguments.named();
                UnaryOperator<Object> function = byAttribute
                        ? attribute(budget, named.get("attribute"), named.get("default"))
                        : item -> apply(scope, name(arguments, 0), item, rest(arguments, 1));
                return Values.isTrue(value)
                        ? mapped(budget, value, function)
                        : new Generator(Collections::emptyIterator);
            }
            case "select", "reject", "selectattr", "rejectattr" -> {
                return selected(scope, name, value, arguments);
            }
            case "batch" -> {
                Map<String, Object> given = arguments.as(name, "linecount", "fill_with");
                long size = Math.max(1, Methods.integer(given.get("linecount")));
                List<Object> batches = new ArrayList<>();
                List<Object> batch = new ArrayList<>();
                for (Object item : Values.list(budget, value)) {
                    if (batch.size() == size) {
                        batches.add(batch);
                        batch = new ArrayList<>();
                    }
                    batch.add(item);
                }
                for (; !batch.isEmpty() && given.get("fill_with") != null && batch.size() < size; budget.items(1)) {
                    batch.add(given.get("fill_with"));
                }
                if (!batch.isEmpty()) {
                    batches.add(batch);
                }
                return new Generator(batches::iterator);
            }
            default -> throw TemplateException.failure("the filter " + name + " is not known or not supported here");
        }
    }

    /** Python's str() of all but a Markup, which it stays. */
    private static Object soft(Budget budget, Object value) {
        return value instanceof Markup ? value : Values.string(budget, value);
    }

    private static Object onText(Budget budget, Object value, UnaryOperator<String> function) {
        String text = Values.string(budget, value);
        budget.text(text.length());
        return value instanceof Markup ? new Markup(function.apply(text)) : function.apply(text);
    }

    private static Object required(String filter, Map<String, Object> given, String name) {
        if (!given.containsKey(name)) {
            throw TemplateException.failure(filter + " misses the argument '" + name + "'");
        }
        return given.get(name);
    }

    private static String name(Arguments arguments, int index) {
        Object name = arguments.positional().get(index);
        if (!Values.isText(name)) {
            throw TemplateException.failure("a filter or test is named by a text");
        }
        return Values.text(name);
    }

    private static Arguments rest(Arguments arguments, int from) {
        List<Object> all = arguments.positional();
        return new Arguments(all.subList(Math.min(from, all.size()), all.size()), arguments.named());
    }

    /** A way to {@code a.b.0} of an item; null: to the item itself. */
    private static UnaryOperator<Object> attribute(Budget budget, Object path, Object otherwise) {
        List<Object> steps = path == null
                ? List.of()
                : Values.isText(path) ? Texts.split(budget, Values.text(path), ".", -1, false) : List.of(path);
        return item -> {
            Object value = item;
            for (Object step : steps) {
                boolean index = step instanceof String text && text.matches("\\d{1,9}");
                value = Operators.item(budget, value, index ? (Object) Long.valueOf((String) step) : step);
                value = otherwise != null && value instanceof Undefined ? otherwise : value;
            }
            return value;
        };
    }

    private static Object folded(Object value, Map<String, Object> given) {
        return Values.isText(value) && !Values.isTrue(given.get("case_sensitive"))
                ? Values.text(value).toLowerCase(Locale.ROOT)
                : value;
    }

    private static List<Object> sorted(
            Budget budget, List<Object> items, UnaryOperator<Object> key, Map<String, Object> given) {
        boolean reverse = Values.isTrue(given.get("reverse"));
        record Keyed(Object key, Object item) {}
        Comparator<Keyed> order = (a, b) -> Values.compare(budget, a.key(), b.key());
        return new ArrayList<>(items.stream()
                .map(item -> new Keyed(key.apply(item), item))
                .sorted(reverse ? order.reversed() : order)
                .map(Keyed::item)
                .toList());
    }

    private static Generator mapped(Budget budget, Object value, UnaryOperator<Object> function) {
        return new Generator(() -> {
            Iterator<Object> items = Values.iterate(budget, value);
            return new Iterator<>() {
                @Override
                public boolean hasNext() {
                    return items.hasNext();
                }

                @Override
                public Object next() {
                    return function.apply(items.next());
                }
            };
        });
    }

    static Generator filtered(Budget budget, Object value, java.util.function.Predicate<Object> test) {
        return new Generator(() -> {
            Iterator<Object> items = Values.iterate(budget, value);
            return new Iterator<>() {
                private Object next;
                private boolean found;

                @Override
                public boolean hasNext() {
                    while (!found && items.hasNext()) {
                        next = items.next();
                        found = test.test(next);
                    }
                    return found;
                }

                @Override
                public Object next() {
                    found = false;
                    return next;
                }
            };
        });
    }

    /** {@code select('test', ...)} and {@code selectattr('attribute', 'test', ...)}; without a test, what is true. */
    private static Generator selected(Scope scope, String name, Object value, Arguments arguments) {
        boolean byAttribute = name.endsWith("attr");
        boolean wanted = name.startsWith("select");
        if (!Values.isTrue(value)) {
            return new Generator(Collections::emptyIterator);
        }
        int test = byAttribute ? 1 : 0;
        List<Object> given = arguments.positional();
        if (given.size() < test) {
            throw TemplateException.failure("Missing parameter for attribute name");
        }
        UnaryOperator<Object> attribute = attribute(scope.budget(), byAttribute ? given.get(0) : null, null);
        return filtered(scope.budget(), value, item -> {
            Object tested = attribute.apply(item);
            return wanted
                    == (given.size() > test
                            ? Tests.apply(scope, name(arguments, test), tested, rest(arguments, test + 1))
                            : Values.isTrue(tested));
        });
    }

    private static List<Object> reversible(Budget budget, Object value) {
        if (value instanceof Generator) {
            throw TemplateException.failure("'generator' object is not reversible");
        }
        return Values.list(budget, value);
    }

    /** Jinja's own title: words begin after white space, hyphens and opening brackets. */
    private static String title(String text) {
        StringBuilder title = new StringBuilder();
        boolean begins = true;
        for (int i = 0; i < text.length(); i++) {
            String character = text.substring(i, i + 1);
            title.append(begins ? character.toUpperCase(Locale.ROOT) : character.toLowerCase(Locale.ROOT));
            begins = Texts.isSpace(text.charAt(i)) || "-({[<".contains(character);
        }
        return title.toString();
    }

    private static Object indent(Budget budget, Object value, String by, boolean first, boolean blank) {
        List<Object> lines =
                Texts.lines(budget, Values.string(budget, Operators.binary(budget, "+", value, "\n")), false);
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < lines.size(); i++) {
            String line = (String) lines.get(i);
            budget.append(out, i == 0 ? "" : "\n");
            budget.append(out, i == 0 ? (first ? by : "") : blank || !line.isEmpty() ? by : "");
            budget.append(out, line);
        }
        return value instanceof Markup ? new Markup(out.toString()) : out.toString();
    }

    private static Object truncate(Budget budget, Object value, Map<String, Object> given) {
        long length = Methods.integer(given.getOrDefault("length", 255L));
        String end = Values.string(budget, given.getOrDefault("end", "..."));
        long leeway = given.get("leeway") == null ? 5 : Methods.integer(given.get("leeway"));
        if (length < Values.length(end) || leeway < 0) {
            throw TemplateException.failure("truncate's length is shorter than its end, or its leeway negative");
        }
        if (Values.length(value) <= length + leeway) {
            return value;
        }
        String cut = Values.string(budget, Operators.slice(budget, value, null, length - Values.length(end), null));
        int space = cut.lastIndexOf(' ');
        return (Values.isTrue(given.get("killwords")) || space < 0 ? cut : cut.substring(0, space)) + end;
    }

    private static Object integer(Object value, Map<String, Object> given) {
        int radix = (int) Math.max(2, Math.min(36, Methods.integer(given.getOrDefault("base", 10L))));
        if (Values.isInteger(value) || value instanceof Boolean) {
            return value instanceof Boolean bool ? (Object) (bool ? 1L : 0L) : value;
        }
        if (Values.isText(value)) {
            String digits = Texts.strip(Values.text(value), null, true, true).toLowerCase(Locale.ROOT);
            String prefix = radix == 16 ? "0x" : radix == 8 ? "0o" : radix == 2 ? "0b" : " ";
            try {
                return Long.parseLong(
                        digits.startsWith(prefix) ? digits.substring(2) : digits.replaceAll("(?<=\\d)_(?=\\d)", ""),
                        radix);
            } catch (NumberFormatException e) {
                // "42.7" is 42, below.
            }
        }
        double real = (Double) real(value, Double.NaN);
        if (Math.abs(real) > 9e18 && Double.isFinite(real)) {
            throw TemplateException.failure("integers of more than 64 bits are not supported");
        }
        return Double.isFinite(real) ? (Object) (long) real : given.getOrDefault("default", 0L);
    }

    private static Object real(Object value, Object otherwise) {
        if (value instanceof Undefined undefined) {
            throw undefined.failure();
        }
        if (Operators.isNumber(value)) {
            return Operators.real(value);
        }
        if (!Values.isText(value)) {
            return otherwise;
        }
        String text = Texts.strip(Values.text(value), null, true, true).toLowerCase(Locale.ROOT);
        if (text.matches("[-+]?(?:inf|infinity|nan)")) {
            return text.endsWith("nan")
                    ? Double.NaN
                    : text.startsWith("-") ? Double.NEGATIVE_INFINITY : Double.POSITIVE_INFINITY;
        }
        // Java's parser also reads what Python's does not: 1d, 0x1p3.
        return text.length() < 1000 && text.matches("[-+]?(?:\\d+\\.?\\d*|\\.\\d+)(?:e[-+]?\\d+)?")
                ? (Object) Double.parseDouble(text)
                : otherwise;
    }

    private static Object round(Budget budget, Object value, Map<String, Object> given) {
        int digits = (int) Math.max(-400, Math.min(400, Methods.integer(given.getOrDefault("precision", 0L))));
        Object method = given.getOrDefault("method", "common");
        if (!Operators.isNumber(value)) {
            throw TemplateException.failure("round needs a number, not '" + Values.type(value) + "'");
        }
        double real = Operators.real(value);
        double power = Math.pow(10, digits);
        if (method.equals("ceil")) {
            return Math.ceil(real * power) / power;
        }
        if (method.equals("floor")) {
            return Math.floor(real * power) / power;
        }
        if (!method.equals("common")) {
            throw TemplateException.failure("method must be common, ceil or floor");
        }
        if (!(value instanceof Double)) {
            return digits >= 0
                    ? Operators.binary(budget, "+", 0L, value)
                    : (Object) new BigDecimal(value.toString())
                            .setScale(digits, RoundingMode.HALF_EVEN)
                            .longValue();
        }
        return Double.isFinite(real)
                ? new BigDecimal(real).setScale(digits, RoundingMode.HALF_EVEN).doubleValue()
                : value;
    }
}
