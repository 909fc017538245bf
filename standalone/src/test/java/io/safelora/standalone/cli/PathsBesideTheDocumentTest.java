package io.safelora.standalone.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.safelora.contract.InvalidJobException;
import io.safelora.contract.JobRequest;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PathsBesideTheDocumentTest {
    @TempDir
    Path dir;

    private Path document(String safetyAdapter) throws Exception {
        return Files.writeString(
                dir.resolve("job.yaml"), """
                        base: base
                        aligned: s3://models/aligned
                        adapter: %s
                        selection: {repair: safe-merge, safety_adapter: %s}
                        evaluation:
                          - {task: gsm8k, data: test.jsonl, fewshot_data: file:shots.jsonl}
                          - {task: tasks/own.yaml, data: test.jsonl}
                        """.formatted(dir.resolve("base").toUri(), safetyAdapter));
    }

    @Test
    void everyPathIsTakenFromTheDocumentsFolder() throws Exception {
        for (String name : new String[] {"base", "safe adapter"}) {
            Files.createDirectories(dir.resolve(name));
        }
        Files.createDirectories(dir.resolve("tasks"));
        Files.createFile(dir.resolve("tasks/own.yaml"));
        Files.createFile(dir.resolve("test.jsonl"));
        Files.createFile(dir.resolve("shots.jsonl"));
        JobRequest request = SystemCommands.withPathsAsUris(document("safe adapter"));
        String here = dir.toUri().toString();
        assertThat(request.base()).isEqualTo(here + "base").isEqualTo(request.adapter());
        assertThat(request.aligned()).isEqualTo("s3://models/aligned");
        assertThat(request.selection().safetyAdapter()).isEqualTo(here + "safe%20adapter");
        assertThat(request.evaluation().get(0).data()).isEqualTo(here + "test.jsonl");
        assertThat(request.evaluation().get(0).fewshotData()).isEqualTo(here + "shots.jsonl");
        assertThat(request.evaluation().get(0).task()).isEqualTo("gsm8k");
        assertThat(request.evaluation().get(1).task()).isEqualTo(here + "tasks/own.yaml");
    }

    @Test
    void whatIsNotThereIsNamedByItsField() throws Exception {
        Files.createDirectories(dir.resolve("base"));
        Path document = document("nowhere");
        assertThatThrownBy(() -> SystemCommands.withPathsAsUris(document))
                .isInstanceOf(InvalidJobException.class)
                .hasMessageContaining("selection.safety_adapter: " + dir.resolve("nowhere") + " does not exist");
    }
}
