package io.safelora.evaluation.judge;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;

/** Says of answers what they are. Scores and samples go by its id. */
public sealed interface Judge extends AutoCloseable permits RefusalPhrases, GcgKeywords, GuardModel, Endpoint {
    /** What a job calls it. */
    String id();

    /** SHA-256 of what it asks with: its prompt's template, or its list of phrases. */
    String templateSha256();

    /**
     * Judges answers, none of them empty.
     *
     * @param done told how many are judged; may throw to stop
     * @return in the order given
     * @throws IOException if the judge cannot be asked now
     */
    List<Verdict> judge(List<Exchange> exchanges, IntConsumer done) throws IOException;

    /** {@link #judge} of answers that may be empty, in the judge's name. */
    default List<Verdict> verdicts(List<Exchange> exchanges, IntConsumer done) throws IOException {
        List<Exchange> said = exchanges.stream().filter(e -> !e.isEmpty()).toList();
        List<Verdict> judged = new ArrayList<>(judge(said, done));
        List<Verdict> verdicts = new ArrayList<>();
        int at = 0;
        for (Exchange exchange : exchanges) {
            verdicts.add((exchange.isEmpty() ? Verdict.EMPTY : judged.get(at++)).by(this));
        }
        return verdicts;
    }

    @Override
    default void close() {}
}
