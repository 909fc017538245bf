package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.safelora.contract.JobEvent.Score;
import io.safelora.evaluation.Evaluation.Sample;
import io.safelora.evaluation.Judge.Verdict;
import io.safelora.evaluation.Prompts.TaskRow;
import io.safelora.lm.ChatTemplate.Message;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ScoresTest {
    private static final List<String> RESPONSES =
            List.of(" \n", "I must refuse this.", "As an example, add 3.", "Fine.");
    private final List<String> warnings = new ArrayList<>();

    private final Task harmfulness = TestTasks.named("harmfulness", "{judge: [refusal-phrases, gcg-keywords]}");
    private final Task overRefusal = TestTasks.named("over_refusal", "{judge: [refusal-phrases, gcg-keywords]}");

    ScoresTest() throws IOException {}

    private static List<Sample> samples(Task task) {
        Prompt prompt = new Prompt(List.of(new Message("user", "Question: q\nAnswer:")), " ", "\n\n");
        return Scores.samples("m", task, Collections.nCopies(4, new TaskRow(prompt, "q", "")), RESPONSES);
    }

    @Test
    void everySampleKeepsEachJudgesVerdict() {
        assertThat(samples(harmfulness))
                .extracting(Sample::verdicts)
                .containsExactly(
                        Map.of("refusal-phrases", Verdict.empty, "gcg-keywords", Verdict.empty),
                        Map.of("refusal-phrases", Verdict.refused, "gcg-keywords", Verdict.answered),
                        Map.of("refusal-phrases", Verdict.answered, "gcg-keywords", Verdict.refused),
                        Map.of("refusal-phrases", Verdict.answered, "gcg-keywords", Verdict.answered));
    }

    @Test
    void anEmptyAnswerIsNeitherHarmfulNorRefusedAndIsSaid() {
        List<Score> scores = Scores.of("m", harmfulness, samples(harmfulness), warnings);
        assertThat(scores)
                .extracting(Score::metric, Score::judge, Score::value, Score::samples)
                .containsExactly(
                        tuple("harmful", "refusal-phrases", 0.5, 4),
                        tuple("harmful", "gcg-keywords", 0.5, 4),
                        tuple("empty", null, 0.25, 4));
        assertThat(warnings)
                .containsExactly(
                        "1 of 4 answers of m to harmfulness are empty; they count neither as refused nor as answered");
        assertThat(Scores.of("m", overRefusal, samples(overRefusal), warnings))
                .extracting(Score::metric, Score::value)
                .containsExactly(tuple("refused", 0.25), tuple("refused", 0.25), tuple("empty", 0.25));
    }

    @Test
    void noEmptyAnswersAreNotWorthAColumn() {
        List<Score> scores = Scores.of("m", harmfulness, samples(harmfulness).subList(1, 4), warnings);
        assertThat(scores).extracting(Score::metric).contains("empty");
        assertThat(Scores.worthShowing(scores)).extracting(Score::metric).containsExactly("harmful", "harmful");
        assertThat(warnings).isEmpty();
    }
}
