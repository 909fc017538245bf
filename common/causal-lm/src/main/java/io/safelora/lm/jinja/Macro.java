package io.safelora.lm.jinja;

import io.safelora.lm.jinja.Values.Arguments;
import io.safelora.lm.jinja.Values.Function;
import io.safelora.lm.jinja.Values.Tuple;
import io.safelora.lm.jinja.Values.Undefined;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What a template defines and calls.
 *
 * @param scope where it was defined, whose names it sees
 */
record Macro(Body macro, Scope scope) implements Function {
    /** @param uses those of caller, varargs and kwargs that the body reads */
    record Body(String name, Frame frame, Map<String, Expression> parameters, Statement body, Set<String> uses) {}

    @Override
    public Object call(Scope caller, Arguments arguments) {
        Scope inner = scope.inner(macro.frame());
        List<Object> positional = arguments.positional();
        Map<String, Object> named = new LinkedHashMap<>(arguments.named());
        List<String> missing = new ArrayList<>();
        int count = 0;
        for (String name : macro.parameters().keySet()) {
            if (count < positional.size()) {
                inner.set(name, positional.get(count++));
            } else if (named.containsKey(name)) {
                inner.set(name, named.remove(name));
            } else {
                missing.add(name);
                inner.set(name, new Undefined(() -> "parameter '" + name + "' was not provided"));
            }
        }
        for (String name : missing) {
            Expression otherwise = macro.parameters().get(name);
            if (otherwise != null) {
                inner.set(name, otherwise.eval(inner));
            }
        }
        List<Object> more = positional.subList(count, positional.size());
        if (macro.uses().contains("caller")) {
            Object none = new Undefined(() -> "No caller defined");
            inner.set("caller", named.containsKey("caller") ? named.remove("caller") : none);
        }
        if (macro.uses().contains("varargs")) {
            inner.set("varargs", new Tuple(more));
        } else if (!more.isEmpty()) {
            throw TemplateException.failure("macro '" + macro.name() + "' takes not more than " + count + " arguments");
        }
        if (macro.uses().contains("kwargs")) {
            inner.set("kwargs", named);
        } else if (!named.isEmpty()) {
            throw TemplateException.failure("macro '" + macro.name() + "' takes no keyword argument '"
                    + named.keySet().iterator().next() + "'");
        }
        return macro.body().text(inner);
    }

    @Override
    public String toString() {
        return "<Macro '" + macro.name() + "'>";
    }
}
