package io.safelora.lm.jinja;

import io.safelora.lm.jinja.Values.Arguments;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A call's arguments, before they have values. */
record Call(
        List<Expression> positional, Map<String, Expression> named, Expression morePositional, Expression moreNamed) {
    static final Call NONE = new Call(List.of(), Map.of(), null, null);

    Arguments eval(Scope scope) {
        if (positional.isEmpty() && named.isEmpty() && morePositional == null && moreNamed == null) {
            return Arguments.NONE;
        }
        Budget budget = scope.budget();
        List<Object> values = new ArrayList<>();
        positional.forEach(argument -> values.add(argument.eval(scope)));
        if (morePositional != null) {
            values.addAll(Values.list(budget, morePositional.eval(scope)));
        }
        Map<String, Object> all = new LinkedHashMap<>();
        named.forEach((name, argument) -> all.put(name, argument.eval(scope)));
        if (moreNamed != null) {
            if (!(moreNamed.eval(scope) instanceof Map<?, ?> map)) {
                throw TemplateException.failure("argument after ** must be a mapping");
            }
            map.forEach((name, value) -> all.put(String.valueOf(name), value));
        }
        budget.step(values.size() + all.size());
        return new Arguments(Collections.unmodifiableList(values), Collections.unmodifiableMap(all));
    }
}
