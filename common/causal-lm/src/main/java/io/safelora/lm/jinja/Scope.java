package io.safelora.lm.jinja;

import io.safelora.lm.jinja.Values.Undefined;
import java.time.Clock;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The names that a node sees: its own and those around it. A loop's body, a macro and a block have a scope each; what
 * they set is gone when they end. An if has none.
 */
final class Scope {
    /** One rendering. */
    record Rendering(
            Budget budget, Clock clock, StringBuilder out, List<Template.Span> generated, boolean strictUndefined) {
        /** So many characters of {@code to} come next that the assistant wrote. */
        void generated(StringBuilder to, int length) {
            // In a macro's text, say, they stand nowhere yet. transformers gives them a place that is wrong.
            generated.add(to == out ? new Template.Span(out.length(), out.length() + length) : null);
        }
    }

    private final Scope outer;
    private final Rendering rendering;
    private final Map<String, Object> names;

    private Scope(Scope outer, Rendering rendering, Map<String, Object> names) {
        this.outer = outer;
        this.rendering = rendering;
        this.names = names;
    }

    static Scope of(Rendering rendering, Map<String, Object> variables) {
        return new Scope(null, rendering, new HashMap<>(variables));
    }

    Scope inner(Frame frame) {
        Scope inner = new Scope(this, rendering, new HashMap<>(4));
        inner.begin(frame);
        return inner;
    }

    void begin(Frame frame) {
        for (String name : frame.undefined()) {
            names.put(name, undefined(name));
        }
    }

    private Undefined undefined(String name) {
        return new Undefined(() -> "'" + name + "' is undefined", rendering.strictUndefined());
    }

    /** A value that was looked up: one that is not there is as the template's settings want it. */
    Object strict(Object value) {
        return value instanceof Undefined undefined
                ? new Undefined(undefined.message(), rendering.strictUndefined())
                : value;
    }

    Rendering rendering() {
        return rendering;
    }

    Budget budget() {
        return rendering.budget();
    }

    Object get(String name) {
        for (Scope scope = this; scope != null; scope = scope.outer) {
            Object value = scope.names.get(name);
            if (value != null || scope.names.containsKey(name)) {
                return value;
            }
        }
        return undefined(name);
    }

    void set(String name, Object value) {
        rendering.budget().step(1);
        names.put(name, value);
    }
}
