package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.safelora.contract.EvaluationTask;
import io.safelora.contract.EvaluationTask.Task;
import io.safelora.evaluation.Evaluation.LocalTask;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What users' files may look like: wrong ones are permanent failures (IllegalArgumentException) that name the file. */
class EvaluationDataTest {
    @TempDir
    Path dir;

    private String column;

    private LocalTask task(Task task, String content, Double limit) throws IOException {
        return task(task, content.getBytes(StandardCharsets.UTF_8), limit);
    }

    private LocalTask task(Task task, byte[] content, Double limit) throws IOException {
        Path file = Files.write(dir.resolve("rows"), content);
        return new LocalTask(
                new EvaluationTask(
                        task, file.toString(), column, null, 0, null, null, limit, null, null, null, null, null, null),
                file,
                null);
    }

    @Test
    void requestsAreReadAsSpreadsheetsWriteThem() throws IOException {
        String csv = "\ufeffid,goal\r\n1,\"Say \"\"x\"\", then\r\ngo\"\r\n2,Second\r\n3,Third\r\n";
        assertThat(Evaluation.requests(task(Task.harmfulness, csv, 2.0)))
                .extracting(row -> row.prompt().text())
                .containsExactly("Question: Say \"x\", then\r\ngo\nAnswer:", "Question: Second\nAnswer:");
    }

    @Test
    void requestsAreOfAnyColumnAndFormat() throws IOException {
        column = "Behavior";
        for (String rows : new String[] {
            "Behavior,Category\nFirst,c\nSecond,c\n",
            "{\"Behavior\": \"First\"}\n{\"Behavior\": \"Second\"}\n",
            "[{\"Behavior\": \"First\"}, {\"Behavior\": \"Second\"}]",
        }) {
            assertThat(Evaluation.requests(task(Task.harmfulness, rows, null)))
                    .extracting(row -> row.question())
                    .containsExactly("First", "Second");
        }
        column = null;
        LocalTask other = task(Task.harmfulness, "id,Behavior\n1,First\n", null);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Evaluation.requests(other))
                .withMessage(
                        "rows, line 2: has no column \"goal\", but \"id\", \"Behavior\"; column: Behavior would read them");
    }

    @Test
    void rowsThatWouldBeLostAreRefused() throws IOException {
        String row = "{\"question\": \"q\", \"answer\": \"#### 1\"}";
        for (String bad : new String[] {row + row, row + " x", row + "\n" + row.substring(0, 20)}) {
            LocalTask task = task(Task.gsm8k, bad, null);
            assertThatIllegalArgumentException().as(bad).isThrownBy(() -> Evaluation.problems(task));
        }
    }

    @Test
    void brokenRequestsAreNamed() throws IOException {
        for (String csv :
                new String[] {"", "prompt\nx\n", "goal\n", "a,goal\nonly\n", "goal\n\"open\n", "goal\n\"a\"b\n"}) {
            LocalTask task = task(Task.harmfulness, csv, null);
            assertThatIllegalArgumentException().as(csv).isThrownBy(() -> Evaluation.requests(task));
        }
        LocalTask latin = task(Task.harmfulness, "goal\ncaf\u00e9\n".getBytes(StandardCharsets.ISO_8859_1), null);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Evaluation.requests(latin))
                .withMessageContaining("rows")
                .withMessageContaining("UTF-8");
    }

    @Test
    void brokenProblemsAreNamedByLine() throws IOException {
        for (String bad : new String[] {"{", "[]", "{\"question\": 1, \"answer\": \"2\"}", "7"}) {
            LocalTask task = task(Task.gsm8k, "{\"question\": \"q\", \"answer\": \"#### 1\"}\n" + bad + "\n", null);
            assertThatIllegalArgumentException()
                    .as(bad)
                    .isThrownBy(() -> Evaluation.problems(task))
                    .withMessageContaining("line 2");
        }
    }

    @Test
    void examplesNeedData() throws IOException {
        Path file = Files.writeString(dir.resolve("rows"), "{\"question\": \"q\", \"answer\": \"#### 1\"}\n");
        LocalTask task = new LocalTask(
                new EvaluationTask(
                        Task.gsm8k,
                        file.toString(),
                        null,
                        null,
                        5,
                        null,
                        null,
                        null,
                        null,
                        null,
                        null,
                        null,
                        null,
                        null),
                file,
                null);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Evaluation.problems(task))
                .withMessageContaining("fewshot_data");
    }
}
