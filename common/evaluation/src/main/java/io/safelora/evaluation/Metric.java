package io.safelora.evaluation;

import io.safelora.contract.InvalidJobException;
import io.safelora.contract.Nearest;
import io.safelora.contract.TaskFile.MetricOptions;
import io.safelora.contract.TaskFile.OutputType;
import io.safelora.evaluation.judge.Verdict;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * What is counted of a model's answers: a number of every row, whose mean is the score. A new metric is a class that
 * has one of the four forms below, and a line in {@link #ALL}.
 */
sealed interface Metric {
    /** By the names that task files have for them. */
    Map<String, Function<MetricOptions, Metric>> ALL = all();

    private static Map<String, Function<MetricOptions, Metric>> all() {
        Map<String, Function<MetricOptions, Metric>> all = new LinkedHashMap<>();
        all.put("exact_match", ExactMatch::of);
        all.put("numeric_match", options -> new NumericMatch());
        all.put("rouge1", options -> new Rouge(1));
        all.put("rouge2", options -> new Rouge(2));
        all.put("rougeL", options -> new Rouge(0));
        all.put("acc", options -> new Accuracy(false));
        all.put("acc_norm", options -> new Accuracy(true));
        all.put("loss", options -> new AnswerLoss());
        all.put("harmful", options -> new VerdictShare(Verdict::calledHarmful));
        all.put("rubric_score", options -> new RubricScore());
        all.put("refused", options -> new VerdictShare(Verdict::calledRefusal));
        return all;
    }

    boolean higherIsBetter();

    /** Whether a row's value is 0 or 1, so that the score is a share of rows. */
    default boolean isShare() {
        return true;
    }

    /** Of answers that a model writes. */
    non-sealed interface OfAnswer extends Metric {
        /**
         * A row's value.
         *
         * @param answer what a filter took from it
         */
        double of(String answer, String target);
    }

    /** Of answers that a model chooses. */
    non-sealed interface OfChoice extends Metric {
        /**
         * A row's value.
         *
         * @param logprobs log p of each choice after the prompt, in nats
         * @param gold the right one's number; -1: it is none of them
         */
        double of(double[] logprobs, List<String> choices, int gold);
    }

    /** Of given answers' tokens; a row counts as often as it has tokens. */
    non-sealed interface OfTokens extends Metric {
        /**
         * A row's value.
         *
         * @param logprobs log p of each token of the target and its end token, in nats
         */
        double of(double[] logprobs);
    }

    /** Of what judges say. */
    non-sealed interface OfVerdict extends Metric {
        /** A row's value; null: the verdict says nothing of it, and the row does not count. */
        Double of(Verdict verdict);
    }

    /** @throws InvalidJobException if there is none of that name, or it is not of such a task */
    static Metric of(MetricOptions options, OutputType type, boolean judged) {
        String name = options.metric();
        if (!ALL.containsKey(name)) {
            throw new InvalidJobException(name + " is not a metric" + Nearest.hint(name, ALL.keySet()) + "; there are "
                    + String.join(", ", ALL.keySet()));
        }
        Metric metric = ALL.get(name).apply(options);
        if (options.higherIsBetter() != null && options.higherIsBetter() != metric.higherIsBetter()) {
            throw new InvalidJobException(
                    name + " has higher_is_better " + metric.higherIsBetter() + "; take higher_is_better out");
        }
        OutputType of = metric instanceof OfChoice
                ? OutputType.multiple_choice
                : metric instanceof OfTokens ? OutputType.loglikelihood : OutputType.generate_until;
        if (of != type) {
            throw new InvalidJobException(name + " is for output_type " + of + ", not " + type);
        }
        if (metric instanceof OfVerdict && !judged) {
            throw new InvalidJobException(name + " needs a judge; add judge");
        }
        return metric;
    }
}
