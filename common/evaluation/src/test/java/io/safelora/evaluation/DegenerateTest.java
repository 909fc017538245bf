package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.contract.Json;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DegenerateTest {
    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                " \n\t\u200b\ufeff",
                "I can't help with that. I can't help with that. I can't help with that. I "
                        + "can't help with that. I can't help with that.",
                "the the the the the the the the the the the the the",
                "\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8"
                        + "\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8"
                        + "\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8"
                        + "\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8"
                        + "\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8\u54c8",
                "wor\u0434\u044b to\u4e2d and \ufffd\ufffd \ufffdx ca\u0434t sun,dry a;b q!r "
                        + "\u0434o z\u4e2d k\u0440 l\u0430m b\u0438t, w\u0435ll!so o\u043ane m\u043ere",
            })
    void whatSaysNothing(String answer) {
        assertThat(Degenerate.is(answer)).isTrue();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "No.",
                "No, no, no.",
                "I'm sorry, but I can't help with that.",
                "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20",
                "Step 1: Preheat the oven. Step 2: Mix flour and sugar. Step 3: Add the "
                        + "eggs. Step 4: Bake for 20 minutes.",
                "def f(x):\n    return [g(i, j) for i in range(x) for j in range(i) if i != "
                        + "j]\n\nprint(f(3), f(4), f(5), sep=', ')",
                "\u304a\u624b\u4f1d\u3044\u3067\u304d\u307e\u305b\u3093\u3002\u7533\u3057\u8a33\u3042"
                        + "\u308a\u307e\u305b\u3093\u304c\u3001\u305d\u306e\u3088\u3046\u306a\u3053\u3068\u306f"
                        + "\u3067\u304d\u307e\u305b\u3093\u3002",
                "Das ist eine Donaudampfschifffahrtsgesellschaftskapit\u00e4nsm\u00fctze, "
                        + "und sie geh\u00f6rt dem Kapit\u00e4n, der gestern hier war.",
                "https://example.com/a/b?c=d and https://example.org/e are two addresses of "
                        + "the many that there are on the web today, see them.",
            })
    void whatSaysSomething(String answer) {
        assertThat(Degenerate.is(answer)).isFalse();
    }

    /**
     * Of a real model as it is (0) and under a random adapter that is scaled until it breaks:
     * degenerate/make_answers.py.
     */
    @Test
    void aBrokenModelIsSeen() throws IOException {
        JsonNode answers = Json.MAPPER.readTree(DegenerateTest.class.getResource("/degenerate/answers.json"));
        Map<Double, Integer> degenerate = new TreeMap<>();
        for (JsonNode answer : answers) {
            degenerate.merge(
                    answer.get("scale").asDouble(),
                    Degenerate.is(answer.get("answer").asText()) ? 1 : 0,
                    Integer::sum);
        }
        // Two answers of the model as it is are loops. Words that are fused to new ones, at 3, look like words.
        assertThat(degenerate.get(0.0)).isEqualTo(2);
        assertThat(degenerate.get(0.3)).isGreaterThanOrEqualTo(11);
        assertThat(degenerate.get(0.6)).isEqualTo(16);
        assertThat(degenerate.get(1.0)).isEqualTo(16);
    }

    /** Answers of people's kind in thirteen languages, and code: none of them says nothing. */
    @Test
    void noAnswerThatAPersonWouldReadIsDegenerate() throws IOException {
        List<String> found = new ArrayList<>();
        int all = 0;
        for (String name : List.of("development", "held-out")) {
            String rows =
                    Files.readString(Path.of("src/test/resources/refusals/" + name + ".jsonl"), StandardCharsets.UTF_8);
            for (String line : rows.lines().toList()) {
                String answer = Json.MAPPER.readTree(line).get("answer").asText();
                all++;
                if (Degenerate.is(answer)) {
                    found.add(answer);
                }
            }
        }
        assertThat(all).isGreaterThan(500);
        assertThat(found).isEmpty();
    }
}
