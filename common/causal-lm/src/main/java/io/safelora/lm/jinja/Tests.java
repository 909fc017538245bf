package io.safelora.lm.jinja;

import io.safelora.lm.jinja.Values.Arguments;
import io.safelora.lm.jinja.Values.Function;
import io.safelora.lm.jinja.Values.Markup;
import io.safelora.lm.jinja.Values.Tuple;
import io.safelora.lm.jinja.Values.Undefined;
import java.util.List;
import java.util.Map;

/** What may follow {@code is}. */
final class Tests {
    private Tests() {}

    static boolean apply(Scope scope, String name, Object value, Arguments arguments) {
        Budget budget = scope.budget();
        String operator =
                switch (name) {
                    case "eq", "equalto", "==" -> "==";
                    case "ne", "!=" -> "!=";
                    case "lt", "lessthan", "<" -> "<";
                    case "le", "<=" -> "<=";
                    case "gt", "greaterthan", ">" -> ">";
                    case "ge", ">=" -> ">=";
                    case "in" -> "in";
                    default -> null;
                };
        if (operator != null) {
            return Operators.compare(budget, operator, value, arguments.single(name));
        }
        switch (name) {
            case "divisibleby" -> {
                return remainder(budget, value, arguments.single(name)) == 0;
            }
            case "sameas" -> {
                Object other = arguments.single(name);
                return value == other
                        || value != null && !(value instanceof Double) && value.equals(other) && isScalar(value);
            }
            default -> arguments.as(name);
        }
        return switch (name) {
            case "defined" -> !(value instanceof Undefined);
            case "undefined" -> value instanceof Undefined;
            case "none" -> value == null;
            case "boolean" -> value instanceof Boolean;
            case "true" -> Boolean.TRUE.equals(value);
            case "false" -> Boolean.FALSE.equals(value);
            case "integer" -> Values.isInteger(value);
            case "float" -> value instanceof Double;
            case "number" -> Operators.isNumber(value);
            case "string" -> Values.isText(value);
            case "mapping" -> value instanceof Map;
            case "iterable" -> Values.isIterable(value);
            case "sequence" ->
                Values.isText(value)
                        || value instanceof List
                        || value instanceof Map
                        || value instanceof Tuple
                        || value instanceof Undefined;
            case "callable" -> value instanceof Function || value instanceof Undefined;
            case "escaped" -> value instanceof Markup;
            case "odd" -> remainder(budget, value, 2L) == 1;
            case "even" -> remainder(budget, value, 2L) == 0;
            case "lower" -> (boolean) Texts.plain(Values.string(budget, value), "islower");
            case "upper" -> (boolean) Texts.plain(Values.string(budget, value), "isupper");
            default -> throw TemplateException.failure("the test " + name + " is not known");
        };
    }

    private static boolean isScalar(Object value) {
        return value instanceof Boolean || value instanceof Long || value instanceof String;
    }

    private static double remainder(Budget budget, Object value, Object by) {
        return Operators.real(Operators.binary(budget, "%", Values.isText(value) ? null : value, by));
    }
}
