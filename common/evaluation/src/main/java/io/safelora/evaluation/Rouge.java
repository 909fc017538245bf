package io.safelora.evaluation;

import io.safelora.contract.InvalidInputException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * ROUGE (Lin 2004, ROUGE: A Package for Automatic Evaluation of Summaries) of an answer against the target, from 0 to
 * 1: the F1 of precision and recall over n-grams, or over the longest common subsequence. As Google's rouge_score 0.1.2
 * without stemming, which lm-evaluation-harness uses: words are runs of a-z and 0-9 in lower case, so that texts in
 * other scripts have none.
 *
 * @param n of the n-grams; 0: the longest common subsequence, ROUGE-L
 */
record Rouge(int n) implements Metric.OfAnswer {
    private static final Pattern NO_WORD = Pattern.compile("[^a-z0-9]+");

    /** The longest common subsequence takes the product of both lengths in steps. */
    private static final int MAX_WORDS = 20_000;

    @Override
    public boolean isShare() {
        return false;
    }

    @Override
    public boolean higherIsBetter() {
        return true;
    }

    @Override
    public double of(String answer, String target) {
        String[] said = words(answer);
        String[] right = words(target);
        if (Math.max(said.length, right.length) > MAX_WORDS) {
            throw new InvalidInputException(
                    "rouge is of texts of at most " + MAX_WORDS + " words; shorten the targets or take those rows out");
        }
        if (n == 0) {
            return f1(common(said, right), said.length, right.length);
        }
        Map<List<String>, Integer> ofAnswer = grams(said);
        Map<List<String>, Integer> ofTarget = grams(right);
        int both = ofAnswer.entrySet().stream()
                .mapToInt(gram -> Math.min(gram.getValue(), ofTarget.getOrDefault(gram.getKey(), 0)))
                .sum();
        return f1(both, Math.max(said.length - n + 1, 0), Math.max(right.length - n + 1, 0));
    }

    private static String[] words(String text) {
        return Arrays.stream(NO_WORD.split(text.toLowerCase(Locale.ROOT)))
                .filter(word -> !word.isEmpty())
                .toArray(String[]::new);
    }

    private Map<List<String>, Integer> grams(String[] words) {
        Map<List<String>, Integer> grams = new HashMap<>();
        for (int i = 0; i + n <= words.length; i++) {
            grams.merge(List.of(Arrays.copyOfRange(words, i, i + n)), 1, Integer::sum);
        }
        return grams;
    }

    /** The length of the longest common subsequence. */
    private static int common(String[] a, String[] b) {
        int[] above = new int[b.length + 1];
        for (String word : a) {
            int[] row = new int[b.length + 1];
            for (int j = 0; j < b.length; j++) {
                row[j + 1] = word.equals(b[j]) ? above[j] + 1 : Math.max(above[j + 1], row[j]);
            }
            above = row;
        }
        return above[b.length];
    }

    private static double f1(int both, int said, int right) {
        return both == 0 ? 0 : 2.0 * both / (said + right);
    }
}
