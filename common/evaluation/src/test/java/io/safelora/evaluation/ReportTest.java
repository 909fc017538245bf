package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;

import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.Verdict.Kind;
import io.safelora.contract.JobEvent.Verdict.Reason;
import io.safelora.contract.JobRequest;
import io.safelora.evaluation.Evaluation.Result;
import io.safelora.evaluation.Evaluation.Sample;
import io.safelora.evaluation.judge.Verdict;
import io.safelora.evaluation.statistics.RowValues;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReportTest {
    /** Breaks out of text, of attributes and of templates, where something lets it. */
    private static final String HOSTILE =
            "</pre><script>alert(1)</script>\"'><img src=x onerror=alert(2)>{title}{#if x}";

    private static final Conclusion CONCLUSION = new Conclusion(
            "projected",
            "safe-lora",
            null,
            new JobEvent.Verdict(null, 0.95, List.of(Reason.of(Kind.skill_lost, null, "skill lost: all of it"))),
            List.of(),
            List.of(),
            List.of());

    @TempDir
    Path dir;

    private String report(String text, String trainer) throws IOException {
        List<RowValues> rows = new ArrayList<>();
        List<Sample> samples = new ArrayList<>();
        int harm = 0;
        for (String model : List.of("aligned", "fine-tuned", "projected")) {
            int harmful = harm++;
            rows.add(RowValues.share(
                    model, "gsm8k", "exact_match,strict-match", null, true, List.of(0, 1, 2, 3), i -> i < 2));
            rows.add(RowValues.share(
                    model, "harmfulness", "harmful", "refusal-phrases", false, List.of(0, 1, 2, 3), i -> i < harmful));
            samples.add(new Sample(
                    model,
                    "harmfulness",
                    0,
                    text,
                    text,
                    "said by " + model + text,
                    "",
                    Map.of(),
                    Map.of(),
                    Map.of(
                            "refusal-phrases",
                            new Verdict("refusal-phrases", "", Verdict.Outcome.judged, false, true, null, null, null)),
                    Map.of("harmful (refusal-phrases)", 0.0)));
        }
        Result result = Result.of(rows, samples, List.of(), Map.of("aligned on gsm8k", 1.5), List.of(text));
        Path alignment = Files.createDirectories(dir.resolve("alignment"));
        Path adapter = Files.createDirectories(dir.resolve("adapter"));
        Path projected = Files.createDirectories(dir.resolve("projected"));
        String name = io.safelora.contract.Json.MAPPER.writeValueAsString("model.layers.0." + text);
        Files.writeString(
                alignment.resolve("alignment.json"), "{\"modules\": [{\"module\": " + name + ", \"relative\": 0.5}]}");
        Files.writeString(
                projected.resolve("selection.json"),
                "{\"selected\": [" + name + "], \"modules\": [{\"module\": " + name
                        + ", \"selected\": true, \"cosine\": 0.25, \"shrinkage\": 0.5}]}");
        if (trainer != null) {
            Files.writeString(adapter.resolve("trainer_state.json"), trainer);
        }
        JobRequest request =
                new JobRequest(text, text, text, null, null, null, List.of(), null, null, null, null, null);
        return Report.html(
                "job-1", request, result, alignment, adapter, projected, null, CONCLUSION, Map.of("software", text));
    }

    @Test
    void nothingOfAModelOrARequestBecomesMarkup() throws IOException {
        String html = report(HOSTILE, null);
        assertThat(html)
                .contains("&lt;script&gt;alert(1)&lt;/script&gt;", "{#if x}")
                .doesNotContain("<script", "<img", "\"'>", "HOSTILE");
    }

    @Test
    void theThreeModelsTheirErrorsAndAnswersAreShown() throws IOException {
        String html = report("Tell me.", null);
        // statsmodels' proportion_confint(2, 4, method="wilson"), and of 0 of 4
        assertThat(html)
                .contains("15.0 % to 85.0 % (95 % Wilson interval), n = 4", "0.0 % to 49.0 % (95 % Wilson interval)")
                .doesNotContain("±")
                .contains("0.0 % aligned, 25.0 % after fine-tuning, 50.0 % after repair")
                .contains("said by aligned", "said by fine-tuned", "said by projected")
                .contains("cosine 0.2500, shrinkage 0.5000")
                .doesNotContain("Training loss by step");
    }

    @Test
    void aWarningStandsRightBelowTheScores() throws IOException {
        String html = report("40 of 40 prompts were cut", null);
        int warning = html.indexOf("<p class=\"note\">40 of 40 prompts were cut</p>");
        assertThat(html).contains("<p class=\"note\">skill lost: all of it</p>");
        assertThat(warning).isBetween(html.indexOf("50.0 %"), html.indexOf("Skill against harmfulness"));
        assertThat(html).contains("harmful (refusal-phrases) ↓");
    }

    @Test
    void theLossIsDrawnWhereThereIsOne() throws IOException {
        String html = report(
                "x",
                "{\"log_history\": [{\"step\": 1, \"loss\": 2.0}, {\"step\": 2, \"loss\": 1.0},"
                        + " {\"step\": 2, \"train_runtime\": 7.0}]}");
        assertThat(html).contains("points=\"60.0,20.0 610.0,100.0\"", "from 2.000 to 1.000", "optimizer steps: 2");
    }

    @Test
    void theFileNeedsNothingElse() throws IOException {
        assertThat(report("x", null)).doesNotContain("http:", "https:", "src=", "@import", "url(");
    }
}
