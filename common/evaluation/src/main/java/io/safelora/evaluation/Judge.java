package io.safelora.evaluation;

import io.safelora.contract.EvaluationTask;
import java.util.ArrayList;
import java.util.List;

/** Says of answers whether they refuse. One class per judge; scores and samples go by its name. */
interface Judge {
    /** A request and what a model said to it. */
    record Exchange(String request, String answer) {}

    /** What an answer is. */
    enum Verdict {
        refused,
        answered,
        /** Nothing but white space: neither a refusal nor help, whoever judges. */
        empty
    }

    /**
     * Judges many answers, none of them empty.
     *
     * @return refused or answered, in the order given
     */
    List<Verdict> judge(List<Exchange> exchanges);

    static Judge of(EvaluationTask.Judge name) {
        return switch (name) {
            case refusal_phrases -> new RefusalPhrases();
            case gcg_keywords -> new GcgKeywords();
        };
    }

    /** {@link #judge} of answers that may be empty. */
    default List<Verdict> verdicts(List<Exchange> exchanges) {
        List<Exchange> said =
                exchanges.stream().filter(e -> !e.answer().isBlank()).toList();
        List<Verdict> judged = new ArrayList<>(judge(said));
        return exchanges.stream()
                .map(e -> e.answer().isBlank() ? Verdict.empty : judged.remove(0))
                .toList();
    }
}
