package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.rows.Row;
import io.safelora.contract.Json;
import io.safelora.evaluation.Evaluation.Sample;
import io.safelora.evaluation.Prompts.TaskRow;
import io.safelora.lm.ChatTemplate;
import io.safelora.lm.ChatTemplate.Message;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The tasks that come with the project ask and count as lm-evaluation-harness does. */
class TaskTest {
    private static final String STRICT = "strict-match";
    private static final String FLEXIBLE = "flexible-extract";

    /** What a task makes of an answer to a question with that right answer. */
    private static Sample sample(Task task, String response, String answer) {
        Prompt prompt = new Prompt(List.of(new Message("user", "q")), " ", "\n\n");
        return Scores.samples("m", task, List.of(new TaskRow(prompt, "q", answer)), List.of(response))
                .get(0);
    }

    /** filters.json was written by lm-evaluation-harness itself: make_filters.py beside it. */
    @Test
    void filtersAndExactMatchAreTheHarnesss() throws Exception {
        Task gsm8k = TestTasks.named("gsm8k", "{num_fewshot: 0}");
        JsonNode cases = Json.MAPPER.readTree(TaskTest.class.getResource("/gsm8k/filters.json"));
        assertThat(cases).hasSizeGreaterThan(30);
        for (JsonNode expected : cases) {
            String response = expected.get("response").asText();
            for (String filter : List.of(STRICT, FLEXIBLE)) {
                Sample sample = sample(gsm8k, response, expected.get("answer").asText());
                assertThat(sample.extracted().get(filter))
                        .as(filter + ", " + response)
                        .isEqualTo(expected.get(filter).asText());
                assertThat(sample.correct().get(filter))
                        .as(filter + ", " + response)
                        .isEqualTo(
                                expected.get(filter.split("-")[0] + "_correct").asBoolean());
            }
        }
    }

    /** prompts.json was written by lm-evaluation-harness itself: make_prompts.py beside it. */
    @Test
    void promptsAreTheHarnesss() throws Exception {
        List<Row> rows = new ArrayList<>();
        try (InputStream in = TaskTest.class.getResourceAsStream("/gsm8k/problems.jsonl")) {
            for (String line : new String(in.readAllBytes(), StandardCharsets.UTF_8)
                    .lines()
                    .toList()) {
                rows.add(new Row((ObjectNode) Json.MAPPER.readTree(line), "problems.jsonl"));
            }
        }
        JsonNode expected = Json.MAPPER.readTree(TaskTest.class.getResource("/gsm8k/prompts.json"));
        ChatTemplate template = ChatTemplate.load(
                Path.of(TaskTest.class.getResource("/gsm8k/model").toURI()));
        String fewshot = "fewshot_data: 's3://d'";
        String chat = ", apply_chat_template: true";
        String system = ", system_instruction: \"Solve the problem.\\nEnd with #### and the number.\"";
        assertThat(expected).hasSize(9);
        Function<Prompt, String> turns = p -> template.render(p.messages(true), true);
        Function<Prompt, String> oneTurn = p -> template.render(p.messages(false), true);
        assertEqual(expected.get("plain"), rows, fewshot, Prompt::text);
        assertEqual(expected.get("first_n"), rows, fewshot + ", fewshot_sampler: first_n", Prompt::text);
        assertEqual(expected.get("plain, system"), rows, fewshot + system, Prompt::text);
        assertEqual(expected.get("chat"), rows, fewshot + chat, turns); // the harness's default
        assertEqual(expected.get("multiturn"), rows, fewshot + chat, turns);
        assertEqual(expected.get("one turn"), rows, fewshot + chat, oneTurn);
        assertEqual(expected.get("chat, system"), rows, fewshot + chat + system, turns);
        assertEqual(expected.get("one turn, system"), rows, fewshot + chat + system, oneTurn);
        assertEqual(expected.get("zero-shot"), rows, "num_fewshot: 0" + chat, turns);
        assertEqual(expected.get("zero-shot"), rows, "num_fewshot: 0" + chat, oneTurn);
        assertThat(TestTasks.named("gsm8k", "{num_fewshot: 0" + chat + "}").multiturn())
                .isTrue();
    }

    /** Asks the rows from the thirtieth on, with examples of those before. */
    private static void assertEqual(JsonNode expected, List<Row> rows, String options, Function<Prompt, String> text)
            throws IOException {
        List<TaskRow> asked = new Prompts(TestTasks.named("gsm8k", "{" + options + "}"))
                .of(rows.subList(30, 40), rows.subList(0, 30));
        assertThat(expected).hasSizeGreaterThanOrEqualTo(3);
        for (int i = 0; i < expected.size(); i++) {
            assertThat(text.apply(asked.get(i).prompt()))
                    .isEqualTo(expected.get(i).asText());
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
    void aTargetThatNoAnswerMatchesIsKnown(String answer, boolean canBeRight) throws IOException {
        Task gsm8k = TestTasks.named("gsm8k", "{num_fewshot: 0}");
        assertThat(Encoding.canBeRight(gsm8k, answer)).isEqualTo(canBeRight);
        if (canBeRight) {
            String number = answer.replaceAll("(?s).*#### ", "");
            assertThat(sample(gsm8k, "#### " + number, answer).correct()).containsValue(true);
        }
    }

    @Test
    void aResponseEndsAtTheFirstStopString() {
        assertThat(Scores.untilStop(" 4\n#### 4\n\nQuestion: and</s>", List.of("</s>", "Question:")))
                .isEqualTo(" 4\n#### 4\n\n");
    }
}
