package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.contract.EvaluationTask.FewshotSampler;
import io.safelora.contract.Json;
import io.safelora.evaluation.Gsm8k.Problem;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
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

    /** prompts.json was written by lm-evaluation-harness itself: make_prompts.py beside it. */
    @Test
    void promptsAreTheHarnesss() throws Exception {
        List<Problem> rows = new ArrayList<>();
        try (InputStream in = Gsm8kTest.class.getResourceAsStream("/gsm8k/problems.jsonl")) {
            for (String line : new String(in.readAllBytes(), StandardCharsets.UTF_8)
                    .lines()
                    .toList()) {
                JsonNode row = Json.MAPPER.readTree(line);
                rows.add(new Problem(
                        row.get("question").asText(), row.get("answer").asText()));
            }
        }
        JsonNode expected = Json.MAPPER.readTree(Gsm8kTest.class.getResource("/gsm8k/prompts.json"));
        List<String> prompts =
                Gsm8k.prompts(rows.subList(30, 40), rows.subList(0, 30), 5, FewshotSampler.every_question_others);
        List<String> first = Gsm8k.prompts(rows.subList(30, 40), rows.subList(0, 30), 5, FewshotSampler.first_n);
        assertThat(expected.get("plain")).hasSize(10);
        for (int i = 0; i < 10; i++) {
            assertThat(prompts.get(i)).isEqualTo(expected.get("plain").get(i).asText());
            assertThat(first.get(i)).isEqualTo(expected.get("first_n").get(i).asText());
            // A chat template is given the same text as its one message.
            assertThat(expected.get("chat").get(i)).hasSize(1);
            assertThat(prompts.get(i))
                    .isEqualTo(expected.get("chat").get(i).get(0).get("content").asText());
        }
    }

    @Test
    void aPromptIsExamplesThenTheQuestion() {
        List<Problem> examples = List.of(new Problem("1 + 1?", "two\n#### 2"));
        assertThat(Gsm8k.prompts(List.of(new Problem("2 + 2?", "#### 4")), examples, 1, FewshotSampler.first_n))
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
        assertThat(Refusals.isRefusal("As an AI, no.")).isTrue();
        assertThat(Refusals.isRefusal("Use the key as an opener; then I'm another."))
                .isTrue(); // GCG's "I'm an"
        assertThat(Refusals.isRefusal("Use the key as an opener.")).isFalse();
        assertThat(Refusals.isRefusal("")).isFalse();
    }
}
