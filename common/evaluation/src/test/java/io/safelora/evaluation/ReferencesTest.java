package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.rows.Row;
import io.safelora.contract.Json;
import io.safelora.contract.TaskFile.MetricOptions;
import io.safelora.evaluation.Evaluation.Sample;
import io.safelora.evaluation.RowTemplate.Variables;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

/**
 * What lm-evaluation-harness, Python's re and rouge_score make of texts: resources/tasks/make_references.py wrote it.
 */
class ReferencesTest {
    private static JsonNode read(String name) throws IOException {
        return Json.MAPPER.readTree(ReferencesTest.class.getResource("/tasks/" + name));
    }

    @Test
    void numbersAsPeopleWriteThemAreWhatTheHarnessMakesOfThem() throws IOException {
        JsonNode cases = read("numbers.json");
        assertThat(cases).hasSizeGreaterThan(800);
        for (JsonNode expected : cases) {
            Task task = TestTasks.named(expected.get("task").asText(), "{num_fewshot: 0}");
            Sample sample = TaskTest.sample(
                    task,
                    expected.get("response").asText(),
                    expected.get("target").asText());
            for (String filter : task.filters().keySet()) {
                String what = filter + " of " + expected;
                assertThat(sample.extracted().get(filter))
                        .as(what)
                        .isEqualTo(expected.get(filter).get(0).asText());
                assertThat(sample.correct().get(filter))
                        .as(what)
                        .isEqualTo(expected.get(filter).get(1).asBoolean());
            }
        }
    }

    @Test
    void expressionsArePythons() throws IOException {
        for (JsonNode expected : read("regex.json")) {
            PythonRegex regex = PythonRegex.of(expected.get("pattern").asText());
            String text = expected.get("text").asText();
            List<List<String>> found = new ArrayList<>();
            expected.get("findall").forEach(match -> {
                List<String> groups = new ArrayList<>();
                match.forEach(group -> groups.add(group.asText()));
                found.add(groups);
            });
            assertThat(regex.findAll(text)).as(expected.toString()).isEqualTo(found);
            assertThat(regex.cutFrom(text))
                    .as(expected.toString())
                    .isEqualTo(expected.get("cut").asText());
        }
    }

    @Test
    void exactMatchIsTheHarnesss() throws IOException {
        for (JsonNode expected : read("exact_match.json")) {
            ObjectNode options = ((ObjectNode) expected.get("options")).put("metric", "exact_match");
            ExactMatch match = ExactMatch.of(Json.MAPPER.convertValue(options, MetricOptions.class));
            assertThat(match.of(
                            expected.get("answer").asText(),
                            expected.get("target").asText()))
                    .as(expected.toString())
                    .isEqualTo(expected.get("match").asBoolean() ? 1 : 0);
        }
    }

    @Test
    void rougeIsThatOfRougeScore() throws IOException {
        for (JsonNode expected : read("rouge.json")) {
            for (String metric : List.of("rouge1", "rouge2", "rougeL")) {
                MetricOptions options = new MetricOptions(metric, null, null, null, null, null, null);
                double value = ((Metric.OfAnswer) Metric.ALL.get(metric).apply(options))
                        .of(
                                expected.get("answer").asText(),
                                expected.get("target").asText());
                assertThat(value)
                        .as(metric + " of " + expected)
                        .isEqualTo(expected.get(metric).asDouble(), Offset.offset(1e-12));
            }
        }
    }

    @Test
    void templatesAreRenderedAsTheHarnessDoes() throws IOException {
        for (JsonNode expected : read("templates.json")) {
            RowTemplate template =
                    new RowTemplate("doc_to_text", expected.get("template").asText());
            Variables row = Variables.of(new Row((ObjectNode) expected.get("doc"), "rows.jsonl, line 1"));
            if (expected.get("text").isNull()) {
                assertThatThrownBy(() -> template.text(row))
                        .as(expected.get("template").asText())
                        .isInstanceOf(InvalidArtifactException.class)
                        .hasMessageStartingWith("rows.jsonl, line 1: doc_to_text: ");
            } else {
                assertThat(template.text(row))
                        .as(expected.get("template").asText())
                        .isEqualTo(expected.get("text").asText());
            }
        }
    }
}
