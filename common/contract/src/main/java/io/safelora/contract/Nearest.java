package io.safelora.contract;

import java.util.Collection;
import java.util.Comparator;
import java.util.Locale;
import java.util.Optional;

/** The name that somebody meant who mistyped it. */
public final class Nearest {
    private static final int MAX_CHARS = 60;

    private Nearest() {}

    /** For the end of a message: "; did you mean learning_rate?", or nothing if no name is near. */
    public static String hint(String typed, Collection<String> names) {
        return of(typed, names).map(name -> "; did you mean " + name + "?").orElse("");
    }

    /**
     * The nearest of {@code names}: at most a third of its characters are wrong, missing, too many, or in the wrong
     * order.
     */
    public static Optional<String> of(String typed, Collection<String> names) {
        String word = plain(typed);
        return word.isEmpty() || word.length() > MAX_CHARS
                ? Optional.empty()
                : names.stream()
                        .filter(name ->
                                !name.equals(typed) && distance(word, plain(name)) <= Math.max(1, name.length() / 3))
                        .min(Comparator.comparingInt(name -> distance(word, plain(name))));
    }

    private static String plain(String text) {
        return text.toLowerCase(Locale.ROOT).replace('-', '_');
    }

    /** Optimal string alignment: insertions, deletions, substitutions, and neighbours that changed places. */
    private static int distance(String a, String b) {
        int[][] d = new int[a.length() + 1][b.length() + 1];
        for (int i = 0; i <= a.length(); i++) {
            for (int j = 0; j <= b.length(); j++) {
                if (i == 0 || j == 0) {
                    d[i][j] = i + j;
                    continue;
                }
                boolean same = a.charAt(i - 1) == b.charAt(j - 1);
                d[i][j] = Math.min(Math.min(d[i - 1][j], d[i][j - 1]) + 1, d[i - 1][j - 1] + (same ? 0 : 1));
                if (i > 1 && j > 1 && a.charAt(i - 1) == b.charAt(j - 2) && a.charAt(i - 2) == b.charAt(j - 1)) {
                    d[i][j] = Math.min(d[i][j], d[i - 2][j - 2] + 1);
                }
            }
        }
        return d[a.length()][b.length()];
    }
}
