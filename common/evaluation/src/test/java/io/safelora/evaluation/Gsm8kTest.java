package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.contract.EvaluationTask;
import io.safelora.contract.EvaluationTask.FewshotSampler;
import io.safelora.contract.EvaluationTask.Task;
import io.safelora.contract.Json;
import io.safelora.evaluation.Gsm8k.Problem;
import io.safelora.lm.ChatTemplate;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

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
        List<Problem> asked = rows.subList(30, 40);
        List<Problem> examples = rows.subList(0, 30);
        List<Prompt> others = Gsm8k.prompts(asked, examples, 5, FewshotSampler.every_question_others);
        List<Prompt> first = Gsm8k.prompts(asked, examples, 5, FewshotSampler.first_n);
        List<Prompt> zeroShot = Gsm8k.prompts(asked, examples, 0, FewshotSampler.first_n);
        ChatTemplate template = ChatTemplate.load(
                Path.of(Gsm8kTest.class.getResource("/gsm8k/model").toURI()));
        String system = "Solve the problem.\nEnd with #### and the number.";
        assertThat(expected).hasSize(9);
        assertEqual(expected.get("plain"), others, Prompt::text);
        assertEqual(expected.get("first_n"), first, Prompt::text);
        assertEqual(
                expected.get("plain, system"), others, p -> p.withSystem(system).text());
        Function<Prompt, String> turns = p -> template.render(p.messages(true), true);
        Function<Prompt, String> oneTurn = p -> template.render(p.messages(false), true);
        assertEqual(expected.get("chat"), others, turns); // the harness's default
        assertEqual(expected.get("multiturn"), others, turns);
        assertEqual(expected.get("one turn"), others, oneTurn);
        assertEqual(expected.get("chat, system"), others, p -> turns.apply(p.withSystem(system)));
        assertEqual(expected.get("one turn, system"), others, p -> oneTurn.apply(p.withSystem(system)));
        assertEqual(expected.get("zero-shot"), zeroShot, turns);
        assertEqual(expected.get("zero-shot"), zeroShot, oneTurn);
        assertThat(new EvaluationTask(
                                Task.gsm8k,
                                "file:x",
                                null,
                                "file:y",
                                5,
                                null,
                                null,
                                null,
                                null,
                                true,
                                null,
                                null,
                                null,
                                null)
                        .fewshotAsMultiturn())
                .isTrue();
    }

    private static void assertEqual(JsonNode expected, List<Prompt> prompts, Function<Prompt, String> text) {
        assertThat(expected).hasSizeGreaterThanOrEqualTo(3);
        for (int i = 0; i < expected.size(); i++) {
            assertThat(text.apply(prompts.get(i))).isEqualTo(expected.get(i).asText());
        }
    }

    /** A solution needs a number, not "####": a bare one is matched, too. */
    @ParameterizedTest
    @CsvSource({
        "7, true",
        "'x\n#### 1,234', true",
        "$50, true",
        "-3., true",
        "'#### seven', false",
        "seven, false",
        "'', false",
        "'7 apples', false"
    })
    void anAnswerThatNoNumberMatchesIsKnown(String answer, boolean isNumber) {
        assertThat(Gsm8k.isNumber(answer)).isEqualTo(isNumber);
        if (isNumber) {
            String number = answer.replaceAll("(?s).*#### ", "");
            assertThat(Gsm8k.matches(Gsm8k.flexible("So it is " + number), answer)
                            || Gsm8k.matches(Gsm8k.strict("#### " + number), answer))
                    .isTrue();
        }
    }

    @Test
    void aPromptIsExamplesThenTheQuestion() {
        List<Problem> examples = List.of(new Problem("1 + 1?", "two\n#### 2"));
        assertThat(Gsm8k.prompts(List.of(new Problem("2 + 2?", "#### 4")), examples, 1, FewshotSampler.first_n))
                .extracting(Prompt::text)
                .containsExactly("Question: 1 + 1?\nAnswer: two\n#### 2\n\nQuestion: 2 + 2?\nAnswer:");
    }

    @Test
    void aResponseEndsAtTheFirstStopWord() {
        assertThat(Gsm8k.untilStop(" 4\n#### 4\n\nQuestion: and</s>")).isEqualTo(" 4\n#### 4\n\n");
    }
}
