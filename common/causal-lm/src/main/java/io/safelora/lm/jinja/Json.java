package io.safelora.lm.jinja;

import io.safelora.lm.jinja.Values.Tuple;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;

/** Python's json.dumps, which the filter tojson is in transformers. */
final class Json {
    private final Budget budget;
    private final boolean asciiOnly;
    private final String indent;
    private final String comma;
    private final String colon;
    private final boolean sorted;
    private final StringBuilder out = new StringBuilder();

    private Json(Budget budget, Map<String, Object> options) {
        Object width = options.get("indent");
        Object separators = options.get("separators");
        this.budget = budget;
        this.asciiOnly = Values.isTrue(options.get("ensure_ascii"));
        this.indent = width == null
                ? null
                : Values.isText(width)
                        ? Values.text(width)
                        : Texts.pad(budget, "", "ljust", Methods.integer(width), " ");
        this.sorted = Values.isTrue(options.get("sort_keys"));
        var pair = separators == null ? null : Values.list(budget, separators);
        if (pair != null && (pair.size() != 2 || !pair.stream().allMatch(Values::isText))) {
            throw TemplateException.failure("tojson's separators are two texts");
        }
        this.comma = pair != null ? Values.text(pair.get(0)) : indent == null ? ", " : ",";
        this.colon = pair != null ? Values.text(pair.get(1)) : ": ";
    }

    /** @param options ensure_ascii, indent, separators and sort_keys, as far as they are given */
    static String dumps(Budget budget, Object value, Map<String, Object> options) {
        Json json = new Json(budget, options);
        json.value(value, 1);
        return json.out.toString();
    }

    private void value(Object value, int depth) {
        budget.enter();
        if (value == null || value instanceof Boolean || Values.isInteger(value)) {
            budget.append(out, String.valueOf(value));
        } else if (value instanceof Double number) {
            budget.append(
                    out,
                    number.isNaN()
                            ? "NaN"
                            : number.isInfinite() ? (number > 0 ? "Infinity" : "-Infinity") : Values.number(number));
        } else if (Values.isText(value)) {
            text(Values.text(value));
        } else if (value instanceof Map<?, ?> map) {
            map(map, depth);
        } else if (value instanceof Tuple tuple) {
            list(tuple.items(), depth);
        } else if (value instanceof Collection<?> list && !(value instanceof Values.Range)) {
            list(list, depth);
        } else {
            throw TemplateException.failure("Object of type " + Values.type(value) + " is not JSON serializable");
        }
        budget.leave();
    }

    private void list(Collection<?> items, int depth) {
        budget.append(out, "[");
        String separator = "";
        for (Object item : items) {
            budget.append(out, separator);
            newline(depth);
            value(item, depth + 1);
            separator = comma;
        }
        close(items.isEmpty(), depth, "]");
    }

    private void map(Map<?, ?> map, int depth) {
        budget.append(out, "{");
        Map<String, Object> entries = sorted ? new TreeMap<>() : new LinkedHashMap<>();
        map.forEach((key, value) -> entries.put(key(key), value));
        String separator = "";
        for (Map.Entry<String, Object> entry : entries.entrySet()) {
            budget.append(out, separator);
            newline(depth);
            text(entry.getKey());
            budget.append(out, colon);
            value(entry.getValue(), depth + 1);
            separator = comma;
        }
        close(entries.isEmpty(), depth, "}");
    }

    private static String key(Object key) {
        return key instanceof Double number ? Values.number(number) : String.valueOf(key);
    }

    private void newline(int depth) {
        if (indent != null) {
            budget.append(out, "\n");
            for (int i = 0; i < depth; i++) {
                budget.append(out, indent);
            }
        }
    }

    private void close(boolean empty, int depth, String bracket) {
        if (!empty) {
            newline(depth - 1);
        }
        budget.append(out, bracket);
    }

    private void text(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            int simple = "\"\\\n\r\t\b\f".indexOf(c);
            if (simple >= 0) {
                quoted.append('\\').append("\"\\nrtbf".charAt(simple));
            } else if (c < ' ' || asciiOnly && c > '~') {
                quoted.append(String.format("\\u%04x", (int) c));
            } else {
                quoted.append(c);
            }
        }
        budget.append(out, quoted.append('"').toString());
    }
}
