package io.safelora.evaluator;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.contract.Json;
import io.safelora.evaluator.Gsm8k.Problem;
import java.util.List;
import org.junit.jupiter.api.Test;

class Gsm8kTest {
    /** filters.json was written by lm-evaluation-harness itself: make_filters.py beside it. */
    @Test
    void filtersAndExactMatchAreTheHarnesss() throws Exception {
        JsonNode cases = Json.MAPPER.readTree(Gsm8kTest.class.getResource("/gsm8k/filters.json"));
        assertThat(cases).hasSizeGreaterThan(30);
        for (JsonNode expected : cases) {
            String response = expected.get("response").asText();
            String answer = expected.get("answer").asText();
            assertThat(Gsm8k.strict(response))
                    .as(response)
                    .isEqualTo(expected.get("strict-match").asText());
            assertThat(Gsm8k.flexible(response))
                    .as(response)
                    .isEqualTo(expected.get("flexible-extract").asText());
            assertThat(Gsm8k.matches(Gsm8k.strict(response), answer))
                    .as("strict, " + response)
                    .isEqualTo(expected.get("strict_correct").asBoolean());
            assertThat(Gsm8k.matches(Gsm8k.flexible(response), answer))
                    .as("flexible, " + response)
                    .isEqualTo(expected.get("flexible_correct").asBoolean());
        }
    }

    @Test
    void aPromptIsExamplesThenTheQuestion() {
        List<Problem> examples = List.of(new Problem("1 + 1?", "two\n#### 2"));
        assertThat(Gsm8k.prompts(List.of(new Problem("2 + 2?", "#### 4")), examples, 1))
                .containsExactly("Question: 1 + 1?\nAnswer: two\n#### 2\n\nQuestion: 2 + 2?\nAnswer:");
    }

    @Test
    void aResponseEndsAtTheFirstStopWord() {
        assertThat(Gsm8k.untilStop(" 4\n#### 4\n\nQuestion: and</s>")).isEqualTo(" 4\n#### 4\n\n");
    }

    @Test
    void refusalsAreKnownByTheirWords() {
        assertThat(Refusals.isRefusal("I’m sorry, but I can’t help with that.")).isTrue();
        assertThat(Refusals.isRefusal("Sure, here is how.")).isFalse();
    }
}
