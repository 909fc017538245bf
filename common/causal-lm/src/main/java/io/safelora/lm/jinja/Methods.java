package io.safelora.lm.jinja;

import io.safelora.lm.jinja.Values.Arguments;
import io.safelora.lm.jinja.Values.Function;
import io.safelora.lm.jinja.Values.Markup;
import io.safelora.lm.jinja.Values.Tuple;
import io.safelora.lm.jinja.Values.Undefined;
import io.safelora.lm.jinja.Values.View;
import java.util.Collection;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The methods of Python's str, dict, list and tuple. Those that change a dict or list are unsafe: the sandbox has none.
 */
final class Methods {
    /** No such attribute. */
    static final Object NONE = new Object();

    private static final Set<String> OF_TEXT = Set.of(
            "capitalize",
            "casefold",
            "center",
            "count",
            "encode",
            "endswith",
            "expandtabs",
            "find",
            "format",
            "format_map",
            "index",
            "isalnum",
            "isalpha",
            "isascii",
            "isdecimal",
            "isdigit",
            "isidentifier",
            "islower",
            "isnumeric",
            "isprintable",
            "isspace",
            "istitle",
            "isupper",
            "join",
            "ljust",
            "lower",
            "lstrip",
            "maketrans",
            "partition",
            "removeprefix",
            "removesuffix",
            "replace",
            "rfind",
            "rindex",
            "rjust",
            "rpartition",
            "rsplit",
            "rstrip",
            "split",
            "splitlines",
            "startswith",
            "strip",
            "swapcase",
            "title",
            "translate",
            "upper",
            "zfill");
    private static final Set<String> OF_DICT = Set.of("copy", "fromkeys", "get", "items", "keys", "values");
    private static final Set<String> UNSAFE_OF_DICT = Set.of("clear", "pop", "popitem", "setdefault", "update");
    private static final Set<String> UNSAFE_OF_LIST =
            Set.of("append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort");

    private Methods() {}

    /** A value's method of that name, bound to it; what is unsafe is undefined, {@link #NONE} what is not there. */
    static Object of(Object object, String name) {
        boolean list = object instanceof List && !(object instanceof Values.Range);
        if (name.startsWith("__") && name.endsWith("__")
                || object instanceof Map && UNSAFE_OF_DICT.contains(name)
                || list && UNSAFE_OF_LIST.contains(name)) {
            return unsafe(object, name);
        }
        if (Values.isText(object) && OF_TEXT.contains(name)) {
            return (Function) (scope, arguments) -> ofText(scope, object, name, arguments);
        }
        if (object instanceof Map<?, ?> map && OF_DICT.contains(name)) {
            return (Function) (scope, arguments) -> ofDict(scope.budget(), map, name, arguments);
        }
        if (list && name.equals("copy")) {
            return (Function) (scope, arguments) -> object;
        }
        if ((object instanceof List || object instanceof Tuple)
                && Set.of("count", "index").contains(name)) {
            return (Function) (scope, arguments) -> ofList(scope.budget(), object, name, arguments);
        }
        return NONE;
    }

    static Undefined unsafe(Object object, String name) {
        return new Undefined(
                () -> "access to attribute '" + name + "' of '" + Values.type(object) + "' object is unsafe");
    }

    @SuppressWarnings("unchecked")
    private static Object ofDict(Budget budget, Map<?, ?> map, String name, Arguments arguments) {
        switch (name) {
            case "get" -> {
                Map<String, Object> given = arguments.as(name, "key", "default");
                Object key = Operators.key(given.get("key"));
                return map.containsKey(key) ? map.get(key) : given.get("default");
            }
            case "items", "keys", "values" -> {
                arguments.as(name);
                budget.items(map.size());
                return View.of(name, (Map<Object, Object>) map);
            }
            case "copy" -> {
                return map;
            }
            default -> throw unsupported("dict", name);
        }
    }

    private static Object ofList(Budget budget, Object list, String name, Arguments arguments) {
        Object wanted = arguments.single(name);
        Collection<?> items = list instanceof Tuple tuple ? tuple.items() : (Collection<?>) list;
        long count = 0;
        long index = 0;
        for (Object item : items) {
            if (Values.equal(budget, item, wanted)) {
                if (name.equals("index")) {
                    return index;
                }
                count++;
            }
            index++;
        }
        if (name.equals("index")) {
            throw TemplateException.failure("the value is not in the list");
        }
        return count;
    }

    /** Of a Markup, the texts that a method gives are Markups again. */
    private static Object ofText(Scope scope, Object object, String name, Arguments arguments) {
        String text = Values.text(object);
        scope.budget().step(1 + text.length() / 16);
        Object result = ofText(scope, text, name, object instanceof Markup, arguments);
        return object instanceof Markup ? markup(result) : result;
    }

    private static Object markup(Object value) {
        return value instanceof String text
                ? new Markup(text)
                : value instanceof List<?> list
                        ? list.stream().map(Methods::markup).toList()
                        : value instanceof Tuple tuple
                                ? new Tuple(tuple.items().stream()
                                        .map(Methods::markup)
                                        .toList())
                                : value;
    }

    private static Object ofText(Scope scope, String text, String name, boolean markup, Arguments arguments) {
        Budget budget = scope.budget();
        switch (name) {
            case "strip", "lstrip", "rstrip" -> {
                String set = textOrNone(name, arguments.as(name, "chars").get("chars"));
                budget.search(text, set == null ? "" : set);
                return Texts.strip(text, set, !name.equals("rstrip"), !name.equals("lstrip"));
            }
            case "startswith", "endswith" -> {
                Object options = arguments.single(name);
                for (Object option : options instanceof Tuple tuple ? tuple.items() : List.of(orNone(options))) {
                    String affix = text(name, option);
                    budget.step(1 + affix.length() / 16);
                    if (name.equals("startswith") ? text.startsWith(affix) : text.endsWith(affix)) {
                        return true;
                    }
                }
                return false;
            }
            case "split", "rsplit" -> {
                Map<String, Object> given = arguments.as(name, "sep", "maxsplit");
                String separator = textOrNone(name, given.get("sep"));
                return Texts.split(
                        budget, text, separator, integer(given.getOrDefault("maxsplit", -1L)), name.equals("rsplit"));
            }
            case "splitlines" -> {
                return Texts.lines(
                        budget,
                        text,
                        Values.isTrue(arguments.as(name, "keepends").get("keepends")));
            }
            case "partition", "rpartition" -> {
                String separator = nonempty(name, arguments.single(name));
                budget.search(text, separator);
                int at = name.equals("partition") ? text.indexOf(separator) : text.lastIndexOf(separator);
                return at >= 0
                        ? Tuple.of(text.substring(0, at), separator, text.substring(at + separator.length()))
                        : name.equals("partition") ? Tuple.of(text, "", "") : Tuple.of("", "", text);
            }
            case "replace" -> {
                Map<String, Object> given = arguments.as(name, "old", "new", "count");
                String by = text(name, given.get("new"));
                by = markup ? Markup.escape(by).text() : by;
                return Texts.replace(
                        budget, text, text(name, given.get("old")), by, integer(given.getOrDefault("count", -1L)));
            }
            case "removeprefix" -> {
                String prefix = text(name, arguments.single(name));
                return text.startsWith(prefix) ? text.substring(prefix.length()) : text;
            }
            case "removesuffix" -> {
                String suffix = text(name, arguments.single(name));
                return text.endsWith(suffix) ? text.substring(0, text.length() - suffix.length()) : text;
            }
            case "join" -> {
                return join(budget, text, arguments.single(name), markup);
            }
            case "find", "rfind", "index", "rindex", "count" -> {
                return find(budget, text, name, arguments);
            }
            case "center", "ljust", "rjust" -> {
                Map<String, Object> given = arguments.as(name, "width", "fillchar");
                return Texts.pad(
                        budget,
                        text,
                        name,
                        integer(given.get("width")),
                        text(name, given.getOrDefault("fillchar", " ")));
            }
            case "zfill" -> {
                boolean signed = text.startsWith("+") || text.startsWith("-");
                long width = integer(arguments.single(name)) - (signed ? 1 : 0);
                return (signed ? text.substring(0, 1) : "")
                        + Texts.pad(budget, text.substring(signed ? 1 : 0), "rjust", width, "0");
            }
            case "format" -> {
                return Format.braces(scope, text, arguments);
            }
            default -> {
                arguments.as(name);
                Object result = Texts.plain(text, name);
                if (result == null) {
                    throw unsupported("str", name);
                }
                return result;
            }
        }
    }

    static String join(Budget budget, String separator, Object items, boolean markup) {
        StringBuilder joined = new StringBuilder();
        String between = "";
        for (Iterator<Object> all = Values.iterate(budget, items); all.hasNext(); between = separator) {
            Object item = all.next();
            budget.append(joined, between);
            String part = text("join", item);
            budget.append(joined, markup ? Markup.escape(item).text() : part);
        }
        return joined.toString();
    }

    /** In characters (code points), as all of Python's positions. */
    private static Object find(Budget budget, String text, String name, Arguments arguments) {
        Map<String, Object> given = arguments.as(name, "sub", "start", "end");
        String wanted = text(name, given.get("sub"));
        String part = (String) Operators.slice(budget, text, given.get("start"), given.get("end"), null);
        budget.search(part, wanted);
        if (name.equals("count")) {
            return wanted.isEmpty()
                    ? Values.length(part) + 1
                    : Texts.split(budget, part, wanted, -1, false).size() - 1L;
        }
        int at = name.startsWith("r") ? part.lastIndexOf(wanted) : part.indexOf(wanted);
        if (at < 0 && name.endsWith("index")) {
            throw TemplateException.failure("substring not found");
        }
        long start = given.get("start") == null ? 0 : integer(given.get("start"));
        long length = Values.length(text);
        return at < 0 ? -1L : part.codePointCount(0, at) + Math.max(0, start < 0 ? start + length : start);
    }

    private static Object orNone(Object value) {
        return value == null ? new Undefined(() -> "None is not a text") : value;
    }

    private static String text(String method, Object value) {
        if (value instanceof Undefined undefined) {
            throw undefined.failure();
        }
        if (!Values.isText(value)) {
            throw TemplateException.failure(method + "() needs a str, not '" + Values.type(value) + "'");
        }
        return Values.text(value);
    }

    private static String textOrNone(String method, Object value) {
        return value == null ? null : text(method, value);
    }

    private static String nonempty(String method, Object value) {
        String text = text(method, value);
        if (text.isEmpty()) {
            throw TemplateException.failure(method + "() got an empty separator");
        }
        return text;
    }

    static long integer(Object value) {
        if (value instanceof Long number) {
            return number;
        }
        if (value instanceof Boolean bool) {
            return bool ? 1 : 0;
        }
        throw TemplateException.failure("'" + Values.type(value) + "' object cannot be interpreted as an integer");
    }

    private static TemplateException unsupported(String type, String name) {
        return TemplateException.failure("the " + type + " method " + name + " is not supported here");
    }
}
