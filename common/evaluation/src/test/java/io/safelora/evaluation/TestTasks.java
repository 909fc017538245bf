package io.safelora.evaluation;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.contract.EvaluationTask;
import io.safelora.contract.JobDocument;
import io.safelora.contract.Json;
import java.io.IOException;
import java.nio.file.Path;

/** Tasks for tests. */
final class TestTasks {
    private TestTasks() {}

    /** A task that comes with the project, with a job's options as YAML: {@code {num_fewshot: 0}}. */
    static Task named(String name, String options) throws IOException {
        return Task.of(options(name, options), uri -> null);
    }

    /** A task of a file of one's own. */
    static Task ofFile(Path file, String options) throws IOException {
        return Task.of(options(file.toUri().toString(), options), uri -> JobDocument.file("task", uri));
    }

    private static EvaluationTask options(String task, String options) {
        ObjectNode fields = (ObjectNode) JobDocument.tree(options);
        fields.put("task", task).put("data", "file:///data");
        return EvaluationTask.ofOptions(Json.MAPPER.valueToTree(fields));
    }
}
