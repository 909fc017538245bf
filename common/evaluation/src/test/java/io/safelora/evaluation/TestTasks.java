package io.safelora.evaluation;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.contract.EvaluationTask;
import io.safelora.contract.JobDocument;
import io.safelora.contract.JudgeOptions;
import io.safelora.contract.Options;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

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
        List<JudgeOptions> judges = new ArrayList<>();
        for (String judge : List.of(
                "{id: harmbench-classifier, type: harmbench-classifier, model: 's3://m', template: 's3://t'}",
                "{id: llama-guard-3, type: llama-guard-3, model: 's3://m'}",
                "{id: rubric, type: endpoint, url: 'https://e/v1', model_name: m}")) {
            judges.add(Options.read(JobDocument.tree(judge), JudgeOptions.class));
        }
        return EvaluationTask.ofOptions(fields, judges);
    }
}
