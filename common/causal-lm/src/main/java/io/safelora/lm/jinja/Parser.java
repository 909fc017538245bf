package io.safelora.lm.jinja;

import io.safelora.lm.jinja.Lexer.Kind;
import io.safelora.lm.jinja.Lexer.Token;
import io.safelora.lm.jinja.Values.Arguments;
import io.safelora.lm.jinja.Values.Function;
import io.safelora.lm.jinja.Values.Namespace;
import io.safelora.lm.jinja.Values.Tuple;
import io.safelora.lm.jinja.Values.Undefined;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;

/**
 * Jinja's grammar, by recursive descent, as jinja2.parser has it. What is parsed becomes a function at once: an expression
 * gives a value in a scope, a statement writes text.
 */
final class Parser {
    interface Expression {
        Object eval(Scope scope);
    }

    interface Statement {
        Flow run(Scope scope, StringBuilder out);
    }

    /** What comes after a statement: the next one, or a loop's end or next item. */
    enum Flow {
        NEXT,
        BREAK,
        CONTINUE
    }

    /** What a set or a for writes to. */
    private record Target(List<String> names, Setter setter) {
        interface Setter {
            void set(Scope scope, Object value);
        }

        void set(Scope scope, Object value) {
            setter.set(scope, value);
        }
    }

    /** A call's arguments, before they have values. */
    private record Call(
            List<Expression> positional,
            Map<String, Expression> named,
            Expression morePositional,
            Expression moreNamed) {
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

    /**
     * The names of one scope, known before it runs. Jinja compiles names to variables, so a name that a scope sets, whatever
     * happens, and does not read before, is undefined in it from its beginning on, though the conversation has one of that
     * name: {@code {% for m in messages %}{{ tools }}{% endfor %}{% set tools = 1 %}} prints no tools.
     */
    static final class Frame {
        private final Frame outer;
        private final Set<String> names = new HashSet<>();
        private final Set<String> setFirst = new HashSet<>();
        private List<String> undefined = List.of();

        private Frame(Frame outer) {
            this.outer = outer;
        }

        /** The names that are undefined until they are set. */
        List<String> undefined() {
            return undefined;
        }

        private void resolve() {
            undefined =
                    setFirst.stream().filter(name -> !isOutside(name)).sorted().toList();
        }

        private boolean isOutside(String name) {
            for (Frame frame = outer; frame != null; frame = frame.outer) {
                if (frame.names.contains(name)) {
                    return true;
                }
            }
            return false;
        }
    }

    private static final int MAX_DEPTH = 60;
    private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", "<=", ">", ">=");

    private final List<Token> tokens;
    private int at;
    private int depth;
    private int loops;
    private int conditions;
    private Frame frame = new Frame(null);
    private final List<Frame> frames = new ArrayList<>(List.of(frame));

    private Parser(List<Token> tokens) {
        this.tokens = tokens;
    }

    static Statement parse(String source, Template.Settings settings) {
        Parser parser = new Parser(Lexer.tokens(source, settings));
        Frame root = parser.frame;
        Statement body = parser.statements();
        parser.frames.forEach(Frame::resolve);
        return (scope, out) -> {
            scope.begin(root);
            return body.run(scope, out);
        };
    }

    /** What is parsed in a scope of its own, outside of the conditions around it. */
    private <T> T inFrame(Frame inner, Supplier<T> parse) {
        Frame outer = frame;
        int around = conditions;
        frame = inner;
        conditions = 0;
        T parsed = parse.get();
        frame = outer;
        conditions = around;
        return parsed;
    }

    private Frame newFrame() {
        Frame inner = new Frame(frame);
        frames.add(inner);
        return inner;
    }

    private void setsName(String name) {
        if (frame.names.add(name) && conditions == 0) {
            frame.setFirst.add(name);
        }
    }

    // ---- tokens

    private Token token() {
        return tokens.get(at);
    }

    private Token next() {
        return tokens.get(at == tokens.size() - 1 ? at : at++);
    }

    private boolean is(String text) {
        return token().is(text);
    }

    private boolean skip(String text) {
        boolean found = is(text);
        at += found ? 1 : 0;
        return found;
    }

    private void expect(String text) {
        if (!skip(text)) {
            throw failure("expected '" + text + "', got " + token());
        }
    }

    private Token expect(Kind kind) {
        if (token().kind() != kind) {
            throw failure(
                    "expected the " + kind.name().toLowerCase(Locale.ROOT).replace('_', ' ') + ", got " + token());
        }
        return next();
    }

    private TemplateException failure(String message) {
        return TemplateException.failure(message + " (line " + token().line() + ")");
    }

    /** One level deeper into the template. */
    private <T> T nested(Supplier<T> parse) {
        if (++depth > MAX_DEPTH) {
            throw failure("it nests deeper than " + MAX_DEPTH + " levels");
        }
        T parsed = parse.get();
        depth--;
        return parsed;
    }

    // ---- statements

    /** Text, prints and tags, up to the tag of one of those names, which is left in its place. */
    private Statement statements(String... ends) {
        return nested(() -> {
            List<Statement> all = new ArrayList<>();
            for (Token token = next(); token.kind() != Kind.END; token = next()) {
                if (token.kind() == Kind.DATA) {
                    String text = token.text();
                    all.add(statement(token.line(), (scope, out) -> write(scope, out, text)));
                } else if (token.kind() == Kind.PRINT_BEGIN) {
                    Expression value = tuple(true, "");
                    expect(Kind.PRINT_END);
                    all.add(statement(
                            token.line(),
                            (scope, out) -> write(scope, out, Values.string(scope.budget(), value.eval(scope)))));
                } else {
                    for (String end : ends) {
                        if (is(end)) {
                            return block(all);
                        }
                    }
                    all.add(statement(token.line(), tag()));
                    expect(Kind.TAG_END);
                }
            }
            if (ends.length > 0) {
                throw failure("unexpected end of the template, which lacks " + String.join(" or ", ends));
            }
            return block(all);
        });
    }

    private static Statement block(List<Statement> all) {
        Statement[] statements = all.toArray(Statement[]::new);
        return (scope, out) -> {
            for (Statement statement : statements) {
                Flow flow = statement.run(scope, out);
                if (flow != Flow.NEXT) {
                    return flow;
                }
            }
            return Flow.NEXT;
        };
    }

    private static Statement statement(int line, Statement statement) {
        return (scope, out) -> {
            scope.budget().enter(line);
            Flow flow = statement.run(scope, out);
            scope.budget().leave();
            return flow;
        };
    }

    private static Flow write(Scope scope, StringBuilder out, String text) {
        scope.budget().append(out, text);
        return Flow.NEXT;
    }

    /** What a statement writes, by itself. */
    private static String text(Statement body, Scope scope) {
        StringBuilder out = new StringBuilder();
        body.run(scope, out);
        return out.toString();
    }

    /** The statements up to the end tag, which is taken. */
    private Statement body(String end) {
        skip(":");
        expect(Kind.TAG_END);
        Statement body = statements(end);
        next();
        return body;
    }

    /** As {@link #body}, of what runs by itself: a loop around it cannot be left from there. */
    private Statement separateBody(String end, Frame inner) {
        int outer = loops;
        loops = 0;
        Statement body = inFrame(inner, () -> body(end));
        loops = outer;
        return body;
    }

    private Statement tag() {
        String name = expect(Kind.NAME).text();
        switch (name) {
            case "if":
                return ifTag();
            case "for":
                return forTag();
            case "set":
                return setTag();
            case "macro":
                return macroTag();
            case "call":
                return callTag();
            case "generation":
                return generationTag();
            case "with":
                return withTag();
            case "filter":
                return filterTag();
            case "print":
                Expression value = tuple(true, "");
                return (scope, out) -> write(scope, out, Values.string(scope.budget(), value.eval(scope)));
            case "break", "continue":
                if (loops == 0) {
                    throw failure(name + " outside of a loop");
                }
                Flow flow = name.equals("break") ? Flow.BREAK : Flow.CONTINUE;
                return (scope, out) -> flow;
            default:
                throw failure("the tag '" + name + "' is unknown here, or not expected at this place");
        }
    }

    private Statement ifTag() {
        List<Expression> tests = new ArrayList<>();
        List<Statement> bodies = new ArrayList<>();
        do {
            tests.add(tuple(false, ""));
            skip(":");
            expect(Kind.TAG_END);
            conditions++;
            bodies.add(statements("elif", "else", "endif"));
            conditions--;
        } while (skip("elif"));
        if (next().is("else")) {
            tests.add(scope -> true);
            conditions++;
            bodies.add(body("endif"));
            conditions--;
        }
        return (scope, out) -> {
            for (int i = 0; i < tests.size(); i++) {
                if (Values.isTrue(tests.get(i).eval(scope))) {
                    return bodies.get(i).run(scope, out);
                }
            }
            return Flow.NEXT;
        };
    }

    private Statement forTag() {
        Frame bodyFrame = newFrame();
        Frame testFrame = newFrame();
        Frame elseFrame = newFrame();
        Target target = target("in", false);
        bodyFrame.names.add("loop");
        bodyFrame.names.addAll(target.names());
        testFrame.names.addAll(target.names());
        expect("in");
        Expression iterable = tuple(false, "recursive");
        Expression test = skip("if") ? inFrame(testFrame, this::expression) : null;
        boolean recursive = skip("recursive");
        skip(":");
        expect(Kind.TAG_END);
        loops++;
        Statement body = inFrame(bodyFrame, () -> statements("endfor", "else"));
        loops--;
        Statement otherwise = next().is("else") ? inFrame(elseFrame, () -> body("endfor")) : null;
        return new For(target, iterable, test, recursive, testFrame, bodyFrame, body, elseFrame, otherwise);
    }

    private record For(
            Target target,
            Expression iterable,
            Expression test,
            boolean recursive,
            Frame testFrame,
            Frame bodyFrame,
            Statement body,
            Frame elseFrame,
            Statement otherwise)
            implements Statement {
        @Override
        public Flow run(Scope scope, StringBuilder out) {
            return run(scope, out, iterable.eval(scope), 0);
        }

        private Flow run(Scope scope, StringBuilder out, Object items, int depth) {
            Budget budget = scope.budget();
            Object chosen = test == null
                    ? items
                    : Filters.filtered(budget, items, item -> {
                        Scope inner = scope.inner(testFrame);
                        target.set(inner, item);
                        return Values.isTrue(test.eval(inner));
                    });
            Loop loop =
                    new Loop(budget, chosen, depth, recursive ? (inner, level) -> recurse(scope, inner, level) : null);
            // As in Jinja, else also runs after a loop that was left, or went on, before its first item was done.
            boolean done = false;
            while (loop.hasNext()) {
                Scope inner = scope.inner(bodyFrame);
                inner.set("loop", loop);
                target.set(inner, loop.next());
                Flow flow = body.run(inner, out);
                if (flow == Flow.BREAK) {
                    break;
                }
                done |= flow == Flow.NEXT;
            }
            return done || otherwise == null ? Flow.NEXT : otherwise.run(scope.inner(elseFrame), out);
        }

        private String recurse(Scope scope, Object items, int depth) {
            StringBuilder out = new StringBuilder();
            scope.budget().enter();
            run(scope, out, items, depth);
            scope.budget().leave();
            return out.toString();
        }
    }

    private Statement setTag() {
        Target target = target("=", true);
        if (skip("=")) {
            Expression value = tuple(true, "");
            target.names().forEach(this::setsName);
            return (scope, out) -> {
                target.set(scope, value.eval(scope));
                return Flow.NEXT;
            };
        }
        target.names().forEach(this::setsName);
        List<Step> filters = filters();
        Frame inner = newFrame();
        Statement body = separateBody("endset", inner);
        return (scope, out) -> {
            target.set(scope, applied(filters, scope, text(body, scope.inner(inner))));
            return Flow.NEXT;
        };
    }

    private Statement filterTag() {
        List<Step> filters = new ArrayList<>(List.of(filter()));
        filters.addAll(filters());
        Frame inner = newFrame();
        Statement body = separateBody("endfilter", inner);
        return (scope, out) -> write(
                scope, out, Values.string(scope.budget(), applied(filters, scope, text(body, scope.inner(inner)))));
    }

    private Statement withTag() {
        List<Target> targets = new ArrayList<>();
        List<Expression> values = new ArrayList<>();
        Frame inner = newFrame();
        while (token().kind() != Kind.TAG_END) {
            if (!targets.isEmpty()) {
                expect(",");
            }
            targets.add(target("=", false));
            inner.names.addAll(targets.get(targets.size() - 1).names());
            expect("=");
            values.add(expression());
        }
        Statement body = inFrame(inner, () -> body("endwith"));
        return (scope, out) -> {
            Scope scopeInside = scope.inner(inner);
            for (int i = 0; i < targets.size(); i++) {
                targets.get(i).set(scopeInside, values.get(i).eval(scope));
            }
            return body.run(scopeInside, out);
        };
    }

    private Statement generationTag() {
        Frame inner = newFrame();
        Statement body = separateBody("endgeneration", inner);
        return (scope, out) -> {
            String text = text(body, scope.inner(inner));
            scope.rendering().generated(out, text.length());
            return write(scope, out, text);
        };
    }

    private Statement macroTag() {
        String name = expect(Kind.NAME).text();
        setsName(name);
        expect("(");
        Frame inner = newFrame();
        MacroBody macro = macroBody(name, inner, signature(inner), "endmacro");
        return (scope, out) -> {
            scope.set(name, new Macro(macro, scope));
            return Flow.NEXT;
        };
    }

    /** {@code {% call(a) f(b) %}...{% endcall %}}: f is called with the body as its macro "caller". */
    private Statement callTag() {
        Frame inner = newFrame();
        Map<String, Expression> parameters = skip("(") ? signature(inner) : Map.of();
        if (!(unary(true) instanceof Chain chain && chain.last() instanceof CallStep call)) {
            throw failure("'call' needs a call");
        }
        MacroBody caller = macroBody("caller", inner, parameters, "endcall");
        return (scope, out) -> {
            Arguments given = call.arguments().eval(scope);
            Map<String, Object> named = new LinkedHashMap<>(given.named());
            named.put("caller", new Macro(caller, scope));
            Object function = chain.withoutLast().eval(scope);
            Object value = Operators.call(scope, function, new Arguments(given.positional(), named));
            return write(scope, out, Values.string(scope.budget(), value));
        };
    }

    /** By name, with their defaults; null: none. The opening bracket is taken. */
    private Map<String, Expression> signature(Frame inner) {
        Map<String, Expression> parameters = new LinkedHashMap<>();
        boolean optional = false;
        while (!is(")")) {
            if (!parameters.isEmpty()) {
                expect(",");
            }
            String name = expect(Kind.NAME).text();
            inner.names.add(name);
            Expression otherwise = skip("=") ? inFrame(inner, this::expression) : null;
            if (optional && otherwise == null) {
                throw failure("non-default argument follows default argument");
            }
            optional = otherwise != null;
            parameters.put(name, otherwise);
        }
        expect(")");
        return parameters;
    }

    /** @param uses those of caller, varargs and kwargs that the body reads */
    private record MacroBody(
            String name, Frame frame, Map<String, Expression> parameters, Statement body, Set<String> uses) {}

    private MacroBody macroBody(String name, Frame inner, Map<String, Expression> parameters, String end) {
        int begin = at;
        Statement body = separateBody(end, inner);
        Set<String> uses = new HashSet<>(Set.of("caller", "varargs", "kwargs"));
        uses.retainAll(tokens.subList(begin, at).stream().map(Token::text).toList());
        uses.removeAll(parameters.keySet());
        return new MacroBody(name, inner, parameters, body, uses);
    }

    /** @param scope where it was defined, whose names it sees */
    record Macro(MacroBody macro, Scope scope) implements Function {
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
                throw TemplateException.failure(
                        "macro '" + macro.name() + "' takes not more than " + count + " arguments");
            }
            if (macro.uses().contains("kwargs")) {
                inner.set("kwargs", named);
            } else if (!named.isEmpty()) {
                throw TemplateException.failure("macro '" + macro.name() + "' takes no keyword argument '"
                        + named.keySet().iterator().next() + "'");
            }
            return text(macro.body(), inner);
        }

        @Override
        public String toString() {
            return "<Macro '" + macro.name() + "'>";
        }
    }

    /** A name, an attribute of a namespace, or several of them. */
    private Target target(String end, boolean withNamespace) {
        List<Target> all = new ArrayList<>();
        boolean single = true;
        do {
            if (!all.isEmpty() && (is(end) || is(")") || token().kind() == Kind.TAG_END)) {
                break;
            }
            all.add(skip("(") ? nested(() -> inBrackets(withNamespace)) : nameTarget(withNamespace));
            single &= !is(",");
        } while (skip(","));
        if (single) {
            return all.get(0);
        }
        List<String> names = all.stream().flatMap(t -> t.names().stream()).toList();
        return new Target(names, (scope, value) -> unpack(all, scope, value));
    }

    private Target inBrackets(boolean withNamespace) {
        Target target = target(")", withNamespace);
        expect(")");
        return target;
    }

    private Target nameTarget(boolean withNamespace) {
        String name = expect(Kind.NAME).text();
        if (Set.of("true", "True", "false", "False", "none", "None").contains(name)) {
            throw failure("can't assign to '" + name + "'");
        }
        if (!withNamespace || !skip(".")) {
            return new Target(List.of(name), (scope, value) -> scope.set(name, value));
        }
        frame.names.add(name);
        String attribute = expect(Kind.NAME).text();
        return new Target(List.of(), (scope, value) -> {
            if (!(scope.get(name) instanceof Namespace namespace)) {
                throw TemplateException.failure("cannot assign attribute on non-namespace object");
            }
            scope.budget().step(1);
            namespace.attributes().put(attribute, value);
        });
    }

    private static void unpack(List<Target> targets, Scope scope, Object value) {
        List<Object> values = Values.list(scope.budget(), value);
        if (values.size() != targets.size()) {
            throw TemplateException.failure(
                    "cannot unpack " + values.size() + " values into " + targets.size() + " names");
        }
        for (int i = 0; i < values.size(); i++) {
            targets.get(i).set(scope, values.get(i));
        }
    }

    // ---- expressions, from those that bind least

    private Expression expression() {
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
    private Expression conditional() {
        Expression value = or();
        for (int count = 0; skip("if"); count++) {
            if (count == MAX_DEPTH) {
                throw failure("more than " + MAX_DEPTH + " conditions follow each other");
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

    private Expression or() {
        return either(separated("or", this::and), true);
    }

    private Expression and() {
        return either(separated("and", this::not), false);
    }

    private List<Expression> separated(String separator, Supplier<Expression> parse) {
        List<Expression> all = new ArrayList<>();
        do {
            all.add(parse.get());
        } while (skip(separator));
        return all;
    }

    /** The first value that is true, or that is false; else the last one. */
    private static Expression either(List<Expression> all, boolean wanted) {
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

    private Expression not() {
        if (!skip("not")) {
            return comparison();
        }
        Expression value = nested(this::not);
        return scope -> !Values.isTrue(value.eval(scope));
    }

    /** {@code a < b < c}: each with its neighbour */
    private Expression comparison() {
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

    private Expression sum() {
        return leftToRight(Set.of("+", "-"), this::concatenation);
    }

    private Expression concatenation() {
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

    private Expression product() {
        return leftToRight(Set.of("*", "/", "//", "%"), () -> leftToRight(Set.of("**"), () -> unary(true)));
    }

    private Expression leftToRight(Set<String> which, Supplier<Expression> parse) {
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
    private interface Step {
        Object apply(Scope scope, Object value);
    }

    private record CallStep(Call arguments) implements Step {
        @Override
        public Object apply(Scope scope, Object function) {
            return Operators.call(scope, function, arguments.eval(scope));
        }
    }

    private record Chain(Expression first, List<Step> steps) implements Expression {
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

    private static Object applied(List<Step> steps, Scope scope, Object value) {
        for (Step step : steps) {
            scope.budget().step(1);
            value = step.apply(scope, value);
        }
        return value;
    }

    private Expression unary(boolean withFilters) {
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

    private void postfixes(List<Step> steps) {
        while (is(".") || is("[") || is("(")) {
            steps.add(skip(".") ? attribute() : skip("[") ? subscript() : call());
        }
    }

    private Step attribute() {
        if (token().kind() == Kind.NUMBER && token().value() instanceof Long index) {
            next();
            return (scope, value) -> scope.strict(Operators.item(scope.budget(), value, index));
        }
        String name = expect(Kind.NAME).text();
        return (scope, value) -> scope.strict(Operators.attribute(value, name));
    }

    private Step subscript() {
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

    private static Object orNone(Expression expression, Scope scope) {
        return expression == null ? null : expression.eval(scope);
    }

    private List<Step> filters() {
        List<Step> filters = new ArrayList<>();
        while (skip("|")) {
            filters.add(filter());
        }
        return filters;
    }

    private Step filter() {
        String name = expect(Kind.NAME).text();
        Call arguments = is("(") ? call().arguments() : Call.NONE;
        return (scope, value) -> Filters.apply(scope, name, value, arguments.eval(scope));
    }

    private Step test() {
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

    private CallStep call() {
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

    private Expression primary() {
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

    private Expression name(String name) {
        switch (name) {
            case "true", "True":
                return scope -> true;
            case "false", "False":
                return scope -> false;
            case "none", "None":
                return scope -> null;
            default:
                frame.names.add(name);
                return scope -> scope.get(name);
        }
    }

    /**
     * An expression, or several with commas between or after them.
     *
     * @param end what may follow a comma beside the end of a tag or bracket; a bracket: it was opened, so nothing may follow
     */
    private Expression tuple(boolean withConditions, String end) {
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

    private static List<Object> values(List<Expression> all, Scope scope) {
        List<Object> values = new ArrayList<>(all.size());
        scope.budget().items(all.size());
        all.forEach(expression -> values.add(expression.eval(scope)));
        return values;
    }

    private Expression list() {
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

    private Expression dict() {
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
