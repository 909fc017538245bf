package io.safelora.lm.jinja;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.AbstractList;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Objects;
import java.util.PrimitiveIterator;
import java.util.Set;
import java.util.function.Supplier;

/**
 * Python's values in Java: None is null; bool, int, float and str are Boolean, Long (a BigInteger from JSON is only
 * passed on), Double and String; list, tuple and dict are List, {@link Tuple} and Map. Nothing changes once made,
 * because the sandbox forbids it; only a {@link Namespace} does.
 */
final class Values {
    private Values() {}

    /**
     * What is not there. It prints as nothing, is false and empty, and fails with its message when used otherwise.
     *
     * @param strict it fails then, too
     */
    record Undefined(Supplier<String> message, boolean strict) {
        Undefined(Supplier<String> message) {
            this(message, false);
        }

        TemplateException failure() {
            return TemplateException.failure(message.get());
        }

        /** Fails if {@code value} is not there and that matters. */
        static void check(Object value) {
            if (value instanceof Undefined undefined && undefined.strict()) {
                throw undefined.failure();
            }
        }
    }

    /** A text that is marked as safe HTML: what is added to it is escaped. */
    record Markup(String text) {
        static Markup escape(Object value) {
            return value instanceof Markup markup
                    ? markup
                    : new Markup(Values.text(value)
                            .replace("&", "&amp;")
                            .replace(">", "&gt;")
                            .replace("<", "&lt;")
                            .replace("'", "&#39;")
                            .replace("\"", "&#34;"));
        }
    }

    record Tuple(List<Object> items) {
        static Tuple of(Object... items) {
            return new Tuple(Collections.unmodifiableList(Arrays.asList(items)));
        }
    }

    /** A dict's items(), keys() or values(). */
    record View(String type, Collection<?> items) {
        static View of(String name, Map<Object, Object> map) {
            return new View(
                    "dict_" + name,
                    switch (name) {
                        case "items" ->
                            map.entrySet().stream()
                                    .map(e -> (Object) Tuple.of(e.getKey(), e.getValue()))
                                    .toList();
                        case "keys" -> map.keySet();
                        default -> map.values();
                    });
        }
    }

    /** What is computed as it is looked at, and only once. */
    static final class Generator implements Iterator<Object> {
        private final Supplier<Iterator<Object>> start;
        private Iterator<Object> items;

        Generator(Budget budget, Supplier<Iterator<Object>> start) {
            budget.items(4);
            this.start = start;
        }

        @Override
        public boolean hasNext() {
            if (items == null) {
                items = start.get();
            }
            return items.hasNext();
        }

        @Override
        public Object next() {
            if (!hasNext()) {
                throw new NoSuchElementException();
            }
            return items.next();
        }
    }

    static final class Range extends AbstractList<Object> {
        private static final long MAX_SIZE = 100_000; // Jinja's own bound
        private final long start;
        private final long stop;
        private final long step;
        private final int size;

        Range(long start, long stop, long step) {
            if (step == 0) {
                throw TemplateException.failure("range() arg 3 must not be zero");
            }
            BigInteger span = BigInteger.valueOf(stop).subtract(BigInteger.valueOf(start));
            BigInteger count = span.add(BigInteger.valueOf(step - Long.signum(step)))
                    .divide(BigInteger.valueOf(step))
                    .max(BigInteger.ZERO);
            if (count.compareTo(BigInteger.valueOf(MAX_SIZE)) > 0) {
                throw TemplateException.failure("a range has more than " + MAX_SIZE + " numbers");
            }
            this.start = start;
            this.stop = stop;
            this.step = step;
            this.size = span.signum() == Long.signum(step) ? count.intValue() : 0;
        }

        @Override
        public Object get(int index) {
            return start + step * Objects.checkIndex(index, size);
        }

        @Override
        public int size() {
            return size;
        }

        @Override
        public String toString() {
            return "range(" + start + ", " + stop + (step == 1 ? "" : ", " + step) + ")";
        }
    }

    /** The one thing that a template may change, from inside of loops too. */
    record Namespace(Map<Object, Object> attributes) {
        @Override
        public boolean equals(Object other) {
            return this == other;
        }

        @Override
        public int hashCode() {
            return System.identityHashCode(this);
        }
    }

    /** A macro, method or function. */
    interface Function {
        Object call(Scope scope, Arguments arguments);
    }

    /** What a function, filter or test is called with. */
    record Arguments(List<Object> positional, Map<String, Object> named) {
        static final Arguments NONE = new Arguments(List.of(), Map.of());

        /** By their names in the function's signature; those not given are missing. */
        Map<String, Object> as(String function, String... names) {
            if (positional.size() > names.length) {
                throw TemplateException.failure(function + " takes at most " + names.length + " arguments");
            }
            Map<String, Object> all = new LinkedHashMap<>();
            for (int i = 0; i < positional.size(); i++) {
                all.put(names[i], positional.get(i));
            }
            for (Map.Entry<String, Object> argument : named.entrySet()) {
                if (!List.of(names).contains(argument.getKey()) || all.containsKey(argument.getKey())) {
                    throw TemplateException.failure(
                            function + " got an unexpected argument '" + argument.getKey() + "'");
                }
                all.put(argument.getKey(), argument.getValue());
            }
            return all;
        }

        /** The only argument. */
        Object single(String function) {
            Map<String, Object> all = as(function, "");
            if (all.isEmpty()) {
                throw TemplateException.failure(function + " misses an argument");
            }
            return all.get("");
        }
    }

    /** Python's name of a value's type. */
    static String type(Object value) {
        if (value == null) {
            return "NoneType";
        }
        if (value instanceof Boolean) {
            return "bool";
        }
        if (isInteger(value)) {
            return "int";
        }
        if (value instanceof Double) {
            return "float";
        }
        if (value instanceof String) {
            return "str";
        }
        if (value instanceof Map) {
            return "dict";
        }
        if (value instanceof List && !(value instanceof Range)) {
            return "list";
        }
        if (value instanceof View view) {
            return view.type();
        }
        return value instanceof Function
                ? "function"
                : value.getClass().getSimpleName().toLowerCase(Locale.ROOT);
    }

    static boolean isInteger(Object value) {
        return value instanceof Long || value instanceof BigInteger;
    }

    static boolean isText(Object value) {
        return value instanceof String || value instanceof Markup;
    }

    static boolean isTrue(Object value) {
        Undefined.check(value);
        if (value instanceof Boolean bool) {
            return bool;
        }
        if (value instanceof Number number) {
            return number.doubleValue() != 0;
        }
        if (isText(value)) {
            return !text(value).isEmpty();
        }
        Collection<?> items = items(value);
        return value != null && !(value instanceof Undefined) && (items == null || !items.isEmpty());
    }

    /** What a value holds, a dict its keys; null: it is not a collection. */
    private static Collection<?> items(Object value) {
        if (value instanceof Map<?, ?> map) {
            return map.keySet();
        }
        if (value instanceof Tuple tuple) {
            return tuple.items();
        }
        if (value instanceof View view) {
            return view.items();
        }
        return value instanceof List<?> list ? list : null;
    }

    /** Python's len(). */
    static long length(Object value) {
        Undefined.check(value);
        if (isText(value)) {
            return text(value).codePointCount(0, text(value).length());
        }
        if (value instanceof Undefined) {
            return 0;
        }
        if (value instanceof Loop loop) {
            return loop.length();
        }
        Collection<?> items = items(value);
        if (items == null) {
            throw TemplateException.failure("object of type '" + type(value) + "' has no len()");
        }
        return items.size();
    }

    static boolean isIterable(Object value) {
        return isText(value)
                || items(value) != null
                || value instanceof Generator
                || value instanceof Undefined
                || value instanceof Loop;
    }

    /** Python's iter(), each item for a step. */
    static Iterator<Object> iterate(Budget budget, Object value) {
        Undefined.check(value);
        if (isText(value)) {
            return counted(budget, characters(text(value)));
        }
        if (value instanceof Generator generator) {
            return counted(budget, generator);
        }
        Collection<?> items = value instanceof Undefined ? List.of() : items(value);
        if (items == null) {
            throw TemplateException.failure("'" + type(value) + "' object is not iterable");
        }
        return counted(budget, items.iterator());
    }

    private static Iterator<String> characters(String text) {
        PrimitiveIterator.OfInt characters = text.codePoints().iterator();
        return new Iterator<>() {
            @Override
            public boolean hasNext() {
                return characters.hasNext();
            }

            @Override
            public String next() {
                return Character.toString(characters.nextInt());
            }
        };
    }

    /** One that counts steps, and the depth of generators that read generators. */
    private static Iterator<Object> counted(Budget budget, Iterator<?> items) {
        return new Iterator<>() {
            @Override
            public boolean hasNext() {
                budget.enter();
                boolean found = items.hasNext();
                budget.leave();
                return found;
            }

            @Override
            public Object next() {
                return items.next();
            }
        };
    }

    static List<Object> list(Budget budget, Object value) {
        List<Object> list = new ArrayList<>();
        iterate(budget, value).forEachRemaining(item -> {
            budget.items(1);
            list.add(item);
        });
        return list;
    }

    /** The characters of a str. */
    static String text(Object value) {
        return value instanceof Markup markup ? markup.text() : (String) value;
    }

    /** Python's str(). */
    static String string(Budget budget, Object value) {
        Undefined.check(value);
        if (isText(value)) {
            return text(value);
        }
        StringBuilder out = new StringBuilder();
        if (!(value instanceof Undefined)) {
            repr(budget, out, value);
        }
        return out.toString();
    }

    /** Python's repr(). */
    static void repr(Budget budget, StringBuilder out, Object value) {
        budget.enter();
        if (value == null) {
            budget.append(out, "None");
        } else if (value instanceof Boolean bool) {
            budget.append(out, bool ? "True" : "False");
        } else if (value instanceof Double number) {
            budget.append(out, number(number));
        } else if (isInteger(value) || value instanceof Range) {
            budget.append(out, value.toString());
        } else if (isText(value)) {
            String quoted = quoted(text(value));
            budget.append(out, value instanceof Markup ? "Markup(" + quoted + ")" : quoted);
        } else if (value instanceof Undefined) {
            budget.append(out, "Undefined");
        } else if (value instanceof Map<?, ?> map) {
            entries(budget, out, map);
        } else if (value instanceof Tuple tuple) {
            items(budget, out, "(", tuple.items(), tuple.items().size() == 1 ? ",)" : ")");
        } else if (value instanceof View view) {
            items(budget, out, view.type() + "([", view.items(), "])");
        } else if (value instanceof Collection<?> list) {
            items(budget, out, "[", list, "]");
        } else if (value instanceof Namespace namespace) {
            budget.append(out, "<Namespace ");
            entries(budget, out, namespace.attributes());
            budget.append(out, ">");
        } else if (value instanceof Macro) {
            budget.append(out, value.toString());
        } else {
            // Python prints an address here, which no template can want.
            throw TemplateException.failure("a " + type(value) + " has no text");
        }
        budget.leave();
    }

    private static void items(Budget budget, StringBuilder out, String open, Collection<?> items, String close) {
        budget.append(out, open);
        String separator = "";
        for (Object item : items) {
            budget.append(out, separator);
            repr(budget, out, item);
            separator = ", ";
        }
        budget.append(out, close);
    }

    private static void entries(Budget budget, StringBuilder out, Map<?, ?> map) {
        budget.append(out, "{");
        String separator = "";
        for (Map.Entry<?, ?> entry : map.entrySet()) {
            budget.append(out, separator);
            repr(budget, out, entry.getKey());
            budget.append(out, ": ");
            repr(budget, out, entry.getValue());
            separator = ", ";
        }
        budget.append(out, "}");
    }

    /**
     * Python's repr of a float: the fewest digits that are this number again, with an exponent below 1e-4 and from
     * 1e16.
     */
    static String number(double value) {
        if (Double.isNaN(value)) {
            return "nan";
        }
        if (Double.isInfinite(value)) {
            return value > 0 ? "inf" : "-inf";
        }
        if (value == 0) {
            return 1 / value < 0 ? "-0.0" : "0.0";
        }
        BigDecimal exact = new BigDecimal(value);
        BigDecimal shortest = exact;
        for (int digits = 1; digits <= 17; digits++) {
            shortest = exact.round(new MathContext(digits, RoundingMode.HALF_EVEN));
            if (shortest.doubleValue() == value) {
                break;
            }
        }
        shortest = shortest.stripTrailingZeros();
        int exponent = shortest.precision() - shortest.scale() - 1;
        if (exponent >= -4 && exponent < 16) {
            return shortest.scale() <= 0 ? shortest.toPlainString() + ".0" : shortest.toPlainString();
        }
        String digits = shortest.unscaledValue().abs().toString();
        return (value < 0 ? "-" : "")
                + digits.charAt(0)
                + (digits.length() > 1 ? "." + digits.substring(1) : "")
                + (exponent < 0 ? "e-" : "e+")
                + (Math.abs(exponent) < 10 ? "0" : "")
                + Math.abs(exponent);
    }

    private static final Set<Integer> UNPRINTABLE = Set.of(
            (int) Character.CONTROL,
            (int) Character.FORMAT,
            (int) Character.SURROGATE,
            (int) Character.PRIVATE_USE,
            (int) Character.UNASSIGNED,
            (int) Character.LINE_SEPARATOR,
            (int) Character.PARAGRAPH_SEPARATOR,
            (int) Character.SPACE_SEPARATOR);

    /** Python's repr of a str. */
    private static String quoted(String text) {
        char quote = text.indexOf('\'') >= 0 && text.indexOf('"') < 0 ? '"' : '\'';
        StringBuilder out = new StringBuilder().append(quote);
        text.codePoints().forEach(c -> {
            int simple = "\n\r\t".indexOf(c);
            if (simple >= 0) {
                out.append('\\').append("nrt".charAt(simple));
            } else if (c == quote || c == '\\') {
                out.append('\\').append((char) c);
            } else if (c != ' ' && UNPRINTABLE.contains(Character.getType(c))) {
                out.append(String.format(c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c));
            } else {
                out.appendCodePoint(c);
            }
        });
        return out.append(quote).toString();
    }

    /** Python's ==. */
    static boolean equal(Budget budget, Object a, Object b) {
        Undefined.check(a);
        Undefined.check(b);
        budget.step(1);
        if (isText(a) && isText(b)) {
            budget.step(text(a).length() / 16);
            return text(a).equals(text(b));
        }
        if (Operators.isNumber(a) && Operators.isNumber(b)) {
            return Operators.compareNumbers(a, b) == 0;
        }
        if (a instanceof Tuple left && b instanceof Tuple right) {
            return equalItems(budget, left.items(), right.items());
        }
        if (a instanceof List<?> left && b instanceof List<?> right) {
            return equalItems(budget, left, right);
        }
        if (a instanceof Map<?, ?> left && b instanceof Map<?, ?> right) {
            return left.keySet().equals(right.keySet()) && equalEntries(budget, left, right);
        }
        return a == b || a instanceof Undefined && b instanceof Undefined;
    }

    private static boolean equalItems(Budget budget, List<?> a, List<?> b) {
        budget.enter();
        boolean equal = a.size() == b.size();
        for (int i = 0; equal && i < a.size(); i++) {
            equal = equal(budget, a.get(i), b.get(i));
        }
        budget.leave();
        return equal;
    }

    private static boolean equalEntries(Budget budget, Map<?, ?> a, Map<?, ?> b) {
        budget.enter();
        budget.step(a.size());
        boolean equal = true;
        for (Iterator<?> keys = a.keySet().iterator(); equal && keys.hasNext(); ) {
            Object key = keys.next();
            equal = equal(budget, a.get(key), b.get(key));
        }
        budget.leave();
        return equal;
    }

    /** Python's order of two values, as for {@code <}; others than numbers, texts and lists of such have none. */
    static int compare(Budget budget, Object a, Object b) {
        if (a instanceof Undefined undefined) {
            throw undefined.failure();
        }
        if (b instanceof Undefined undefined) {
            throw undefined.failure();
        }
        budget.step(1);
        if (Operators.isNumber(a) && Operators.isNumber(b)) {
            return Operators.compareNumbers(a, b);
        }
        if (isText(a) && isText(b)) {
            budget.step(text(a).length() / 16);
            return Arrays.compare(
                    text(a).codePoints().toArray(), text(b).codePoints().toArray());
        }
        List<?> left = a instanceof Tuple tuple ? tuple.items() : a instanceof List<?> list ? list : null;
        List<?> right = b instanceof Tuple tuple ? tuple.items() : b instanceof List<?> list ? list : null;
        if (left == null || right == null || a instanceof Tuple != b instanceof Tuple) {
            throw TemplateException.failure(
                    "'<' not supported between instances of '" + type(a) + "' and '" + type(b) + "'");
        }
        budget.enter();
        try {
            for (int i = 0; i < Math.min(left.size(), right.size()); i++) {
                if (!equal(budget, left.get(i), right.get(i))) {
                    return compare(budget, left.get(i), right.get(i));
                }
            }
            return Integer.compare(left.size(), right.size());
        } finally {
            budget.leave();
        }
    }
}
