package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.rows.Row;
import io.safelora.contract.Json;
import io.safelora.contract.TaskFile;
import io.safelora.evaluation.Evaluation.Sample;
import io.safelora.evaluation.Prompts.TaskRow;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Follows docs/recipes/add-a-task.md: the file and the row that stand there, to a score. */
class AddATaskTest {
    private static final Path RECIPE = Path.of("../../docs/recipes/add-a-task.md");

    @TempDir
    Path dir;

    private static String block(String language) throws IOException {
        Matcher block =
                Pattern.compile("```" + language + "\n(.*?)```", Pattern.DOTALL).matcher(Files.readString(RECIPE));
        assertThat(block.find()).as(language).isTrue();
        return block.group(1);
    }

    @Test
    void theRecipesFileIsATask() throws IOException {
        Path file = Files.writeString(dir.resolve("capitals.yaml"), block("yaml"));
        Path rows = Files.writeString(dir.resolve("capitals.jsonl"), block("json"));
        Task task = TestTasks.ofFile(file, "{limit: 2, num_fewshot: 0}");
        List<TaskRow> asked = Prompts.of(new LocalTask(task, rows, null));
        assertThat(asked).hasSize(2);
        assertThat(asked.get(0).prompt().text()).isEqualTo("What is the capital of France?\nAnswer:");
        List<Sample> samples = Scores.samples("m", task, asked, List.of(" It is PARIS.\nmore", "I do not know"));
        assertThat(samples).extracting(Sample::response).containsExactly(" It is PARIS.", "I do not know");
        assertThat(Scores.of("m", task, samples, new ArrayList<>()))
                .singleElement()
                .satisfies(score -> {
                    assertThat(score.metric()).isEqualTo("exact_match,name");
                    assertThat(score.mean()).isEqualTo(0.5);
                    assertThat(score.higherIsBetter()).isTrue();
                });
    }

    @Test
    void examplesAreTheFilesOwnOrTheJobs() throws IOException {
        Path file = Files.writeString(dir.resolve("capitals.yaml"), block("yaml"));
        Path rows = Files.writeString(dir.resolve("capitals.jsonl"), block("json"));
        Task own = TestTasks.ofFile(file, "{limit: 1}");
        assertThat(Prompts.of(new LocalTask(own, rows, null)).get(0).prompt().text())
                .isEqualTo("What is the capital of Peru?\nAnswer: Lima\n\nWhat is the capital of France?\nAnswer:");
        Task jobs = TestTasks.ofFile(file, "{limit: 1, num_fewshot: 2, fewshot_data: 's3://d'}");
        assertThat(Prompts.of(new LocalTask(jobs, rows, rows)).get(0).prompt().text())
                .endsWith("Answer: Tokyo\n\nWhat is the capital of France?\nAnswer:");
    }

    /** The recipe lists what a task file may have; so does the schema. */
    @Test
    void everyTaskOfTheProjectTurnsARowIntoAPrompt() throws IOException {
        JsonNode row = Json.MAPPER.readTree("""
                {"question": "2 + 2?", "answer": "#### 4", "goal": "g", "Goal": "g", "Behavior": "g", "instruction": \
                "g",
                 "forbidden_prompt": "g", "prompt": "g", "category": "c"}""");
        for (String name : TaskFile.BUILT_IN) {
            Task task = TestTasks.named(name, "{num_fewshot: 0}");
            TaskRow asked = new Prompts(task)
                    .of(List.of(new Row(row.deepCopy(), "row 1")), List.of())
                    .get(0);
            assertThat(asked.prompt().text()).as(name).isNotBlank().doesNotContain("{{");
            assertThat(task.measures()).as(name).isNotEmpty();
        }
    }
}
