package io.safelora.lm.jinja;

import io.safelora.lm.jinja.Lexer.Kind;
import io.safelora.lm.jinja.Lexer.Token;
import io.safelora.lm.jinja.Values.Tuple;
import io.safelora.lm.jinja.Values.Undefined;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;

/** Jinja's expressions, from those that bind least. */
abstract class ExpressionParser extends Cursor {
    /** Conditions that may follow each other. */
    private static final int MAX_CONDITIONS = 60;

    private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", "<=", ">", ">=");

    ExpressionParser(List<Token> tokens) {
        super(tokens);
    }

    Expression expression() {
        int line = token().line();
        Expression value = nested(this::conditional);
        return scope -> {
            scope.budget().enter(line);
            Object result = value.eval(scope);
            scope.budget().leave();
            return result;
        };
    }

    /** {@code a if b else c} */
    Expression conditional() {
        Expression value = or();
        for (int count = 0; skip("if"); count++) {
            if (count == MAX_CONDITIONS) {
                throw failure("more than " + MAX_CONDITIONS + " conditions follow each other");
            }
            Expression yes = value;
            Expression test = or();
            Expression no = skip("else")
                    ? expression()
                    : scope -> scope.strict(
                            new Undefined(() -> "the inline if-expression was false and no else section was defined"));
            value = scope -> Values.isTrue(test.eval(scope)) ? yes.eval(scope) : no.eval(scope);
        }
        return value;
    }

    Expression or() {
        return either(separated("or", this::and), true);
    }

    Expression and() {
        return either(separated("and", this::not), false);
    }

    List<Expression> separated(String separator, Supplier<Expression> parse) {
        List<Expression> all = new ArrayList<>();
        do {
            all.add(parse.get());
        } while (skip(separator));
        return all;
    }

    /** The first value that is true, or that is false; else the last one. */
    static Expression either(List<Expression> all, boolean wanted) {
        return all.size() == 1
                ? all.get(0)
                : scope -> {
                    Object value = null;
                    for (Expression expression : all) {
                        scope.budget().step(1);
                        value = expression.eval(scope);
                        if (Values.isTrue(value) == wanted) {
                            return value;
                        }
                    }
                    return value;
                };
    }

    Expression not() {
        if (!skip("not")) {
            return comparison();
        }
        Expression value = nested(this::not);
        return scope -> !Values.isTrue(value.eval(scope));
    }

    /** {@code a < b < c}: each with its neighbour */
    Expression comparison() {
        Expression first = sum();
        List<String> operators = new ArrayList<>();
        List<Expression> operands = new ArrayList<>();
        while (true) {
            boolean notIn = is("not") && tokens.get(at + 1).is("in");
            if (!notIn && !is("in") && !(token().kind() == Kind.OPERATOR && COMPARISONS.contains(token().text()))) {
                break;
            }
            at += notIn ? 1 : 0;
            operators.add((notIn ? "not " : "") + next().text());
            operands.add(sum());
        }
        return operators.isEmpty()
                ? first
                : scope -> {
                    Object left = first.eval(scope);
                    for (int i = 0; i < operators.size(); i++) {
                        Object right = operands.get(i).eval(scope);
                        boolean notIn = operators.get(i).equals("not in");
                        if (Operators.compare(scope.budget(), notIn ? "in" : operators.get(i), left, right) == notIn) {
                            return false;
                        }
                        left = right;
                    }
                    return true;
                };
    }

    Expression sum() {
        return leftToRight(Set.of("+", "-"), this::concatenation);
    }

    Expression concatenation() {
        List<Expression> all = separated("~", this::product);
        return all.size() == 1
                ? all.get(0)
                : scope -> {
                    StringBuilder text = new StringBuilder();
                    for (Expression part : all) {
                        scope.budget().append(text, Values.string(scope.budget(), part.eval(scope)));
                    }
                    return text.toString();
                };
    }

    Expression product() {
        return leftToRight(Set.of("*", "/", "//", "%"), () -> leftToRight(Set.of("**"), () -> unary(true)));
    }

    Expression leftToRight(Set<String> which, Supplier<Expression> parse) {
        Expression first = parse.get();
        List<String> operators = new ArrayList<>();
        List<Expression> operands = new ArrayList<>();
        while (token().kind() == Kind.OPERATOR && which.contains(token().text())) {
            operators.add(next().text());
            operands.add(parse.get());
        }
        return operators.isEmpty()
                ? first
                : scope -> {
                    Object value = first.eval(scope);
                    for (int i = 0; i < operators.size(); i++) {
                        value = Operators.binary(
                                scope.budget(),
                                operators.get(i),
                                value,
                                operands.get(i).eval(scope));
                    }
                    return value;
                };
    }

    /** What is done to a value: an attribute or item is taken of it, it is called, filtered or tested. */
    interface Step {
        Object apply(Scope scope, Object value);
    }

    record CallStep(Call arguments) implements Step {
        @Override
        public Object apply(Scope scope, Object function) {
            return Operators.call(scope, function, arguments.eval(scope));
        }
    }

    record Chain(Expression first, List<Step> steps) implements Expression {
        @Override
        public Object eval(Scope scope) {
            return applied(steps, scope, first.eval(scope));
        }

        Step last() {
            return steps.get(steps.size() - 1);
        }

        Expression withoutLast() {
            return new Chain(first, steps.subList(0, steps.size() - 1));
        }
    }

    static Object applied(List<Step> steps, Scope scope, Object value) {
        for (Step step : steps) {
            scope.budget().step(1);
            value = step.apply(scope, value);
        }
        return value;
    }

    Expression unary(boolean withFilters) {
        Expression value;
        if (skip("-")) {
            Expression negated = nested(() -> unary(false));
            value = scope -> Operators.negative(negated.eval(scope));
        } else if (skip("+")) {
            Expression number = nested(() -> unary(false));
            value = scope -> Operators.binary(scope.budget(), "+", 0L, number.eval(scope));
        } else {
            value = primary();
        }
        List<Step> steps = new ArrayList<>();
        postfixes(steps);
        while (withFilters && (is("|") || is("is") || is("("))) {
            steps.add(skip("|") ? filter() : skip("is") ? test() : call());
        }
        return steps.isEmpty() ? value : new Chain(value, steps);
    }

    void postfixes(List<Step> steps) {
        while (is(".") || is("[") || is("(")) {
            steps.add(skip(".") ? attribute() : skip("[") ? subscript() : call());
        }
    }

    Step attribute() {
        if (token().kind() == Kind.NUMBER && token().value() instanceof Long index) {
            next();
            return (scope, value) -> scope.strict(Operators.item(scope.budget(), value, index));
        }
        String name = expect(Kind.NAME).text();
        return (scope, value) -> scope.strict(Operators.attribute(value, name));
    }

    Step subscript() {
        Expression start = is(":") ? null : expression();
        if (skip("]")) {
            return (scope, value) -> scope.strict(Operators.item(scope.budget(), value, start.eval(scope)));
        }
        expect(":");
        Expression stop = is(":") || is("]") ? null : expression();
        Expression step = skip(":") && !is("]") ? expression() : null;
        expect("]");
        return (scope, value) ->
                Operators.slice(scope.budget(), value, orNone(start, scope), orNone(stop, scope), orNone(step, scope));
    }

    static Object orNone(Expression expression, Scope scope) {
        return expression == null ? null : expression.eval(scope);
    }

    List<Step> filters() {
        List<Step> filters = new ArrayList<>();
        while (skip("|")) {
            filters.add(filter());
        }
        return filters;
    }

    Step filter() {
        String name = expect(Kind.NAME).text();
        Call arguments = is("(") ? call().arguments() : Call.NONE;
        return (scope, value) -> Filters.apply(scope, name, value, arguments.eval(scope));
    }

    Step test() {
        boolean negated = skip("not");
        String name = expect(Kind.NAME).text();
        Call arguments = Call.NONE;
        if (is("(")) {
            arguments = call().arguments();
        } else if (Set.of(Kind.NAME, Kind.STRING, Kind.NUMBER).contains(token().kind())
                        && !is("else")
                        && !is("or")
                        && !is("and")
                || is("[")
                || is("{")) {
            Expression argument = primary();
            List<Step> steps = new ArrayList<>();
            postfixes(steps);
            arguments = new Call(List.of(new Chain(argument, steps)), Map.of(), null, null);
        }
        Call given = arguments;
        return (scope, value) -> Tests.apply(scope, name, value, given.eval(scope)) != negated;
    }

    CallStep call() {
        expect("(");
        List<Expression> positional = new ArrayList<>();
        Map<String, Expression> named = new LinkedHashMap<>();
        Expression morePositional = null;
        Expression moreNamed = null;
        for (boolean first = true; !is(")"); first = false) {
            if (!first) {
                expect(",");
                if (is(")")) {
                    break;
                }
            }
            if (skip("*")) {
                morePositional = expression();
            } else if (skip("**")) {
                moreNamed = expression();
            } else if (token().kind() == Kind.NAME && tokens.get(at + 1).is("=")) {
                String name = next().text();
                next();
                named.put(name, expression());
            } else if (named.isEmpty() && morePositional == null && moreNamed == null) {
                positional.add(expression());
            } else {
                throw failure("invalid syntax for function call expression");
            }
        }
        expect(")");
        return new CallStep(new Call(positional, named, morePositional, moreNamed));
    }

    Expression primary() {
        Token token = next();
        switch (token.kind()) {
            case STRING:
                StringBuilder text = new StringBuilder((String) token.value());
                while (token().kind() == Kind.STRING) {
                    text.append(next().value());
                }
                String string = text.toString();
                return scope -> string;
            case NUMBER:
                return scope -> token.value();
            case NAME:
                return name(token.text());
            case OPERATOR:
                if (token.is("(")) {
                    Expression inner = nested(() -> tuple(true, ")"));
                    expect(")");
                    return inner;
                }
                if (token.is("[")) {
                    return list();
                }
                if (token.is("{")) {
                    return dict();
                }
                break;
            default:
        }
        throw failure("unexpected " + token);
    }

    Expression name(String name) {
        switch (name) {
            case "true", "True":
                return scope -> true;
            case "false", "False":
                return scope -> false;
            case "none", "None":
                return scope -> null;
            default:
                frame().names.add(name);
                return scope -> scope.get(name);
        }
    }

    /**
     * An expression, or several with commas between or after them.
     *
     * @param end what may follow a comma beside the end of a tag or bracket; a bracket: it was opened, so nothing may
     *     follow
     */
    Expression tuple(boolean withConditions, String end) {
        List<Expression> all = new ArrayList<>();
        boolean tuple = end.equals(")") && is(")");
        while (token().kind() != Kind.PRINT_END && token().kind() != Kind.TAG_END && !is(")") && !is(end)) {
            all.add(withConditions ? expression() : or());
            if (!skip(",")) {
                break;
            }
            tuple = true;
        }
        if (all.isEmpty() && !tuple) {
            throw failure("expected an expression, got " + token());
        }
        return tuple ? scope -> new Tuple(values(all, scope)) : all.get(0);
    }

    static List<Object> values(List<Expression> all, Scope scope) {
        List<Object> values = new ArrayList<>(all.size());
        scope.budget().items(all.size());
        all.forEach(expression -> values.add(expression.eval(scope)));
        return values;
    }

    Expression list() {
        List<Expression> items = new ArrayList<>();
        while (!is("]")) {
            items.add(expression());
            if (!skip(",")) {
                break;
            }
        }
        expect("]");
        return scope -> values(items, scope);
    }

    Expression dict() {
        List<Expression> keys = new ArrayList<>();
        List<Expression> values = new ArrayList<>();
        while (!is("}")) {
            keys.add(expression());
            expect(":");
            values.add(expression());
            if (!skip(",")) {
                break;
            }
        }
        expect("}");
        return scope -> {
            Map<Object, Object> map = new LinkedHashMap<>();
            scope.budget().items(keys.size());
            for (int i = 0; i < keys.size(); i++) {
                map.put(Operators.key(keys.get(i).eval(scope)), values.get(i).eval(scope));
            }
            return map;
        };
    }
}
