package io.safelora.standalone.cli;

import com.fasterxml.jackson.annotation.JsonAutoDetect.Visibility;
import com.fasterxml.jackson.annotation.PropertyAccessor;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.contract.EvaluationTask;
import io.safelora.contract.EvaluationTask.FewshotSampler;
import io.safelora.contract.EvaluationTask.Task;
import io.safelora.contract.JobDocument;
import io.safelora.contract.Json;
import io.safelora.contract.JudgeOptions;
import io.safelora.evaluation.judge.Judges;
import io.safelora.evaluation.judge.ReplyCache;
import io.safelora.lm.CausalLm;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

/** An evaluation's options in a job, under the same names in kebab-case. Absent means the job document's default. */
final class EvaluationMixin {
    private static final ObjectMapper FIELDS =
            Json.MAPPER.copy().setVisibility(PropertyAccessor.FIELD, Visibility.NON_PRIVATE);

    @Option(names = "--task", required = true, description = "gsm8k, harmfulness, over_refusal, answer_loss")
    Task task;

    @Option(
            names = "--data",
            required = true,
            description =
                    "JSON Lines, a JSON array, CSV or Parquet: for gsm8k and answer_loss with question and answer; for harmfulness and over_refusal with --column")
    Path data;

    @Option(names = "--column", description = "harmfulness, over_refusal: the column of the requests (default: goal)")
    String column;

    @Option(
            names = "--fewshot-data",
            description =
                    "gsm8k: rows for the examples (default: the file beside --data with train for test in its name)")
    Path fewshotData;

    @Option(names = "--num-fewshot", description = "default: 5 for gsm8k")
    Integer numFewshot;

    @Option(
            names = "--fewshot-sampler",
            description =
                    "default: every question gets other examples, as lm-evaluation-harness draws them; first_n: the first rows, several times faster")
    String fewshotSampler;

    @Option(
            names = "--fewshot-as-multiturn",
            arity = "0..1",
            fallbackValue = "true",
            description =
                    "gsm8k: examples as turns of the chat template (default with --apply-chat-template); false: all in one turn")
    Boolean fewshotAsMultiturn;

    @Option(
            names = "--limit",
            converter = Decimal.class,
            description = "only the first rows: a number of them, or a share below 1")
    BigDecimal limit;

    @Option(names = "--max-new-tokens", description = "default: 256 for gsm8k, 64 for harmfulness")
    Integer maxNewTokens;

    @Option(names = "--apply-chat-template", description = "prompts by the model's chat template")
    Boolean applyChatTemplate;

    @Option(names = "--system-instruction", description = "the system message of every prompt")
    String systemInstruction;

    @Option(
            names = "--chat-template-kwargs",
            paramLabel = "JSON",
            description = "further variables of the chat template: '{\"enable_thinking\": false}'")
    String chatTemplateKwargs;

    @Option(
            names = "--judge",
            split = ",",
            description =
                    "harmfulness, over_refusal: refusal-phrases (default), gcg-keywords, ids of --judges; several separated by commas")
    List<String> judge;

    @Option(
            names = "--judges",
            paramLabel = "FILE",
            description =
                    "guard models and endpoints that --judge may name: YAML or JSON with the section judges of a job document")
    private Path judges;

    @Option(names = "--batch-size", description = "default 32")
    Integer batchSize;

    /** Says that something is not a number without naming a Java class. */
    static final class Decimal implements ITypeConverter<BigDecimal> {
        @Override
        public BigDecimal convert(String value) {
            try {
                return new BigDecimal(value);
            } catch (NumberFormatException e) {
                throw new TypeConversionException("'" + value + "' is not a number");
            }
        }
    }

    /** @throws io.safelora.contract.InvalidJobException if an option is out of range; the message names it */
    EvaluationTask task() throws IOException {
        if (fewshotData == null && data.getFileName().toString().contains("test")) {
            Path train = data.resolveSibling(data.getFileName().toString().replace("test", "train"));
            fewshotData = Files.exists(train) ? train : null;
        }
        ObjectNode json = FIELDS.valueToTree(this);
        JsonArgument.put(json, "chat_template_kwargs", chatTemplateKwargs);
        json.put("data", Inputs.file("--data", data).toUri().toString());
        if (fewshotData != null) {
            json.put(
                    "fewshot_data",
                    Inputs.file("--fewshot-data", fewshotData).toUri().toString());
        }
        if (fewshotSampler != null) {
            json.set(
                    "fewshot_sampler",
                    Json.MAPPER.valueToTree(
                            RecordOptions.named("--fewshot-sampler", fewshotSampler, FewshotSampler.class)));
        }
        return EvaluationTask.ofOptions(json, declared());
    }

    private List<JudgeOptions> declared() throws IOException {
        return judges == null
                ? List.of()
                : JudgeOptions.Declaration.of(SystemCommands.withPathsAsUris("--judges", judges))
                        .judges();
    }

    /** Those of the task. */
    Judges judges(EvaluationTask task, String device) throws IOException {
        return new Judges(
                JudgeOptions.used(declared(), List.of(task)),
                new Judges.Access(
                        uri -> JobDocument.file("--judges", uri),
                        (checkpoint, dtype) ->
                                CausalLm.load(checkpoint, device, dtype).forInference(),
                        ReplyCache.in(Path.of(System.getProperty("user.home"), ".cache", "safelora", "replies")),
                        url -> true,
                        System::getenv));
    }
}
