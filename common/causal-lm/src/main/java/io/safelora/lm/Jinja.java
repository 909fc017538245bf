package io.safelora.lm;

import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.LegacyOverrides;
import com.hubspot.jinjava.el.JinjavaInterpreterResolver;
import com.hubspot.jinjava.interpret.Context;
import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.filter.Filter;
import com.hubspot.jinjava.lib.fn.ELFunctionDefinition;
import com.hubspot.jinjava.lib.tag.ForTag;
import com.hubspot.jinjava.lib.tag.Tag;
import com.hubspot.jinjava.tree.Node;
import com.hubspot.jinjava.tree.TagNode;
import com.hubspot.jinjava.tree.TextNode;
import com.hubspot.jinjava.tree.parse.TagToken;
import com.hubspot.jinjava.util.ForLoop;
import com.hubspot.jinjava.util.ObjectIterator;
import com.hubspot.jinjava.util.ObjectTruthValue;
import io.safelora.artifacts.InvalidArtifactException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import jinjava.javax.el.CompositeELResolver;
import org.apache.commons.lang3.tuple.Pair;

/** Jinja as transformers' sandbox offers it to chat templates, by Jinjava, bounded in time, depth, memory and output. */
final class Jinja {
    static final long MAX_SECONDS = 2;
    static final int MAX_OUTPUT = 1_000_000;
    private static final int MAX_EXPRESSION = 10_000;
    private static final int MAX_NESTING = 50;
    /** Elements of lists and maps, and hundreds of characters, that all variables together may hold. */
    private static final int MAX_VALUES = 20_000;

    /** Those of Jinja. Jinjava has more, which would read files, or make as much text as a number says. */
    private static final Set<String> FILTERS = Set.of(
            "abs",
            "capitalize",
            "count",
            "d",
            "default",
            "dictsort",
            "e",
            "escape",
            "first",
            "float",
            "groupby",
            "int",
            "join",
            "last",
            "length",
            "list",
            "lower",
            "map",
            "max",
            "min",
            "reject",
            "rejectattr",
            "replace",
            "reverse",
            "safe",
            "select",
            "selectattr",
            "sort",
            "string",
            "sum",
            "title",
            "tojson",
            "trim",
            "unique",
            "upper",
            "urlencode",
            "wordcount");

    private static final Set<String> TAGS = Set.of(
            "autoescape",
            "block",
            "break",
            "call",
            "continue",
            "do",
            "for",
            "if",
            "elif",
            "else",
            "endautoescape",
            "endblock",
            "endcall",
            "endfor",
            "endif",
            "endmacro",
            "endraw",
            "endset",
            "endwith",
            "macro",
            "raw",
            "set",
            "with");
    private static final Set<String> FUNCTIONS = Set.of("namespace", ":namespace", "range", ":range");
    private static final Map<Context.Library, Set<String>> DISABLED = disabled();

    /** Where Jinjava by default is not as Jinja. */
    private static final LegacyOverrides AS_JINJA = LegacyOverrides.newBuilder()
            .withEvaluateMapKeys(true)
            .withIterateOverMapKeys(true)
            .build();

    private Jinja() {}

    private static Map<Context.Library, Set<String>> disabled() {
        Context all = new Jinjava().getGlobalContext();
        return Map.of(
                Context.Library.FILTER, without(all.getAllFilters(), Filter::getName, FILTERS),
                Context.Library.TAG, without(all.getAllTags(), Tag::getName, TAGS),
                Context.Library.FUNCTION, without(all.getAllFunctions(), ELFunctionDefinition::getName, FUNCTIONS));
    }

    private static <T> Set<String> without(Collection<T> all, Function<T, String> name, Set<String> allowed) {
        return all.stream().map(name).filter(n -> !allowed.contains(n)).collect(Collectors.toSet());
    }

    /** For one rendering: its time runs from now on. */
    static Jinjava engine() {
        CompositeELResolver resolver = new CompositeELResolver();
        resolver.add(new PythonMethods());
        resolver.add(JinjavaInterpreterResolver.DEFAULT_RESOLVER_READ_ONLY);
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(MAX_SECONDS);
        Jinjava jinjava = new Jinjava(JinjavaConfig.newBuilder()
                .withMaxOutputSize(MAX_OUTPUT)
                .withMaxStringLength(MAX_OUTPUT)
                .withMaxListSize(100_000)
                .withMaxMapSize(10_000)
                .withMaxRenderDepth(20)
                .withNestedInterpretationEnabled(false) // messages are data, never templates
                .withElResolver(resolver)
                .withLegacyOverrides(AS_JINJA)
                .withDisabled(DISABLED)
                .withNodePreProcessor((node, interpreter) -> check(node, interpreter, deadline))
                .build());
        jinjava.getGlobalContext().registerTag(new For());
        jinjava.getGlobalContext()
                .registerFunction(new ELFunctionDefinition("", "raise_exception", Jinja.class, "raise", String.class));
        return jinjava;
    }

    /**
     * Called before every node, in whatever loops and macros. Between two calls one expression runs: it is held by what it can
     * say and by what it can say it of, so that lists of lists of lists, each short, never become long.
     */
    private static void check(Node node, JinjavaInterpreter interpreter, long deadline) {
        if (System.nanoTime() > deadline) {
            throw tooLong();
        }
        String image = node.getMaster().getImage();
        if (!(node instanceof TextNode) && (image.length() > MAX_EXPRESSION || nesting(image) > MAX_NESTING)) {
            throw new InvalidArtifactException("the model's chat template fails: the expression in line "
                    + node.getLineNumber() + " is longer than " + MAX_EXPRESSION + " characters, or nested deeper than "
                    + MAX_NESTING + " brackets");
        }
        int left = MAX_VALUES;
        for (Context scope = interpreter.getContext(); scope != null; scope = scope.getParent()) {
            for (Object value : scope.getScope().values()) {
                left = without(value, left, 0);
                if (left < 0) {
                    throw new InvalidArtifactException("the model's chat template fails: by line "
                            + node.getLineNumber() + " its variables, the conversation included, hold too much");
                }
            }
        }
    }

    private static int nesting(String image) {
        int depth = 0;
        int deepest = 0;
        for (int i = 0; i < image.length(); i++) {
            char c = image.charAt(i);
            depth += c == '(' || c == '[' || c == '{' ? 1 : c == ')' || c == ']' || c == '}' ? -1 : 0;
            deepest = Math.max(deepest, depth);
        }
        return deepest;
    }

    /** What a value leaves of so many values; below 0: it has more. One that stands in two places counts twice. */
    private static int without(Object value, int left, int depth) {
        left -= value instanceof CharSequence text ? 1 + text.length() / 100 : 1;
        Collection<?> inner =
                value instanceof Map<?, ?> map ? map.values() : value instanceof Collection<?> list ? list : List.of();
        for (Object item : inner) {
            if (left < 0 || depth == MAX_NESTING) {
                return -1;
            }
            left = without(item, left, depth + 1);
        }
        return left;
    }

    /** {@code for x in xs if condition}, which Jinjava would run without the condition. */
    private static final class For extends ForTag {
        @Override
        public Pair<List<String>, String> getLoopVarsAndExpression(TagToken token) {
            Pair<List<String>, String> all = super.getLoopVarsAndExpression(token);
            return Pair.of(all.getLeft(), parts(all.getRight())[0]);
        }

        @Override
        public String renderForCollection(
                TagNode node, JinjavaInterpreter interpreter, List<String> variables, Object collection) {
            if (node.getChildren().stream().anyMatch(child -> "else".equals(child.getName()))) {
                throw new InvalidArtifactException("the model's chat template fails: for with else, in line "
                        + node.getLineNumber() + ", is not known here");
            }
            String[] parts = parts(
                    super.getLoopVarsAndExpression((TagToken) node.getMaster()).getRight());
            if (parts.length == 1) {
                return super.renderForCollection(node, interpreter, variables, collection);
            }
            if (variables.size() != 1) {
                throw new InvalidArtifactException(
                        "the model's chat template fails: for with if and several variables, in line "
                                + node.getLineNumber() + ", is not known here");
            }
            List<Object> chosen = new ArrayList<>();
            try (var scope = interpreter.enterScope()) {
                for (ForLoop loop = ObjectIterator.getLoop(collection); loop.hasNext(); ) {
                    Object value = interpreter.wrap(loop.next());
                    interpreter.getContext().put(variables.get(0), value);
                    if (ObjectTruthValue.evaluate(interpreter.resolveELExpression(parts[1], node.getLineNumber()))) {
                        chosen.add(value);
                    }
                }
            }
            return super.renderForCollection(node, interpreter, variables, chosen);
        }

        /** What is looped over and, if there is one, the condition: after an "if" outside of brackets and strings. */
        private static String[] parts(String expression) {
            Matcher token = Pattern.compile("'[^']*+'|\"[^\"]*+\"|[(\\[{]|[)\\]}]|\\sif\\s")
                    .matcher(expression);
            int depth = 0;
            while (token.find()) {
                char first = token.group().charAt(0);
                if ("([{".indexOf(first) >= 0) {
                    depth++;
                } else if (")]}".indexOf(first) >= 0) {
                    depth--;
                } else if (depth == 0 && Character.isWhitespace(first)) {
                    return new String[] {expression.substring(0, token.start()), expression.substring(token.end())};
                }
            }
            return new String[] {expression};
        }
    }

    static InvalidArtifactException tooLong() {
        return new InvalidArtifactException(
                "the model's chat template fails: it takes longer than " + MAX_SECONDS + " s");
    }

    /** Called by templates that refuse a conversation. */
    public static String raise(String message) {
        throw new InvalidArtifactException("the model's chat template refuses the conversation: " + message);
    }
}
