package io.safelora.lm.jinja;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.AbstractList;
import java.util.Collection;
import java.util.Collections;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.PrimitiveIterator;
import java.util.Set;
import java.util.function.Supplier;

/**
 * Python's values in Java: None is null; bool, int, float and str are Boolean, Long (a BigInteger from JSON is only passed
 * on), Double and String; list, tuple and dict are List, {@link Tuple} and Map. Nothing changes once made, because the
 * sandbox forbids it; only a {@link Namespace} does.
 */
final class Values {
    private Values() {}

    /** What is not there. It prints as nothing, is false and empty, and fails with its message when used otherwise. */
    record Undefined(String message) {
        TemplateException failure() {
            return TemplateException.failure(message);
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
            return new Tuple(Collections.unmodifiableList(java.util.Arrays.asList(items)));
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

        Generator(Supplier<Iterator<Object>> start) {
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
            return start + step * java.util.Objects.checkIndex(index, size);
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

    static TemplateException typeError(String message) {
        return TemplateException.failure(message);
    }

    static String type(Object value) {
        return value == null
                ? "NoneType"
                : value instanceof Boolean
                        ? "bool"
                        : isInteger(value)
                                ? "int"
                                : value instanceof Double
                                        ? "float"
                                        : value instanceof String
                                                ? "str"
                                                : value instanceof Map
                                                        ? "dict"
                                                        : value instanceof View view
                                                                ? view.type()
                                                                : value instanceof Function
                                                                        ? "function"
                                                                        : value instanceof Collection
                                                                                        && !(value instanceof Range)
                                                                                ? "list"
                                                                                : value.getClass()
                                                                                        .getSimpleName()
                                                                                        .toLowerCase(
                                                                                                java.util.Locale.ROOT);
    }

    static boolean isInteger(Object value) {
        return value instanceof Long || value instanceof BigInteger;
    }

    static boolean isText(Object value) {
        return value instanceof String || value instanceof Markup;
    }

    static boolean isTrue(Object value) {
        return value instanceof Boolean bool
                ? bool
                : value instanceof Long number
                        ? number != 0
                        : value instanceof Double number
                                ? number != 0
                                : isText(value)
                                        ? !text(value).isEmpty()
                                        : value != null && !(value instanceof Undefined) && !isEmpty(value);
    }

    private static boolean isEmpty(Object value) {
        return value instanceof Collection<?> items
                ? items.isEmpty()
                : value instanceof Map<?, ?> map
                        ? map.isEmpty()
                        : value instanceof Tuple tuple
                                ? tuple.items().isEmpty()
                                : value instanceof View view && view.items().isEmpty();
    }

    /** Python's len(). */
    static long length(Object value) {
        if (isText(value)) {
            String text = text(value);
            return text.codePointCount(0, text.length());
        }
        if (value instanceof Undefined) {
            return 0;
        }
        if (value instanceof Loop loop) {
            return loop.length();
        }
        Collection<?> items = value instanceof Map<?, ?> map
                ? map.keySet()
                : value instanceof Tuple tuple
                        ? tuple.items()
                        : value instanceof View view ? view.items() : value instanceof Collection<?> c ? c : null;
        if (items == null) {
            throw typeError("object of type '" + type(value) + "' has no len()");
        }
        return items.size();
    }

    static boolean isIterable(Object value) {
        return isText(value)
                || value instanceof Collection
                || value instanceof Map
                || value instanceof Tuple
                || value instanceof View
                || value instanceof Generator
                || value instanceof Undefined
                || value instanceof Loop;
    }

    /** Python's iter(), each item for a step. */
    static Iterator<Object> iterate(Budget budget, Object value) {
        if (!isIterable(value) || value instanceof Loop) {
            throw typeError("'" + type(value) + "' object is not iterable");
        }
        if (isText(value)) {
            String text = text(value);
            PrimitiveIterator.OfInt characters = text.codePoints().iterator();
            return counted(budget, new Iterator<>() {
                @Override
                public boolean hasNext() {
                    return characters.hasNext();
                }

                @Override
                public Object next() {
                    return Character.toString(characters.nextInt());
                }
            });
        }
        Iterator<?> items = value instanceof Generator generator
                ? generator
                : value instanceof Map<?, ?> map
                        ? map.keySet().iterator()
                        : value instanceof Tuple tuple
                                ? tuple.items().iterator()
                                : value instanceof View view
                                        ? view.items().iterator()
                                        : value instanceof Collection<?> list
                                                ? list.iterator()
                                                : Collections.emptyIterator();
        return counted(budget, items);
    }

    /** One that counts steps, and the depth of generators that read generators. */
    private static Iterator<Object> counted(Budget budget, Iterator<?> items) {
        return new Iterator<>() {
            @Override
            public boolean hasNext() {
                budget.enter();
                try {
                    return items.hasNext();
                } finally {
                    budget.leave();
                }
            }

            @Override
            public Object next() {
                return items.next();
            }
        };
    }

    static List<Object> list(Budget budget, Object value) {
        List<Object> list = new java.util.ArrayList<>();
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
        } else if (value instanceof Parser.Macro) {
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

    /** Python's repr of a float: the fewest digits that are this number again, with an exponent below 1e-4 and from 1e16. */
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
        if (isText(a) && isText(b)) {
            budget.step(text(a).length() / 16);
            return text(a).equals(text(b));
        }
        if (Operators.isNumber(a) && Operators.isNumber(b)) {
            return Operators.compareNumbers(a, b) == 0;
        }
        if (a instanceof Undefined && b instanceof Undefined) {
            return true;
        }
        budget.enter();
        try {
            if (a instanceof Tuple left && b instanceof Tuple right) {
                return equal(budget, left.items(), right.items());
            }
            if (a instanceof Collection<?> left && b instanceof Collection<?> right) {
                Iterator<?> others = right.iterator();
                return left.size() == right.size()
                        && left.stream().allMatch(item -> equal(budget, item, others.next()));
            }
            if (a instanceof Map<?, ?> left && b instanceof Map<?, ?> right) {
                return left.size() == right.size()
                        && left.entrySet().stream()
                                .allMatch(e -> right.containsKey(e.getKey())
                                        && equal(budget, e.getValue(), right.get(e.getKey())));
            }
            return a == b;
        } finally {
            budget.leave();
        }
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
            return java.util.Arrays.compare(
                    text(a).codePoints().toArray(), text(b).codePoints().toArray());
        }
        List<?> left = a instanceof Tuple tuple ? tuple.items() : a instanceof List<?> list ? list : null;
        List<?> right = b instanceof Tuple tuple ? tuple.items() : b instanceof List<?> list ? list : null;
        if (left == null || right == null || a instanceof Tuple != b instanceof Tuple) {
            throw typeError("'<' not supported between instances of '" + type(a) + "' and '" + type(b) + "'");
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
