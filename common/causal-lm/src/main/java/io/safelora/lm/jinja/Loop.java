package io.safelora.lm.jinja;

import io.safelora.lm.jinja.Values.Arguments;
import io.safelora.lm.jinja.Values.Function;
import io.safelora.lm.jinja.Values.Undefined;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;

/** A for statement's variable {@code loop}. It reads ahead only when asked for what comes. */
final class Loop implements Function {
    private static final Object NONE = new Object();

    private final Budget budget;
    private final Object iterable;
    private final Recursion recursion;
    private final int depth0;
    private Iterator<Object> items;
    private long index0 = -1;
    private long length = -1;
    private Object before = NONE;
    private Object current = NONE;
    private Object after = NONE;
    private Object changed = NONE;

    /** Runs a recursive loop's body over further items; gives the text. */
    interface Recursion {
        String run(Object iterable, int depth);
    }

    /** @param recursion null: it is not recursive */
    Loop(Budget budget, Object iterable, int depth0, Recursion recursion) {
        this.budget = budget;
        this.iterable = iterable;
        this.items = Values.iterate(budget, iterable);
        this.depth0 = depth0;
        this.recursion = recursion;
    }

    boolean hasNext() {
        return after != NONE || items.hasNext();
    }

    Object next() {
        before = current;
        current = after != NONE ? after : items.next();
        after = NONE;
        index0++;
        return current;
    }

    private Object peek() {
        if (after == NONE && items.hasNext()) {
            after = items.next();
        }
        return after;
    }

    long length() {
        if (length < 0) {
            if (!(iterable instanceof Values.Generator)) {
                length = Values.length(iterable);
            } else {
                List<Object> rest = new ArrayList<>();
                items.forEachRemaining(rest::add);
                budget.items(rest.size());
                items = rest.iterator();
                length = rest.size() + index0 + 1 + (after == NONE ? 0 : 1);
            }
        }
        return length;
    }

    Object attribute(String name) {
        return switch (name) {
            case "index" -> index0 + 1;
            case "index0" -> index0;
            case "revindex" -> length() - index0;
            case "revindex0" -> length() - index0 - 1;
            case "first" -> index0 == 0;
            case "last" -> peek() == NONE;
            case "length" -> length();
            case "depth" -> depth0 + 1L;
            case "depth0" -> (long) depth0;
            case "previtem" -> index0 == 0 ? new Undefined("there is no previous item") : before;
            case "nextitem" -> peek() == NONE ? new Undefined("there is no next item") : after;
            case "cycle" ->
                (Function) (scope, arguments) -> {
                    List<Object> values = arguments.positional();
                    if (values.isEmpty()) {
                        throw TemplateException.failure("no items for cycling given");
                    }
                    return values.get((int) (index0 % values.size()));
                };
            case "changed" ->
                (Function) (scope, arguments) -> {
                    List<Object> values = arguments.positional();
                    boolean differs = changed == NONE || !Values.equal(budget, changed, values);
                    changed = values;
                    return differs;
                };
            default -> new Undefined("'loop' has no attribute '" + name + "'");
        };
    }

    @Override
    public Object call(Scope scope, Arguments arguments) {
        if (recursion == null) {
            throw TemplateException.failure("the loop must have the 'recursive' marker to be called recursively");
        }
        return recursion.run(arguments.single("loop"), depth0 + 1);
    }
}
