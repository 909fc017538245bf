package io.safelora.standalone.cli;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.contract.EvaluationTask;
import io.safelora.contract.JobDocument;
import io.safelora.contract.JudgeOptions;
import io.safelora.contract.TaskFile;
import io.safelora.evaluation.LocalTask;
import io.safelora.evaluation.judge.Judges;
import io.safelora.evaluation.judge.ReplyCache;
import io.safelora.lm.CausalLm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** The options of one evaluation of a job. */
final class EvaluationMixin {
    private RecordOptions given;

    @Option(
            names = "--judges",
            paramLabel = "<path>",
            description = "guard models and endpoints that --judge may name: YAML or JSON with the "
                    + "section judges of a job document")
    private Path judges;

    @Spec(Spec.Target.MIXEE)
    void addTo(CommandSpec command) {
        given = new RecordOptions(command, EvaluationTask.class, Set.of());
    }

    /**
     * The task, on local files. Few-shot examples are taken from the file beside the data with train for test in its
     * name, if there is one and no other is given.
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
        return LocalTask.of(EvaluationTask.ofOptions(fields, declared()), uri -> JobDocument.file("--task", uri));
    }

    private List<JudgeOptions> declared() throws IOException {
        return judges == null
                ? List.of()
                : JudgeOptions.Declaration.of(SystemCommands.withPathsAsUris("--judges", judges))
                        .judges();
    }

    /** All that a task may ask for. */
    Judges judges(String device) throws IOException {
        return new Judges(
                declared(),
                new Judges.Access(
                        uri -> JobDocument.file("--judges", uri),
                        (checkpoint, dtype) ->
                                CausalLm.load(checkpoint, device, dtype).forInference(),
                        ReplyCache.in(Path.of(System.getProperty("user.home"), ".cache", "safelora", "replies")),
                        url -> true,
                        System::getenv));
    }
}
