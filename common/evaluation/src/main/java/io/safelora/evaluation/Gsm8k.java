package io.safelora.evaluation;

import io.safelora.contract.EvaluationTask.FewshotSampler;
import io.safelora.lm.ChatTemplate.Message;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * lm-evaluation-harness 0.4.13's task gsm8k (version 3): its prompt, few-shot sampler, stop words, both filters and its
 * exact match. GSM8K is Cobbe et al. 2021, arXiv 2110.14168.
 */
final class Gsm8k {
    /** The harness's {@code until}. */
    static final List<String> STOP = List.of("Question:", "</s>", "<|im_end|>");

    static final String STRICT = "strict-match";
    static final String FLEXIBLE = "flexible-extract";
    private static final String INVALID = "[invalid]";
    private static final long FEWSHOT_SEED = 1234;
    private static final Pattern STRICT_PATTERN = Pattern.compile("#### (-?[0-9.,]+)");
    private static final Pattern FLEXIBLE_PATTERN = Pattern.compile("(-?[$0-9.,]{2,})|(-?[0-9]+)");

    /** What a filter's number is once it is normalized. */
    private static final Pattern NUMBER = Pattern.compile("-?[0-9.]*[0-9][0-9.]*");

    private Gsm8k() {}

    /** A word problem and its solution, which ends in {@code #### n}. */
    record Problem(String question, String answer) {}

    /**
     * The prompts of all problems. With the default sampler every problem gets other examples, drawn one problem after
     * another, so the prompt of the tenth depends on the nine before.
     */
    static List<Prompt> prompts(
            List<Problem> problems, List<Problem> examples, int numFewshot, FewshotSampler sampler) {
        PythonRandom random = new PythonRandom(FEWSHOT_SEED);
        List<Prompt> prompts = new ArrayList<>();
        for (Problem problem : problems) {
            List<Message> shots = new ArrayList<>();
            if (numFewshot > 0) {
                List<Problem> drawn = sampler == FewshotSampler.first_n
                        ? examples.subList(0, numFewshot)
                        : random.sample(examples, numFewshot);
                drawn.forEach(example -> shots.addAll(Prompt.example(question(example), example.answer())));
            }
            prompts.add(Prompt.of(question(problem)).after(shots));
        }
        return prompts;
    }

    static String question(Problem problem) {
        return "Question: " + problem.question() + "\nAnswer:";
    }

    /** What the model said, up to the first stop word. */
    static String untilStop(String response) {
        for (String stop : STOP) {
            int at = response.indexOf(stop);
            response = at < 0 ? response : response.substring(0, at);
        }
        return response;
    }

    /** The number after the first {@code ####}. */
    static String strict(String response) {
        Matcher matcher = STRICT_PATTERN.matcher(response);
        return matcher.find() ? matcher.group(1).strip() : INVALID;
    }

    /** The last number of all. */
    static String flexible(String response) {
        Matcher matcher = FLEXIBLE_PATTERN.matcher(response);
        String last = INVALID;
        while (matcher.find()) {
            last = matcher.group(1) != null && !matcher.group(1).isEmpty() ? matcher.group(1) : matcher.group(2);
        }
        return last.strip();
    }

    /** Whether an extracted number is the solution's: commas, dollar signs, the rationale and a final dot are ignored. */
    static boolean matches(String extracted, String answer) {
        return normalized(extracted).equals(normalized(answer));
    }

    /** Whether an extracted number can be the solution's: the answer, or what follows its last {@code ####}, is one. */
    static boolean isNumber(String answer) {
        return NUMBER.matcher(normalized(answer)).matches();
    }

    private static String normalized(String text) {
        return text.replace(",", "")
                .replace("$", "")
                .replaceAll("(?s).*#### ", "")
                // Python's $: at the end, or before the last line feed.
                .replaceAll("\\.(?=\n?\\z)", "")
                .toLowerCase(java.util.Locale.ROOT);
    }
}
