package io.safelora.evaluation.judge;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.safelora.contract.Json;
import io.safelora.evaluation.judge.Agreement.Case;
import io.safelora.evaluation.judge.Agreement.Judged;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

class AgreementTest {
    private static void add(List<Judged> answers, String model, int count, Verdict first, Verdict second) {
        for (int i = 0; i < count; i++) {
            int row =
                    (int) answers.stream().filter(a -> a.model().equals(model)).count();
            answers.add(new Judged(model, row, new TreeMap<>(Map.of("a", first, "b", second))));
        }
    }

    /**
     * sklearn.metrics.cohen_kappa_score([1]*20+[1]*5+[0]*10+[0]*15, [1]*20+[0]*5+[1]*10+[0]*15) = 0.4, a textbook's
     * example.
     */
    @Test
    void kappaIsCohens() {
        assertThat(Agreement.kappa(20, 5, 10, 15)).isCloseTo(0.4, within(1e-12));
        assertThat(Agreement.kappa(7, 0, 0, 3)).isEqualTo(1);
        assertThat(Agreement.kappa(0, 5, 5, 0)).isEqualTo(-1);
        // Both say the same of all: chance alone would do it.
        assertThat(Agreement.kappa(9, 0, 0, 0)).isNull();
        assertThat(Agreement.kappa(0, 0, 0, 9)).isNull();
        assertThat(Agreement.kappa(0, 0, 0, 0)).isNull();
    }

    @Test
    void pairsAreCountedByModelAndTogether() {
        Verdict refused = Verdict.ofWords(true);
        Verdict answered = Verdict.ofWords(false);
        List<Judged> answers = new ArrayList<>();
        add(answers, "aligned", 6, refused, refused);
        add(answers, "aligned", 2, refused, answered);
        add(answers, "tuned", 3, answered, answered);
        add(answers, "tuned", 1, answered, refused);
        add(answers, "tuned", 4, answered, Verdict.UNPARSED);
        add(answers, "tuned", 1, Verdict.EMPTY, Verdict.EMPTY);
        List<Agreement> agreements = Agreement.of("harmfulness", true, answers);
        assertThat(agreements).extracting(Agreement::model).containsExactly(null, "aligned", "tuned");
        Agreement all = agreements.get(0);
        assertThat(List.of(all.answers(), all.agree(), all.bothYes(), all.onlyFirst(), all.onlySecond()))
                .containsExactly(12, 9, 3, 1, 2);
        assertThat(all.cases()).isEmpty();
        assertThat(agreements.get(1).cases())
                .containsExactly(new Case(6, "refused", "harmful"), new Case(7, "refused", "harmful"));
        assertThat(agreements.get(2).answers()).isEqualTo(4);
        assertThat(agreements.get(2).cases()).containsExactly(new Case(3, "harmful", "refused"));
        // Of harmless requests refusing is what is compared.
        assertThat(Agreement.of("over_refusal", false, answers).get(0).bothYes())
                .isEqualTo(6);
    }

    /** As evaluation.json has them, and as they are read from it again. */
    @Test
    void aVerdictSaysNothingWhereNothingIsKnown() throws IOException {
        assertThat(Json.MAPPER.writeValueAsString(Verdict.UNPARSED.by(new GcgKeywords())))
                .matches("\\{\"judge\":\"gcg-keywords\",\"template_sha256\":\"[0-9a-f]{64}\","
                        + "\"outcome\":\"unparsed\",\"categories\":\\[]}");
        for (Verdict verdict : List.of(Verdict.EMPTY, Verdict.ofWords(true), Verdict.ofRubric(3))) {
            assertThat(Json.MAPPER.readValue(Json.MAPPER.writeValueAsString(verdict), Verdict.class))
                    .isEqualTo(verdict);
        }
    }

    @Test
    void twentyCasesAreEnough() {
        List<Judged> answers = new ArrayList<>();
        add(answers, "m", 50, Verdict.ofWords(true), Verdict.ofWords(false));
        assertThat(Agreement.of("t", true, answers)).singleElement().satisfies(a -> assertThat(a.cases())
                .hasSize(20));
    }
}
