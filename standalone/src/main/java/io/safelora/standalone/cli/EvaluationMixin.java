package io.safelora.standalone.cli;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.contract.EvaluationTask;
import io.safelora.contract.JobDocument;
import io.safelora.contract.TaskFile;
import io.safelora.evaluation.LocalTask;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** The options of one evaluation of a job. */
@Command // picocli takes no mixin without an annotated option or this
final class EvaluationMixin {
    private RecordOptions given;

    @Spec(Spec.Target.MIXEE)
    void addTo(CommandSpec command) {
        given = new RecordOptions(command, EvaluationTask.class, Set.of());
    }

    /**
     * The task, on local files. Few-shot examples are taken from the file beside the data with train for test in its name,
     * if there is one and no other is given.
     *
     * @throws io.safelora.contract.InvalidJobException if an option is out of range; the message names it
     */
    LocalTask task() throws IOException {
        ObjectNode fields = given.given();
        Path data = Inputs.file("--data", given.path("data"));
        Path fewshotData = Inputs.file("--fewshot-data", given.path("fewshot_data"));
        if (fewshotData == null && data.getFileName().toString().contains("test")) {
            Path train = data.resolveSibling(data.getFileName().toString().replace("test", "train"));
            fewshotData = Files.exists(train) ? train : null;
        }
        String name = fields.path("task").asText();
        if (!TaskFile.isName(name)) {
            fields.put("task", Inputs.file("--task", Path.of(name)).toUri().toString());
        }
        if (fewshotData != null) {
            fields.put("fewshot_data", fewshotData.toUri().toString());
        }
        return LocalTask.of(EvaluationTask.ofOptions(fields), uri -> JobDocument.file("--task", uri));
    }
}
