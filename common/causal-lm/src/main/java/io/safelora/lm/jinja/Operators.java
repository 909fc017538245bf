package io.safelora.lm.jinja;

import io.safelora.lm.jinja.Values.Arguments;
import io.safelora.lm.jinja.Values.Function;
import io.safelora.lm.jinja.Values.Markup;
import io.safelora.lm.jinja.Values.Namespace;
import io.safelora.lm.jinja.Values.Tuple;
import io.safelora.lm.jinja.Values.Undefined;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;

/** Python's operators, and Jinja's way to attributes and items. */
final class Operators {
    private Operators() {}

    static boolean isNumber(Object value) {
        return value instanceof Number || value instanceof Boolean;
    }

    /** A bool is an int. */
    private static Object number(Object value) {
        return value instanceof Boolean bool ? (Object) (bool ? 1L : 0L) : value;
    }

    static double real(Object value) {
        return ((Number) number(value)).doubleValue();
    }

    static int compareNumbers(Object a, Object b) {
        return a instanceof Double || b instanceof Double
                ? Double.compare(real(a) + 0.0, real(b) + 0.0)
                : new BigInteger(number(a).toString())
                        .compareTo(new BigInteger(number(b).toString()));
    }

    /** {@code a operator b} for {@code + - * / // % **}. */
    static Object binary(Budget budget, String operator, Object a, Object b) {
        if (operator.equals("%") && Values.isText(a)) {
            String text = Format.percent(budget, Values.text(a), b);
            return a instanceof Markup ? new Markup(text) : text;
        }
        for (Object operand : new Object[] {a, b}) {
            if (operand instanceof Undefined undefined) {
                throw undefined.failure();
            }
        }
        if (isNumber(a) && isNumber(b)) {
            return a instanceof Double || b instanceof Double || operator.equals("/")
                    ? real(operator, real(a), real(b))
                    : integer(operator, number(a), number(b));
        }
        if (operator.equals("+") && Values.isText(a) && Values.isText(b)) {
            boolean markup = a instanceof Markup || b instanceof Markup;
            String left = Values.text(markup ? Markup.escape(a) : a);
            String right = Values.text(markup ? Markup.escape(b) : b);
            budget.text((long) left.length() + right.length());
            return markup ? new Markup(left + right) : left + right;
        }
        if (operator.equals("+")
                && a instanceof List<?> left
                && b instanceof List<?> right
                && isPlain(a)
                && isPlain(b)) {
            return concat(budget, left, right);
        }
        if (operator.equals("+") && a instanceof Tuple left && b instanceof Tuple right) {
            return new Tuple(concat(budget, left.items(), right.items()));
        }
        if (operator.equals("*") && (isInteger(a) || isInteger(b))) {
            Object repeated = isInteger(a) ? b : a;
            long times = Math.max(0, (Long) number(isInteger(a) ? a : b));
            if (Values.isText(repeated)) {
                String text = Values.text(repeated);
                budget.text(
                        text.isEmpty()
                                ? 0
                                : Math.multiplyHigh(text.length(), times) != 0
                                        ? Long.MAX_VALUE
                                        : text.length() * times);
                String all = text.repeat(text.isEmpty() ? 0 : (int) times);
                return repeated instanceof Markup ? new Markup(all) : all;
            }
            if (isPlain(repeated)) {
                return repeat(budget, (List<?>) repeated, times);
            }
            if (repeated instanceof Tuple tuple) {
                return new Tuple(repeat(budget, tuple.items(), times));
            }
        }
        throw TemplateException.failure("unsupported operand types for " + operator + ": '" + Values.type(a) + "' and '"
                + Values.type(b) + "'");
    }

    private static boolean isInteger(Object value) {
        return number(value) instanceof Long;
    }

    private static boolean isPlain(Object value) {
        return value instanceof List && !(value instanceof Values.Range);
    }

    private static List<Object> concat(Budget budget, List<?> a, List<?> b) {
        budget.items((long) a.size() + b.size());
        List<Object> all = new ArrayList<>(a);
        all.addAll(b);
        return all;
    }

    private static List<Object> repeat(Budget budget, List<?> list, long times) {
        List<Object> all = new ArrayList<>();
        for (long i = 0; i < times && !list.isEmpty(); i++) {
            budget.items(list.size());
            all.addAll(list);
        }
        return all;
    }

    private static Object real(String operator, double a, double b) {
        if (b == 0 && "/ // %".contains(operator)) {
            throw TemplateException.failure("division by zero");
        }
        return switch (operator) {
            case "+" -> a + b;
            case "-" -> a - b;
            case "*" -> a * b;
            case "/" -> a / b;
            case "//" -> Math.rint((a - modulo(a, b)) / b);
            case "%" -> modulo(a, b);
            default -> Math.pow(a, b);
        };
    }

    /** With the sign of b. */
    private static double modulo(double a, double b) {
        double rest = a % b;
        return rest != 0 && rest < 0 != b < 0 ? rest + b : rest;
    }

    private static Object integer(String operator, Object left, Object right) {
        try {
            long a = (Long) left;
            long b = (Long) right;
            if (b == 0 && (operator.equals("//") || operator.equals("%"))) {
                throw TemplateException.failure("division by zero");
            }
            return switch (operator) {
                case "+" -> Math.addExact(a, b);
                case "-" -> Math.subtractExact(a, b);
                case "*" -> Math.multiplyExact(a, b);
                case "//" -> Math.floorDiv(a, b);
                case "%" -> Math.floorMod(a, b);
                default -> b < 0 ? Math.pow(a, b) : power(a, b);
            };
        } catch (ArithmeticException | ClassCastException e) {
            throw TemplateException.failure("integers of more than 64 bits are not supported");
        }
    }

    private static Object power(long base, long exponent) {
        return Math.abs(base) <= 1
                ? (Object) (base >= 0 ? base == 1 || exponent == 0 ? 1L : 0L : exponent % 2 == 0 ? 1L : -1L)
                : BigInteger.valueOf(base).pow((int) Math.min(exponent, 64)).longValueExact();
    }

    static Object negative(Object value) {
        if (value instanceof Undefined undefined) {
            throw undefined.failure();
        }
        Object number = number(value);
        if (number instanceof Double real) {
            return -real;
        }
        if (number instanceof Long) {
            return integer("-", 0L, number);
        }
        throw TemplateException.failure("bad operand type for unary -: '" + Values.type(value) + "'");
    }

    /** {@code a operator b} for comparisons, {@code in} included. */
    static boolean compare(Budget budget, String operator, Object a, Object b) {
        return switch (operator) {
            case "==" -> Values.equal(budget, a, b);
            case "!=" -> !Values.equal(budget, a, b);
            case "<" -> Values.compare(budget, a, b) < 0;
            case "<=" -> Values.compare(budget, a, b) <= 0;
            case ">" -> Values.compare(budget, a, b) > 0;
            case ">=" -> Values.compare(budget, a, b) >= 0;
            default -> contains(budget, b, a);
        };
    }

    private static boolean contains(Budget budget, Object container, Object item) {
        if (Values.isText(container)) {
            if (!Values.isText(item)) {
                throw TemplateException.failure(
                        "'in <string>' requires string as left operand, not " + Values.type(item));
            }
            budget.search(Values.text(container), Values.text(item));
            return Values.text(container).contains(Values.text(item));
        }
        if (container instanceof Map<?, ?> map) {
            return map.containsKey(key(item));
        }
        for (Iterator<Object> items = Values.iterate(budget, container); items.hasNext(); ) {
            if (Values.equal(budget, items.next(), item)) {
                return true;
            }
        }
        return false;
    }

    /** A dict's key: a text, number, bool or none. */
    static Object key(Object value) {
        if (value == null || value instanceof String || isNumber(value)) {
            return value;
        }
        if (value instanceof Markup markup) {
            return markup.text();
        }
        throw TemplateException.failure("a " + Values.type(value) + " cannot be a dict's key here");
    }

    /** {@code object.name}: a method comes before a dict's key of that name, as for {@code schema.items}. */
    static Object attribute(Object object, String name) {
        Object attribute = ownAttribute(object, name);
        return attribute != Methods.NONE
                ? attribute
                : object instanceof Map<?, ?> map && map.containsKey(name) ? map.get(name) : missing(object, name);
    }

    /** {@code object[name]}: here the key comes first. */
    static Object item(Budget budget, Object object, Object name) {
        if (object instanceof Undefined undefined) {
            throw undefined.failure();
        }
        if (name instanceof Undefined undefined && !(object instanceof Map)) {
            return missing(object, undefined);
        }
        if (object instanceof Map<?, ?> map && (name == null || Values.isText(name) || isNumber(name))) {
            Object key = key(name);
            if (map.containsKey(key)) {
                return map.get(key);
            }
        }
        if (Values.isText(name)) {
            Object attribute = ownAttribute(object, Values.text(name));
            return attribute != Methods.NONE ? attribute : missing(object, name);
        }
        if (isInteger(name)) {
            long index = (Long) number(name);
            List<?> items =
                    object instanceof Tuple tuple ? tuple.items() : object instanceof List<?> list ? list : List.of();
            long size = Values.isText(object) ? Values.length(object) : items.size();
            long at = index < 0 ? index + size : index;
            if (at >= 0 && at < size) {
                return Values.isText(object) ? slice(budget, object, at, at + 1, null) : items.get((int) at);
            }
        }
        return missing(object, name);
    }

    private static Object ownAttribute(Object object, String name) {
        if (object instanceof Undefined undefined) {
            throw undefined.failure();
        }
        if (object instanceof Loop loop) {
            return loop.attribute(name);
        }
        if (object instanceof Namespace namespace && namespace.attributes().containsKey(name)) {
            return name.startsWith("_")
                    ? Methods.unsafe(object, name)
                    : namespace.attributes().get(name);
        }
        return Methods.of(object, name);
    }

    static Object call(Scope scope, Object function, Arguments arguments) {
        if (function instanceof Undefined undefined) {
            throw undefined.failure();
        }
        if (!(function instanceof Function callable)) {
            throw TemplateException.failure("'" + Values.type(function) + "' object is not callable");
        }
        return callable.call(scope, arguments);
    }

    private static Undefined missing(Object object, Object name) {
        String type = object == null ? "None" : Values.type(object) + " object";
        return new Undefined(
                Values.isText(name)
                        ? "'" + type + "' has no attribute '" + shortened(Values.text(name)) + "'"
                        : type + " has no element " + (isNumber(name) ? name : ""));
    }

    private static String shortened(String name) {
        return name.length() > 100 ? name.substring(0, 100) + "..." : name;
    }

    /** {@code object[start:stop:step]}, each null where left out. */
    static Object slice(Budget budget, Object object, Object start, Object stop, Object step) {
        if (object instanceof Undefined undefined) {
            throw undefined.failure();
        }
        List<?> items = object instanceof Tuple tuple ? tuple.items() : object instanceof List<?> list ? list : null;
        int[] characters =
                Values.isText(object) ? Values.text(object).codePoints().toArray() : null;
        if (items == null && characters == null || !isIndex(start) || !isIndex(stop) || !isIndex(step)) {
            throw TemplateException.failure("'" + Values.type(object) + "' object has no such slice");
        }
        long stride = step == null ? 1 : (Long) number(step);
        if (stride == 0) {
            throw TemplateException.failure("slice step cannot be zero");
        }
        int size = items == null ? characters.length : items.size();
        // Python's: what is beyond an end counts as that end; backwards, the one before the first is -1.
        long low = stride > 0 ? 0 : -1;
        long high = stride > 0 ? size : size - 1;
        long from = start == null ? (stride > 0 ? low : high) : bounded((Long) number(start), size, low, high);
        long to = stop == null ? (stride > 0 ? high : low) : bounded((Long) number(stop), size, low, high);
        stride = Math.max(-size - 1, Math.min(size + 1, stride));
        budget.text(size);
        StringBuilder text = new StringBuilder();
        List<Object> chosen = new ArrayList<>();
        for (long i = from; stride > 0 ? i < to : i > to; i += stride) {
            if (items == null) {
                text.appendCodePoint(characters[(int) i]);
            } else {
                budget.items(1);
                chosen.add(items.get((int) i));
            }
        }
        return object instanceof Markup
                ? new Markup(text.toString())
                : items == null ? text.toString() : object instanceof Tuple ? new Tuple(chosen) : chosen;
    }

    private static boolean isIndex(Object value) {
        return value == null || isInteger(value);
    }

    private static long bounded(long index, int size, long low, long high) {
        return Math.max(low, Math.min(high, index < 0 ? index + size : index));
    }
}
