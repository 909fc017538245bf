package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

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

    private LocalTask task(String task, String content, Double limit) throws IOException {
        return task(task, content.getBytes(StandardCharsets.UTF_8), limit);
    }

    private LocalTask task(String task, byte[] content, Double limit) throws IOException {
        String options = task.equals("gsm8k") ? "{num_fewshot: 0}" : "{}";
        if (column != null || limit != null) {
            options = "{" + (column == null ? "" : "column: " + column + ", ")
                    + (limit == null ? "" : "limit: " + limit) + "}";
        }
        return new LocalTask(TestTasks.named(task, options), Files.write(dir.resolve("rows"), content), null);
    }

    @Test
    void requestsAreReadAsSpreadsheetsWriteThem() throws IOException {
        String csv = "\ufeffid,goal\r\n1,\"Say \"\"x\"\", then\r\ngo\"\r\n2,Second\r\n3,Third\r\n";
        assertThat(Prompts.of(task("harmfulness", csv, 2.0)))
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
            assertThat(Prompts.of(task("harmfulness", rows, null)))
                    .extracting(row -> row.request())
                    .containsExactly("First", "Second");
        }
        column = null;
        LocalTask other = task("harmfulness", "id,Behavior\n1,First\n", null);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Prompts.of(other))
                .withMessage("rows, line 2: has no column \"goal\", but \"id\", \"Behavior\"; "
                        + "column: Behavior would read them");
    }

    @Test
    void rowsThatWouldBeLostAreRefused() throws IOException {
        String row = "{\"question\": \"q\", \"answer\": \"#### 1\"}";
        for (String bad : new String[] {row + row, row + " x", row + "\n" + row.substring(0, 20)}) {
            LocalTask task = task("gsm8k", bad, null);
            assertThatIllegalArgumentException().as(bad).isThrownBy(() -> Prompts.of(task));
        }
    }

    @Test
    void brokenRequestsAreNamed() throws IOException {
        for (String csv :
                new String[] {"", "prompt\nx\n", "goal\n", "a,goal\nonly\n", "goal\n\"open\n", "goal\n\"a\"b\n"}) {
            LocalTask task = task("harmfulness", csv, null);
            assertThatIllegalArgumentException().as(csv).isThrownBy(() -> Prompts.of(task));
        }
        LocalTask latin = task("harmfulness", "goal\ncaf\u00e9\n".getBytes(StandardCharsets.ISO_8859_1), null);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Prompts.of(latin))
                .withMessageContaining("rows")
                .withMessageContaining("UTF-8");
    }

    @Test
    void brokenProblemsAreNamedByLine() throws IOException {
        for (String bad :
                new String[] {"{", "[]", "{\"question\": null, \"answer\": \"2\"}", "{\"answer\": \"2\"}", "7"}) {
            LocalTask task = task("gsm8k", "{\"question\": \"q\", \"answer\": \"#### 1\"}\n" + bad + "\n", null);
            assertThatIllegalArgumentException()
                    .as(bad)
                    .isThrownBy(() -> Prompts.of(task))
                    .withMessageContaining("line 2");
        }
    }

    @Test
    void examplesNeedData() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> TestTasks.named("gsm8k", "{}"))
                .withMessageContaining("--fewshot-data: is missing, but num_fewshot is 5");
    }
}
