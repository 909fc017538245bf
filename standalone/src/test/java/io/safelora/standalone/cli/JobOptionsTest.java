package io.safelora.standalone.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.contract.EvaluationTask;
import io.safelora.contract.InvalidJobException;
import io.safelora.contract.JobDocument;
import io.safelora.contract.Json;
import io.safelora.contract.Schemas;
import io.safelora.contract.SelectionOptions;
import io.safelora.contract.TrainingOptions;
import io.safelora.contract.TrainingOptions.LrScheduler;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParameterException;

/** The options of train, evaluate and project are the fields of a job document. */
class JobOptionsTest {
    @TempDir
    Path dir;

    private Path rows;

    @BeforeEach
    void data() throws Exception {
        rows = Files.writeString(dir.resolve("rows.jsonl"), "{\"question\": \"1 + 1?\", \"answer\": \"2\"}");
    }

    /** Fields that are mappings of fields, and those of a whole job, stay the document's. */
    @ParameterizedTest
    @CsvSource({"train, training, ''", "evaluate, evaluation, ''", "project, selection, 'when,sweep'"})
    void everyFieldOfTheRecordIsAnOptionWithItsWordsAndDefault(String command, String part, String without) {
        Map<String, OptionSpec> options = SafeLoraCommand.commandLine()
                .getSubcommands()
                .get(command)
                .getCommandSpec()
                .optionsMap();
        Class<?> type = Map.of(
                        "training", TrainingOptions.class,
                        "evaluation", EvaluationTask.class,
                        "selection", SelectionOptions.class)
                .get(part);
        JsonNode schema = Schemas.of(type);
        Set<String> fields = new TreeSet<>();
        schema.get("properties").fieldNames().forEachRemaining(fields::add);
        fields.removeAll(Set.of(without.split(",")));
        assertThat(fields).hasSizeGreaterThan(10);
        for (String field : fields) {
            OptionSpec option = options.get("--" + field.replace('_', '-'));
            assertThat(option).as(field).isNotNull();
            JsonNode property = schema.get("properties").get(field);
            String help = String.join("", option.description());
            assertThat(help.replace("%%", "%"))
                    .as(field)
                    .contains(property.path("description").asText());
            JsonNode standard = property.get("default");
            if (standard != null && !standard.isArray()) {
                String typed = standard.isNumber()
                        ? standard.decimalValue().stripTrailingZeros().toPlainString()
                        : standard.asText();
                assertThat(help).as(field).endsWith("default " + typed + ")");
            }
            boolean required = false;
            for (JsonNode name : schema.path("required")) {
                required |= name.asText().equals(field);
            }
            assertThat(option.required()).as(field).isEqualTo(required);
        }
    }

    private TrainingOptions training(String... arguments) {
        TrainCommand command = new TrainCommand();
        CommandLine line = new CommandLine(command);
        line.parseArgs(with(List.of("--model", "m", "--out", "o", "--data", rows.toString()), arguments));
        return command.training.options();
    }

    private EvaluationTask evaluation(String... arguments) throws IOException {
        StageCommands.Evaluate command = new StageCommands.Evaluate();
        CommandLine line = new CommandLine(command);
        line.parseArgs(with(List.of("--model", "m", "--out", "o"), arguments));
        return command.evaluation.task().task().options();
    }

    private static String[] with(List<String> first, String... rest) {
        List<String> all = new ArrayList<>(first);
        all.addAll(List.of(rest));
        return all.toArray(String[]::new);
    }

    /** What a document would have it, a field at a time: options as typed, and the document's fields in JSON. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            nullValues = "nothing",
            value = {
                "nothing | {seed: 42}",
                "--method full | {method: full}",
                "--method FULL | {method: full}",
                "--lr-scheduler-type constant-with-warmup | {lr_scheduler_type: constant_with_warmup}",
                "--all-tokens | {completion_only_loss: false}",
                "--no-completion-only-loss | {completion_only_loss: false}",
                "--no-shuffle | {shuffle: false}",
                "--shuffle=false | {shuffle: false}",
                "--shuffle | {shuffle: true}",
                "--apply-chat-template --assistant-only-loss | {apply_chat_template: true, assistant_only_loss: true}",
                "--no-apply-chat-template | {apply_chat_template: false}",
                "--use-rslora --gradient-checkpointing | {use_rslora: true, gradient_checkpointing: true}",
                "--r 8 --lora-alpha 16 --lora-dropout .05 | {r: 8, lora_alpha: 16, lora_dropout: 0.05}",
                "--target-modules q_proj,v_proj | {target_modules: [q_proj, v_proj]}",
                "--target-modules all-linear | {target_modules: all-linear}",
                "--target-modules .*[qv]_proj | {target_modules: '.*[qv]_proj'}",
                "--layers-to-transform 0,3 | {layers_to_transform: [0, 3]}",
                "--layers-to-transform 0 --layers-to-transform 3 | {layers_to_transform: [0, 3]}",
                "--learning-rate 2e-4 --num-train-epochs 1.5 | {learning_rate: 0.0002, num_train_epochs: 1.5}",
                "--seed -9223372036854775808 | {seed: -9223372036854775808}",
                "--apply-chat-template --chat-template-kwargs={\"a\":[1]} | "
                        + "{apply_chat_template: true, chat_template_kwargs: {a: [1]}}",
            })
    void typedAsInADocument(String typed, String fields) throws Exception {
        ObjectNode document = (ObjectNode) JobDocument.tree(fields);
        document.put("data", rows.toUri().toString());
        assertThat(training(typed == null ? new String[0] : typed.split(" ")))
                .isEqualTo(TrainingOptions.of(document))
                .isEqualTo(Json.MAPPER.treeToValue(document, TrainingOptions.class));
    }

    @Test
    void pathsAreFilesOfThisMachine() throws Exception {
        TrainingOptions options = training("--validation-data", rows.toString());
        assertThat(options.validationData()).isEqualTo(rows.toUri().toString());
        assertThat(options.lrSchedulerType()).isEqualTo(LrScheduler.linear);
        assertThat(training("--seed", "7").seed()).isEqualTo(7);
        Path test = Files.copy(rows, dir.resolve("test.jsonl"));
        Path train = Files.copy(rows, dir.resolve("train.jsonl"));
        assertThat(evaluation("--task", "gsm8k", "--data", test.toString(), "--num-fewshot", "1")
                        .fewshotData())
                .isEqualTo(train.toUri().toString());
        assertThat(evaluation("--task", "gsm8k", "--data", test.toString(), "--fewshot-data", rows.toString())
                        .fewshotData())
                .isEqualTo(rows.toUri().toString());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "--method lroa | --method: must be one of lora, full, not \"lroa\"; did you mean lora?",
                "--r 1.5 | --r: must be a whole number, not \"1.5\"",
                "--r x | --r: must be a whole number, not \"x\"",
                "--layers-to-transform 0,one | --layers-to-transform: must be a whole number, not \"one\"",
                "--lora-alpha NaN | --lora-alpha: must be a number, not \"NaN\"",
                "--learning-rate Infinity | --learning-rate: must be a number, not \"Infinity\"",
                "--chat-template-kwargs {a | --chat-template-kwargs: not JSON: ",
            })
    void aValueOfAnotherTypeIsWrongUsage(String typed, String message) {
        assertThatThrownBy(() -> training(typed.split(" ")))
                .isInstanceOf(ParameterException.class)
                .hasMessageStartingWith(message);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "--r 3000000000 | --r: must be at most 1024, not 3000000000",
                "--max-steps 3000000000 | --max-steps: must be at most 2147483647, not 3000000000",
                "--learning-rate 1e999 | --learning-rate: is too large",
                "--layers-to-transform -1 | --layers-to-transform[0]: must be at least 0, not -1",
                "--chat-template-kwargs 1 | --chat-template-kwargs: integer found, object expected",
                "--target-modules , | --target-modules",
            })
    void aValueOutOfRangeIsTheJobs(String typed, String message) {
        assertThatThrownBy(() -> training(typed.split(" ")))
                .isInstanceOf(InvalidJobException.class)
                .hasMessageStartingWith(message);
    }
}
