package io.safelora.evaluation;

import io.safelora.artifacts.checkpoint.BoundedText;
import io.safelora.contract.InvalidInputException;
import io.safelora.contract.InvalidJobException;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * A regular expression of Python's {@code re}, as task files have them: {@code $} and {@code .} know no line break but
 * {@code \n}, {@code \d}, {@code \w} and {@code \s} are Unicode's. It may come from a stranger and looks at what a
 * model wrote, so its work is bounded, by counted steps.
 */
final class PythonRegex {
    /**
     * Characters looked at for one text: some seconds. A quadratic expression gets through a long answer, an
     * exponential one does not.
     */
    private static final long MAX_READS = 1L << 28;

    private static final int FLAGS = Pattern.UNIX_LINES | Pattern.UNICODE_CHARACTER_CLASS;

    private final String source;
    private final Pattern pattern;

    private PythonRegex(String source, Pattern pattern) {
        this.source = source;
        this.pattern = pattern;
    }

    /** @throws InvalidJobException if it is not one, or uses what Java's expressions lack */
    static PythonRegex of(String source) {
        try {
            return new PythonRegex(source, Pattern.compile(java(source), FLAGS));
        } catch (PatternSyntaxException e) {
            throw new InvalidJobException("\"" + source + "\" is not a regular expression: " + e.getDescription()
                    + " near character " + (e.getIndex() + 1));
        } catch (StackOverflowError e) {
            throw new InvalidJobException("\"" + source + "\": the regular expression nests too deeply");
        }
    }

    /**
     * Python's {@code findall}: of every match the whole text if the expression has no groups, else the groups' texts,
     * empty where one took no part.
     */
    List<List<String>> findAll(String text) {
        return bounded(text, matcher -> {
            List<List<String>> matches = new ArrayList<>();
            while (matcher.find()) {
                List<String> groups = new ArrayList<>();
                for (int i = Math.min(1, matcher.groupCount()); i <= matcher.groupCount(); i++) {
                    groups.add(matcher.group(i) == null ? "" : matcher.group(i));
                }
                matches.add(groups);
            }
            return matches;
        });
    }

    /** Python's {@code sub} by nothing. */
    String cutFrom(String text) {
        return bounded(text, matcher -> matcher.replaceAll(""));
    }

    private interface Work<T> {
        T on(Matcher matcher);
    }

    private <T> T bounded(String text, Work<T> work) {
        try {
            return work.on(pattern.matcher(new BoundedText(text, MAX_READS)));
        } catch (BoundedText.Exhausted | StackOverflowError e) {
            throw new InvalidInputException("the regular expression \"" + source + "\" takes too long on an answer of "
                    + text.length() + " characters; write it without repetitions inside of repetitions");
        }
    }

    /** Where Java's syntax differs: named groups, the end of a text, brackets and ampersands in a class. */
    private static String java(String source) {
        // Where this finds nothing, it finds nothing further on either; without \G each place would be tried, in
        // quadratic time.
        StringBuilder java = new StringBuilder(source.startsWith("(?s).*") ? "\\G" : "");
        boolean inClass = false;
        int classBegan = 0;
        for (int i = 0; i < source.length(); i++) {
            char c = source.charAt(i);
            if (c == '\\' && i + 1 < source.length()) {
                char escaped = source.charAt(++i);
                java.append('\\').append(escaped == 'Z' ? 'z' : escaped);
            } else if (inClass) {
                boolean first = i == classBegan + 1 || i == classBegan + 2 && source.charAt(i - 1) == '^';
                inClass = c != ']' || first;
                java.append(c == '[' || c == '&' || c == ']' && first ? "\\" : "")
                        .append(c);
            } else if (source.startsWith("(?P<", i) && source.indexOf('>', i) > 0) {
                java.append('(');
                i = source.indexOf('>', i);
            } else {
                inClass = c == '[';
                classBegan = i;
                java.append(c);
            }
        }
        return java.toString();
    }
}
