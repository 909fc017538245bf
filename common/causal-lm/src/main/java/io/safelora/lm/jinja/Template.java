package io.safelora.lm.jinja;

import io.safelora.lm.jinja.Values.Function;
import io.safelora.lm.jinja.Values.Namespace;
import io.safelora.lm.jinja.Values.Range;
import java.time.Clock;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A Jinja template as transformers renders chat templates: by Jinja 3's sandbox, with trim_blocks, lstrip_blocks,
 * break, continue, {@code {% generation %}}, tojson, raise_exception and strftime_now. Or with the settings of
 * lm-evaluation-harness's tasks.
 *
 * <p>An interpreter of its own, because a chat template's text is what a model was trained on, to the last blank, and
 * what there is for Java does not give it: Jinjava, the most complete one, differed from transformers in 4728 of 16016
 * renderings of 77 models' templates (printed values, loops, scopes, undefined names), and its expressions cannot be
 * bounded by counted steps.
 *
 * <p>{@link Lexer} makes tokens, {@link Parser} makes of them functions that write a {@link Scope}'s values. What the
 * values are and do is Python's: {@link Values}, {@link Operators}, {@link Methods}; {@link Filters} and {@link Tests}
 * are Jinja's. Left out, and refused where a template asks for them: template inheritance and inclusion, automatic
 * escaping, filters for web pages, integers of more than 64 bits.
 */
public final class Template {
    private static final Map<String, Object> GLOBALS = Map.of(
            "raise_exception",
            (Function) (scope, arguments) -> {
                throw TemplateException.refusal(Values.string(scope.budget(), arguments.single("raise_exception")));
            },
            "strftime_now",
            (Function) (scope, arguments) -> Strftime.format(
                    scope.budget(),
                    LocalDateTime.now(scope.rendering().clock()),
                    Values.string(scope.budget(), arguments.single("strftime_now"))),
            "namespace",
            (Function) (scope, arguments) -> new Namespace(dict(scope, arguments)),
            "dict",
            (Function) (scope, arguments) -> dict(scope, arguments),
            "range",
            (Function) (scope, arguments) -> {
                List<Object> given = new ArrayList<>(
                        arguments.as("range", "start", "stop", "step").values());
                if (given.isEmpty()) {
                    throw TemplateException.failure("range misses an argument");
                }
                long first = Methods.integer(given.get(0));
                return new Range(
                        given.size() == 1 ? 0 : first,
                        given.size() == 1 ? first : Methods.integer(given.get(1)),
                        given.size() < 3 ? 1 : Methods.integer(given.get(2)));
            });

    private final Statement body;
    private final Settings settings;

    private Template(Statement body, Settings settings) {
        this.body = body;
        this.settings = settings;
    }

    /**
     * How Jinja's environment is set.
     *
     * @param trimBlocks Jinja's trim_blocks and lstrip_blocks
     * @param keepTrailingNewline whether a line break at the template's end is part of its text
     * @param strictUndefined whether a name that is not there may be asked for by {@code is defined} and {@code
     *     default} alone; else it prints as nothing and is false
     */
    public record Settings(boolean trimBlocks, boolean keepTrailingNewline, boolean strictUndefined) {
        /** Those of transformers' chat templates. */
        public static final Settings CHAT = new Settings(true, false, false);

        /** Those of lm-evaluation-harness's tasks. */
        public static final Settings TASK = new Settings(false, true, true);
    }

    /** Characters of a text: its chars (UTF-16) from {@code begin} to before {@code end}. */
    public record Span(int begin, int end) {}

    /**
     * What a template gives.
     *
     * @param generated where the text of each {@code {% generation %}} block stands; null: at least one stands in a
     *     macro, a call, a set or another such block, so that its place is not known
     */
    public record Output(String text, List<Span> generated) {}

    /**
     * Parses a chat template.
     *
     * @throws TemplateException if that is not a template
     */
    public static Template parse(String source) {
        return parse(source, Settings.CHAT);
    }

    /** @throws TemplateException if that is not a template */
    public static Template parse(String source, Settings settings) {
        return new Template(Parser.parse(source, settings), settings);
    }

    /**
     * Renders it.
     *
     * @param variables values of null, Boolean, Long, BigInteger, Double, String, List and Map, which do not change
     * @throws TemplateException if the template fails, refuses what it is given, or breaks a bound
     */
    public Output render(Map<String, Object> variables, Clock clock) {
        Map<String, Object> names = new HashMap<>(GLOBALS);
        names.putAll(variables);
        Budget budget = new Budget();
        Scope.Rendering rendering =
                new Scope.Rendering(budget, clock, new StringBuilder(), new ArrayList<>(), settings.strictUndefined());
        try {
            body.run(Scope.of(rendering, names), rendering.out());
        } catch (TemplateException e) {
            throw e.isRefusal() ? e : TemplateException.failure(e.getMessage() + " (line " + budget.line() + ")");
        }
        return new Output(
                rendering.out().toString(), rendering.generated().contains(null) ? null : rendering.generated());
    }

    private static Map<Object, Object> dict(Scope scope, Values.Arguments arguments) {
        Map<Object, Object> all = new LinkedHashMap<>();
        for (Object given : arguments.positional()) {
            if (!(given instanceof Map<?, ?> map) || arguments.positional().size() > 1) {
                throw TemplateException.failure("a dict is made of one dict and of named values");
            }
            all.putAll(map);
        }
        all.putAll(arguments.named());
        scope.budget().items(all.size());
        return all;
    }
}
