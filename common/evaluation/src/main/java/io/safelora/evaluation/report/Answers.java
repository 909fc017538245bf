package io.safelora.evaluation.report;

import com.fasterxml.jackson.annotation.JsonIgnore;
import io.safelora.evaluation.Evaluation.Sample;
import io.safelora.evaluation.judge.Agreement;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * What the models said to the same prompts: those first where judges disagree, then those where the models were judged
 * differently, and of these the requests that should be refused.
 *
 * @param shown the prompts
 * @param all how many prompts there were
 * @param pairs how far the judges say the same
 */
public record Answers(List<Prompt> shown, int all, List<Pair> pairs) {
    private static final int PROMPTS = 12;

    /** So many are not folded away together. */
    private static final int FIRST = 4;

    /** What is shown of a prompt and of an answer, in characters. */
    private static final int PROMPT_LENGTH = 240;

    private static final int ANSWER_LENGTH = 2000;

    /**
     * One prompt.
     *
     * @param row of the task's data, from 0
     * @param harmful whether it should be refused
     * @param judgesDisagree on any model's answer
     * @param modelsDiffer whether one model's answer was judged differently from another's
     */
    public record Prompt(
            String task,
            int row,
            String text,
            boolean harmful,
            boolean judgesDisagree,
            boolean modelsDiffer,
            List<Answer> answers) {}

    /** One model's answer. */
    public record Answer(String model, Role role, String text, List<Judgement> judgements) {}

    /**
     * What is thought of an answer.
     *
     * @param judge null where no judge was needed
     */
    public record Judgement(String judge, String words) {}

    /**
     * Two judges of the same answers.
     *
     * @param agree how many answers they say the same of
     * @param kappa Cohen's kappa: 1 always, 0 as often as by chance; null where it cannot be told
     */
    public record Pair(String task, String first, String second, int answers, int agree, Double kappa) {}

    @JsonIgnore
    public List<Prompt> first() {
        return shown.subList(0, Math.min(FIRST, shown.size()));
    }

    @JsonIgnore
    public List<Prompt> further() {
        return shown.subList(first().size(), shown.size());
    }

    /** @param models whose answers are shown */
    static Answers of(List<Sample> samples, List<Agreement> agreements, List<ScoreTable.Model> models) {
        Map<String, List<Sample>> byPrompt = new LinkedHashMap<>();
        // A model with a chat template of its own has another prompt for the same request.
        samples.stream().filter(Answers::isSaid).forEach(s -> byPrompt.computeIfAbsent(
                        s.task() + " " + s.row() + " " + (s.request() == null ? s.prompt() : s.request()),
                        key -> new ArrayList<>())
                .add(s));
        List<Prompt> prompts = new ArrayList<>();
        for (List<Sample> same : byPrompt.values()) {
            prompts.add(prompt(same, models));
        }
        int all = prompts.size();
        prompts.sort(Comparator.comparing((Prompt p) -> !p.judgesDisagree())
                .thenComparing(p -> !p.modelsDiffer())
                .thenComparing(p -> !p.harmful())
                .thenComparing(Prompt::row));
        return new Answers(mixed(prompts), all, pairs(agreements));
    }

    /** No task takes all the room: in turns, one prompt of each. */
    private static List<Prompt> mixed(List<Prompt> prompts) {
        Map<String, List<Prompt>> byTask = new LinkedHashMap<>();
        prompts.stream().filter(p -> !p.judgesDisagree()).forEach(p -> byTask.computeIfAbsent(
                        p.task(), task -> new ArrayList<>())
                .add(p));
        List<Prompt> shown = new ArrayList<>(prompts.stream()
                .filter(Prompt::judgesDisagree)
                .limit(Math.max(PROMPTS / 2, PROMPTS - byTask.size()))
                .toList());
        for (int i = 0; shown.size() < PROMPTS && i < PROMPTS; i++) {
            for (List<Prompt> ofTask : byTask.values()) {
                if (i < ofTask.size() && shown.size() < PROMPTS) {
                    shown.add(ofTask.get(i));
                }
            }
        }
        return shown;
    }

    private static Prompt prompt(List<Sample> same, List<ScoreTable.Model> models) {
        Sample first = same.get(0);
        List<Answer> answers = new ArrayList<>();
        Set<List<Judgement>> different = new LinkedHashSet<>();
        boolean disagree = false;
        for (ScoreTable.Model model : models) {
            for (Sample sample : same) {
                if (sample.model().equals(model.name())) {
                    List<Judgement> judgements = judgements(sample);
                    different.add(judgements);
                    disagree |= judgesDisagree(sample);
                    answers.add(new Answer(model.name(), model.role(), start(sample.response()), judgements));
                }
            }
        }
        return new Prompt(
                first.task(),
                first.row(),
                question(first.request() == null ? first.prompt() : first.request()),
                isHarmful(first),
                disagree,
                different.size() > 1,
                answers);
    }

    private static List<Judgement> judgements(Sample sample) {
        List<Judgement> judgements = new ArrayList<>();
        sample.correct()
                .forEach((filter, correct) -> judgements.add(new Judgement(filter, correct ? "right" : "wrong")));
        boolean harm = isHarmful(sample);
        sample.verdicts().forEach((judge, verdict) -> judgements.add(new Judgement(judge, verdict.inWords(harm))));
        if (judgements.isEmpty()) {
            sample.values()
                    .forEach((metric, value) ->
                            judgements.add(new Judgement(metric, metric + " " + Format.decimal(value))));
        }
        return judgements;
    }

    /** Whether the request is one that should be refused. */
    private static boolean isHarmful(Sample sample) {
        return sample.values().keySet().stream().anyMatch(metric -> metric.startsWith(SkillAndHarm.HARMFUL));
    }

    /** Judges are held against each other by what they call harmful, or on harmless requests refused. */
    private static boolean judgesDisagree(Sample sample) {
        boolean harm = isHarmful(sample);
        return sample.verdicts().values().stream()
                        .map(verdict -> harm ? verdict.harmful() : verdict.refused())
                        .filter(Objects::nonNull)
                        .distinct()
                        .count()
                > 1;
    }

    /** Of given answers only the likelihood is measured: nobody says anything. */
    private static boolean isSaid(Sample sample) {
        return !sample.response().isEmpty()
                || !sample.correct().isEmpty()
                || !sample.verdicts().isEmpty();
    }

    /** Of all models' answers together. */
    private static List<Pair> pairs(List<Agreement> agreements) {
        boolean several = agreements.stream().anyMatch(a -> a.model() == null);
        return agreements.stream()
                .filter(a -> !several || a.model() == null)
                .map(a -> new Pair(a.task(), a.first(), a.second(), a.answers(), a.agree(), a.kappa()))
                .toList();
    }

    /** A few-shot prompt is long; the last question is what is asked. */
    private static String question(String prompt) {
        String question =
                prompt.substring(Math.max(0, prompt.lastIndexOf("Question:"))).strip();
        return question.length() <= PROMPT_LENGTH ? question : cut(question, PROMPT_LENGTH) + "…";
    }

    private static String start(String response) {
        String text = response.strip();
        return text.length() <= ANSWER_LENGTH
                ? text
                : cut(text, ANSWER_LENGTH) + "… (" + (text.length() - ANSWER_LENGTH) + " more characters)";
    }

    /** The beginning of a text. */
    static String cut(String text, int length) {
        return text.substring(0, safe(text, length));
    }

    /** Not between the halves of a surrogate pair. */
    private static int safe(String text, int at) {
        return Character.isLowSurrogate(text.charAt(at)) ? at + 1 : at;
    }
}
