package io.safelora.lm;

import com.hubspot.jinjava.lib.exptest.ExpTest;
import com.hubspot.jinjava.lib.filter.Filter;
import io.safelora.artifacts.InvalidArtifactException;
import java.beans.FeatureDescriptor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.StringJoiner;
import java.util.function.IntPredicate;
import jinjava.javax.el.ELContext;
import jinjava.javax.el.ELResolver;

/**
 * The methods that a chat template may call: those of Python's str that templates use, and those of dict and list. Jinjava
 * alone would call Java's: other ones, by other names, and some that take all memory.
 */
final class PythonMethods extends ELResolver {
    private static final Set<String> OF_DICT = Set.of("items", "keys", "values", "get", "update", "pop", "copy");
    private static final Set<String> OF_LIST =
            Set.of("append", "extend", "insert", "pop", "remove", "index", "count", "copy", "reverse");

    @Override
    public Object invoke(ELContext context, Object base, Object method, Class<?>[] types, Object[] params) {
        if (base == null || base instanceof Filter || base instanceof ExpTest) {
            return null; // Jinja's own
        }
        String name = String.valueOf(method);
        if (base instanceof String text) {
            context.setPropertyResolved(true);
            return ofString(text, name, params == null ? List.of() : Arrays.asList(params));
        }
        if (base instanceof Map && OF_DICT.contains(name) || base instanceof List && OF_LIST.contains(name)) {
            return null;
        }
        throw new InvalidArtifactException(
                "the model's chat template fails: it calls " + name + " of a value that has none");
    }

    private static Object ofString(String text, String name, List<Object> given) {
        String first = given.isEmpty() || given.get(0) == null ? null : string(given.get(0));
        return switch (name) {
            case "strip" -> stripped(text, first, true, true);
            case "lstrip" -> stripped(text, first, true, false);
            case "rstrip" -> stripped(text, first, false, true);
            case "startswith" -> any(given, text::startsWith);
            case "endswith" -> any(given, text::endsWith);
            case "split" -> split(text, first, given.size() > 1 ? ((Number) given.get(1)).intValue() : -1);
            case "splitlines" -> new ArrayList<>(text.lines().toList());
            case "replace" -> join(split(text, need(name, first), -1), string(given.get(1)));
            case "removeprefix" -> text.startsWith(need(name, first)) ? text.substring(first.length()) : text;
            case "removesuffix" ->
                text.endsWith(need(name, first)) ? text.substring(0, text.length() - first.length()) : text;
            case "upper" -> text.toUpperCase(Locale.ROOT);
            case "lower" -> text.toLowerCase(Locale.ROOT);
            case "capitalize" ->
                text.isEmpty()
                        ? ""
                        : text.substring(0, 1).toUpperCase(Locale.ROOT)
                                + text.substring(1).toLowerCase(Locale.ROOT);
            case "title" -> title(text);
            case "join" -> join((Collection<?>) given.get(0), text);
            case "find" -> (long) text.indexOf(need(name, first));
            case "rfind" -> (long) text.lastIndexOf(need(name, first));
            case "count" -> (long) (split(text, need(name, first), -1).size() - 1);
            case "isdigit" -> all(text, Character::isDigit);
            case "isalpha" -> all(text, Character::isLetter);
            case "isspace" -> all(text, Character::isWhitespace);
            case "isupper" -> !text.equals(text.toLowerCase(Locale.ROOT)) && text.equals(text.toUpperCase(Locale.ROOT));
            case "islower" -> !text.equals(text.toUpperCase(Locale.ROOT)) && text.equals(text.toLowerCase(Locale.ROOT));
            default ->
                throw new InvalidArtifactException(
                        "the model's chat template fails: the string method " + name + " is not known here");
        };
    }

    private static String string(Object value) {
        return Objects.toString(value, "");
    }

    private static String join(Collection<?> parts, String separator) {
        StringJoiner joined = new StringJoiner(separator);
        for (Object part : parts) {
            if (joined.length() > Jinja.MAX_OUTPUT) {
                throw new InvalidArtifactException("the model's chat template fails: it makes a text longer than "
                        + Jinja.MAX_OUTPUT + " characters");
            }
            joined.add(string(part));
        }
        return joined.toString();
    }

    private static String need(String method, String argument) {
        if (argument == null || argument.isEmpty()) {
            throw new InvalidArtifactException("the model's chat template fails: " + method + " needs a text");
        }
        return argument;
    }

    private static boolean any(List<Object> given, java.util.function.Predicate<String> test) {
        Collection<?> options = given.get(0) instanceof Collection<?> tuple ? tuple : given.subList(0, 1);
        return options.stream().map(PythonMethods::string).anyMatch(test);
    }

    private static boolean all(String text, IntPredicate test) {
        return !text.isEmpty() && text.codePoints().allMatch(test);
    }

    /** Without the characters of {@code set} at its ends; null: white space. */
    private static String stripped(String text, String set, boolean left, boolean right) {
        int begin = 0;
        int end = text.length();
        while (left && begin < end && in(text.charAt(begin), set)) {
            begin++;
        }
        while (right && end > begin && in(text.charAt(end - 1), set)) {
            end--;
        }
        return text.substring(begin, end);
    }

    private static boolean in(char c, String set) {
        return set == null ? Character.isWhitespace(c) || Character.isSpaceChar(c) : set.indexOf(c) >= 0;
    }

    /** @param separator null: any white space, and no empty parts */
    private static List<Object> split(String text, String separator, int most) {
        List<Object> parts = new ArrayList<>();
        int begin = 0;
        if (separator == null) {
            int at = 0;
            while ((at = next(text, at, false)) < text.length()) {
                int end = parts.size() == most ? text.length() : next(text, at, true);
                parts.add(text.substring(at, end));
                at = end;
            }
            return parts;
        }
        for (int at; (most < 0 || parts.size() < most) && (at = text.indexOf(need("split", separator), begin)) >= 0; ) {
            parts.add(text.substring(begin, at));
            begin = at + separator.length();
        }
        parts.add(text.substring(begin));
        return parts;
    }

    /** The first character from {@code at} on that is white space, or that is none. */
    private static int next(String text, int at, boolean space) {
        while (at < text.length() && in(text.charAt(at), null) != space) {
            at++;
        }
        return at;
    }

    private static String title(String text) {
        StringBuilder title = new StringBuilder();
        boolean inside = false;
        for (char c : text.toCharArray()) {
            title.append(inside ? Character.toLowerCase(c) : Character.toTitleCase(c));
            inside = Character.isLetter(c);
        }
        return title.toString();
    }

    @Override
    public Object getValue(ELContext context, Object base, Object property) {
        return null;
    }

    @Override
    public Class<?> getType(ELContext context, Object base, Object property) {
        return null;
    }

    @Override
    public void setValue(ELContext context, Object base, Object property, Object value) {}

    @Override
    public boolean isReadOnly(ELContext context, Object base, Object property) {
        return true;
    }

    @Override
    public Iterator<FeatureDescriptor> getFeatureDescriptors(ELContext context, Object base) {
        return null;
    }

    @Override
    public Class<?> getCommonPropertyType(ELContext context, Object base) {
        return null;
    }
}
