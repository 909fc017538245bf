package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.contract.InvalidInputException;
import io.safelora.contract.InvalidJobException;
import io.safelora.contract.TaskFile;
import io.safelora.evaluation.Evaluation.Sample;
import io.safelora.evaluation.Prompts.TaskRow;
import io.safelora.lm.ChatTemplate.Message;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Task files of strangers, and whatever a model may say. */
class HostileTaskTest {
    private static final String MINIMAL = "task: own\ndoc_to_text: q\nmetric_list: [{metric: exact_match}]\n";

    @TempDir
    Path dir;

    private Task task(String text) throws IOException {
        return TestTasks.ofFile(Files.writeString(dir.resolve("own.yaml"), text), "{}");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "doc_to_target: '{{ open' | task own: doc_to_target: not a Jinja template",
                "filter_list: [{name: a, filter: [{function: regex, regex_pattern: '(a'}]}] "
                        + "| task own: filter_list[0].filter[0].regex_pattern: \"(a\" is not a regular "
                        + "expression",
                "column: goal | --column",
            })
    void whatIsNotOneIsNamed(String field, String message) throws IOException {
        if (message.startsWith("--")) {
            assertThat(task(MINIMAL + field).column()).isEqualTo("goal");
            return;
        }
        assertThatThrownBy(() -> task(MINIMAL + field))
                .isInstanceOf(InvalidJobException.class)
                .hasMessageStartingWith(message);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "[{metric: exact_mach}] | metric_list[0]: exact_mach is not a metric; did you mean exact_match?",
                "[{metric: acc}] | metric_list[0]: acc is for output_type multiple_choice, not generate_until",
                "[{metric: harmful}] | metric_list[0]: harmful needs a judge; add judge",
                "[{metric: exact_match, higher_is_better: false}] | metric_list[0]: "
                        + "exact_match has higher_is_better true",
                "[{metric: exact_match, regexes_to_ignore: ['[']}] | metric_list[0]: "
                        + "regexes_to_ignore[0]: \"[\" is not a regular",
            })
    void aMetricThatDoesNotFitIsNamed(String metrics, String message) {
        assertThatThrownBy(() -> task("task: own\ndoc_to_text: q\nmetric_list: " + metrics))
                .isInstanceOf(InvalidJobException.class)
                .hasMessageStartingWith("task own: " + message);
    }

    @Test
    void aFileThatIsNoTextIsRefused() throws IOException {
        Path latin = Files.write(dir.resolve("latin.yaml"), "task: caf\u00e9".getBytes(StandardCharsets.ISO_8859_1));
        assertThatThrownBy(() -> TestTasks.ofFile(latin, "{}"))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessage("latin.yaml: not UTF-8 text; convert it");
        Path large = Files.write(dir.resolve("large.yaml"), new byte[2 << 20]);
        assertThatThrownBy(() -> TestTasks.ofFile(large, "{}")).hasMessageContaining("large.yaml: has more than");
        assertThatThrownBy(() -> TestTasks.ofFile(dir, "{}")).hasMessageContaining("is a directory");
    }

    /** Backtracks for longer than the world stands, and would overflow the stack. */
    @ParameterizedTest
    @CsvSource({"(a|aa)+$", "(a|a)*$", "(.*a){20}$"})
    void anExpressionsWorkIsBounded(String pattern) {
        PythonRegex regex = PythonRegex.of(pattern);
        assertThatThrownBy(() -> regex.findAll("a".repeat(5000) + "b"))
                .isInstanceOf(InvalidInputException.class)
                .hasMessageContaining("the regular expression \"" + pattern + "\" takes too long");
    }

    @Test
    void aTemplatesWorkIsBounded() throws IOException {
        Task task = task("task: own\nmetric_list: [{metric: exact_match}]\n"
                + "doc_to_text: '{% for i in range(99999999) %}{% for j in "
                + "range(99999999) %}x{% endfor %}{% endfor %}'\n");
        Path rows = Files.writeString(dir.resolve("rows.jsonl"), "{\"q\": 1}\n");
        assertThatThrownBy(() -> Prompts.of(new LocalTask(task, rows, null)))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageStartingWith("rows.jsonl, line 1: doc_to_text: ");
    }

    /** No answer makes scoring fail, and every value is a share. */
    @Test
    void whateverAModelSaysIsCounted() throws IOException {
        Random random = new Random(5);
        String[] pieces = {
            "#### ",
            "$",
            "-",
            ",",
            ".",
            "5",
            "1,000",
            "\n",
            "The answer is ",
            "Question:",
            "Q:",
            "\u0000",
            "\ud800",
            "\udc00",
            "\ud83d\ude00",
            "\u202e",
            "\u2028",
            "\r",
            "\u0661",
            "(",
            "[",
            "\\",
            "{{",
            "%}",
            "</s>",
            "a",
            "\u00e9",
            "\u4e2d",
            " ",
            "#"
        };
        for (String name : TaskFile.BUILT_IN) {
            Task task = TestTasks.named(name, "{num_fewshot: 0}");
            for (int i = 0; i < 300 && task.outputType() == TaskFile.OutputType.generate_until; i++) {
                StringBuilder response = new StringBuilder();
                StringBuilder target = new StringBuilder();
                for (int j = random.nextInt(40); j > 0; j--) {
                    response.append(pieces[random.nextInt(pieces.length)].repeat(1 + random.nextInt(3)));
                    target.append(pieces[random.nextInt(pieces.length)]);
                }
                Prompt prompt = new Prompt(List.of(new Message("user", "q")), " ", "\n\n");
                Sample sample = Scores.samples(
                                "m",
                                task,
                                List.of(new TaskRow(prompt, "q", target.toString())),
                                List.of(response.toString()))
                        .get(0);
                assertThat(sample.values().values())
                        .allSatisfy(v -> assertThat(v).isBetween(0.0, 1.0));
                assertThat(task.stop()).noneMatch(sample.response()::contains);
                assertThat(response.toString()).startsWith(sample.response());
                Degenerate.is(response.toString());
                new NumericMatch().of(response.toString(), target.toString());
                for (int n = 0; n < 3; n++) {
                    assertThat(new Rouge(n).of(response.toString(), target.toString()))
                            .isBetween(0.0, 1.0);
                }
            }
        }
    }

    @Test
    void aLongAnswerIsCountedInTime() throws IOException {
        Task gsm8k = TestTasks.named("gsm8k", "{num_fewshot: 0}");
        for (String piece : List.of("#### ", "$", "-", "5,", "a ", "\ud83d\ude00", "####")) {
            String answer = piece.repeat(20_000);
            assertThat(TaskTest.sample(gsm8k, answer, "#### 5").extracted()).hasSize(2);
            assertThat(Degenerate.is(answer)).isTrue();
        }
        assertThat(new ArrayList<>(gsm8k.filters().keySet())).containsExactly("strict-match", "flexible-extract");
    }
}
