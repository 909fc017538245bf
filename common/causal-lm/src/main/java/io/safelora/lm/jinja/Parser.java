package io.safelora.lm.jinja;

import io.safelora.lm.jinja.Lexer.Kind;
import io.safelora.lm.jinja.Lexer.Token;
import io.safelora.lm.jinja.Statement.Flow;
import io.safelora.lm.jinja.Values.Arguments;
import io.safelora.lm.jinja.Values.Namespace;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Jinja's grammar, by recursive descent, as jinja2.parser has it. What is parsed becomes a function at once: an
 * expression gives a value in a scope, a statement writes text.
 */
final class Parser extends ExpressionParser {
    private int loops;

    private Parser(List<Token> tokens) {
        super(tokens);
    }

    static Statement parse(String source, Template.Settings settings) {
        Parser parser = new Parser(Lexer.tokens(source, settings));
        Frame root = parser.frame();
        Statement body = parser.statements();
        parser.frames.forEach(Frame::resolve);
        return (scope, out) -> {
            scope.begin(root);
            return body.run(scope, out);
        };
    }

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
            bodies.add(conditionally(() -> statements("elif", "else", "endif")));
        } while (skip("elif"));
        if (next().is("else")) {
            tests.add(scope -> true);
            bodies.add(conditionally(() -> body("endif")));
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
            target.set(scope, applied(filters, scope, body.text(scope.inner(inner))));
            return Flow.NEXT;
        };
    }

    private Statement filterTag() {
        List<Step> filters = new ArrayList<>(List.of(filter()));
        filters.addAll(filters());
        Frame inner = newFrame();
        Statement body = separateBody("endfilter", inner);
        return (scope, out) -> write(
                scope, out, Values.string(scope.budget(), applied(filters, scope, body.text(scope.inner(inner)))));
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
            String text = body.text(scope.inner(inner));
            scope.rendering().generated(out, text.length());
            return write(scope, out, text);
        };
    }

    private Statement macroTag() {
        String name = expect(Kind.NAME).text();
        setsName(name);
        expect("(");
        Frame inner = newFrame();
        Macro.Body macro = macroBody(name, inner, signature(inner), "endmacro");
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
        Macro.Body caller = macroBody("caller", inner, parameters, "endcall");
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

    private Macro.Body macroBody(String name, Frame inner, Map<String, Expression> parameters, String end) {
        int begin = at;
        Statement body = separateBody(end, inner);
        Set<String> uses = new HashSet<>(Set.of("caller", "varargs", "kwargs"));
        uses.retainAll(tokens.subList(begin, at).stream().map(Token::text).toList());
        uses.removeAll(parameters.keySet());
        return new Macro.Body(name, inner, parameters, body, uses);
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
        return Target.of(all);
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
        frame().names.add(name);
        String attribute = expect(Kind.NAME).text();
        return new Target(List.of(), (scope, value) -> {
            if (!(scope.get(name) instanceof Namespace namespace)) {
                throw TemplateException.failure("cannot assign attribute on non-namespace object");
            }
            scope.budget().step(1);
            namespace.attributes().put(attribute, value);
        });
    }
}
