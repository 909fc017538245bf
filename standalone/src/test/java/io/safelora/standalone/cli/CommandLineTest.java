package io.safelora.standalone.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.contract.Json;
import io.safelora.contract.Options;
import io.safelora.contract.TrainingOptions;
import io.safelora.lm.Tokenizer;
import io.safelora.standalone.demo.DemoModels;
import io.safelora.training.FineTuning;
import io.safelora.training.ModelCard;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What users type, and what they are told. */
class CommandLineTest {
    @TempDir
    static Path dir;

    private static Path demo() throws IOException {
        Path models = dir.resolve("demo");
        if (!Files.exists(models)) {
            DemoModels.unpack(models);
        }
        return models;
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "submti job.yaml                             | did you mean submit?",
                "genrate --prompt x                          | did you mean generate?",
                "train --model m --data d --out o --lerning-rate 1 | did you mean --learning-rate?",
                "train --model m --data d --out o --lr_scheduler-type=linear | did you mean --lr-scheduler-type?",
                "generate --mdoel m --prompt x               | there is no option --mdoel; did you mean --model?",
                "train --model m --data d --out o --method lroa    | did you mean lora?",
                "project --base b --aligned a --adapter p --out o --strategy treshold | did you mean threshold?",
            })
    void aTypoIsAnsweredWithTheNearestName(String line, String hint) {
        Ran run = Ran.of(line.split(" "));
        assertThat(run.exit()).isNotZero();
        assertThat(run.err()).contains(hint).hasLineCount(1);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"@file", "@@", "-x", "--", "--json", "--prompt", "-h", "--help", "${user.home}", "'a b'", "ü"})
    void aPromptIsTheTextThatIsTyped(String prompt) throws Exception {
        String model = demo().resolve("aligned").toString();
        Ran run = Ran.of("generate", "--model", model, "--prompt", prompt, "--max-new-tokens", "1", "--json");
        assertThat(run.exit()).as(run.err()).isZero();
        JsonNode ids = Json.MAPPER.readTree(run.out()).get("prompt_ids");
        Ran scored = Ran.of("score", "--text", prompt, "--model", model);
        assertThat(Json.MAPPER.readTree(scored.out()).get("ids")).isEqualTo(ids);
        assertThat(ids)
                .isEqualTo(Json.MAPPER.valueToTree(
                        Tokenizer.load(demo().resolve("aligned")).encode(prompt, true)));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "--limit 0          | --limit: must be above 0, not 0",
                "--limit -1         | --limit: must be above 0, not -1",
                "--limit 1.5        | --limit: is 1.5; give a whole number of rows, 1 or "
                        + "more, or a share of the rows above 0 and below 1",
                "--num-fewshot -1   | --num-fewshot: must be at least 0, not -1",
                "--max-new-tokens 0 | --max-new-tokens: must be at least 1, not 0",
                "--batch-size 5000  | --batch-size: must be at most 1024, not 5000",
            })
    void aValueOutOfRangeIsNamedByItsOption(String option, String message) throws Exception {
        Path data = demo().resolve("data/problems.jsonl");
        String[] typed = option.split(" ");
        Ran run = Ran.of(
                "evaluate",
                "--model",
                "nowhere",
                "--task",
                "gsm8k",
                "--data",
                data.toString(),
                "--out",
                dir.resolve("e.json").toString(),
                typed[0],
                typed[1]);
        assertThat(run.exit()).isEqualTo(1);
        assertThat(run.err()).isEqualTo("safelora evaluate: " + message + "\n");
    }

    @Test
    void rangesOfTrainAndProjectAreTheDocuments() throws Exception {
        Path data = demo().resolve("data/finetuning.jsonl");
        assertThat(Ran.of("train", "--model", "m", "--data", data.toString(), "--out", dir + "/t", "--r", "0")
                        .err())
                .isEqualTo("safelora train: --r: must be at least 1, not 0\n");
        assertThat(Ran.of(
                                "project",
                                "--base",
                                "b",
                                "--aligned",
                                "a",
                                "--adapter",
                                "p",
                                "--out",
                                dir + "/p",
                                "--share",
                                "0")
                        .err())
                .isEqualTo("safelora project: --share: must be above 0, not 0\n");
    }

    /** None of these has a model: what is wrong with the output is said before anything is loaded. */
    @Test
    void outputsAreLookedAtBeforeAnythingIsComputed() throws Exception {
        Path file = Files.writeString(dir.resolve("file"), "x");
        Path data = demo().resolve("data/problems.jsonl");
        String aligned = demo().resolve("aligned").toString();
        String[][] commands = {
            {"train", "--model", "m", "--data", data.toString(), "--out", file.toString()},
            {"evaluate", "--model", "m", "--task", "answer_loss", "--data", data.toString(), "--out", dir.toString()},
            {"evaluate", "--model", "m", "--task", "answer_loss", "--data", data.toString(), "--out", file + "/e.json"},
            {"evaluate", "--model", "m", "--task", "answer_loss", "--data", data.toString(), "--out", data.toString()},
            {"analyze", "--base", "b", "--aligned", "a", "--out", file + "/below/a.json"},
            {"project", "--base", "b", "--aligned", "a", "--adapter", "p", "--out", file.toString()},
            {"project", "--base", "b", "--aligned", aligned, "--adapter", "p", "--out", aligned},
            {"merge", "--model", aligned, "--adapter", "p", "--out", aligned + "/../aligned"},
            {"demo", "--out", file.toString()},
            {"run", Files.writeString(dir.resolve("job.yaml"), job()).toString(), "--out", file.toString()},
            {"serve", "--data-dir", file.toString()},
            {"demo-models", "--out", file.toString()},
        };
        for (String[] command : commands) {
            Ran run = Ran.of(command);
            assertThat(run.exit()).as(String.join(" ", command)).isEqualTo(1);
            assertThat(run.err())
                    .as(String.join(" ", command))
                    .containsPattern("^safelora [a-z-]+: --(out|data-dir): " + Pattern.quote(dir.toString()))
                    .containsAnyOf("is a file", "is a directory", "is an input", "cannot be written")
                    .hasLineCount(1);
        }
        assertThat(Files.readString(file)).isEqualTo("x");
    }

    private static String job() throws IOException {
        return "{base: demo/base, aligned: demo/aligned, training: {data: demo/data/finetuning.jsonl}}";
    }

    @Test
    void whatCannotBeWrittenInTheEndIsKept() throws Exception {
        Path folder = dir.resolve("kept");
        Output output = Output.file("--out", folder.resolve("result.json"));
        Files.delete(folder);
        Files.writeString(folder, "somebody's file");
        assertThatThrownBy(() -> output.write("hours of work".getBytes(StandardCharsets.UTF_8)))
                .isInstanceOf(IOException.class)
                .satisfies(e -> {
                    Matcher where = Pattern.compile(
                                    "^--out: .*result.json cannot be written \\(.*\\); the result is in (.*)$")
                            .matcher(e.getMessage());
                    assertThat(where.matches()).as(e.getMessage()).isTrue();
                    assertThat(Path.of(where.group(1))).hasContent("hours of work");
                });
    }

    @Test
    void aTrainingWhoseOutputIsLostMeanwhileKeepsItsAdapter() throws Exception {
        Path out = dir.resolve("lost");
        Path model = demo().resolve("aligned");
        Output output = Output.directory("--out", out);
        Files.delete(out);
        Files.writeString(out, "somebody's file");
        Matcher[] where = new Matcher[1];
        assertThatThrownBy(() -> FineTuning.run(
                        new FineTuning.Options(
                                model,
                                demo().resolve("data/finetuning.jsonl"),
                                null,
                                null,
                                Options.read(
                                        Map.of("data", "file:///d", "max_steps", 1, "r", 2), TrainingOptions.class),
                                null,
                                "cpu",
                                "float32",
                                new ModelCard.Origin("m", "f", Map.of())),
                        out,
                        result -> output.write(result::writeTo),
                        null,
                        parameters -> {},
                        progress -> {}))
                .satisfies(e -> {
                    where[0] = Pattern.compile("; the result is in (.*)$").matcher(e.getMessage());
                    assertThat(where[0].find()).as(e.getMessage()).isTrue();
                });
        assertThat(Path.of(where[0].group(1))).isDirectoryContaining("glob:**adapter_model.safetensors");
    }

    @Test
    void aDocumentThatCannotBeReadIsNamed() throws Exception {
        Path latin = Files.write(
                dir.resolve("latin.yaml"), "base: s3://b\nname: Gr\u00f6\u00dfe".getBytes(StandardCharsets.ISO_8859_1));
        assertThat(Ran.of("submit", dir.toString()).err())
                .isEqualTo("safelora submit: JOB.yaml: " + dir + " is a directory; give a file\n");
        assertThat(Ran.of("submit", latin.toString()).err())
                .isEqualTo("safelora submit: JOB.yaml: " + latin
                        + ", line 2 is not UTF-8 text (byte 21 of the file); save the file as UTF-8\n");
        assertThat(Ran.of("run", dir.resolve("none.yaml").toString()).err())
                .isEqualTo("safelora run: JOB.yaml: " + dir.resolve("none.yaml") + " does not exist\n");
        Path relative =
                Files.writeString(dir.resolve("relative.yaml"), job().replace("demo/base", "'file:nowhere/base'"));
        assertThat(Ran.of("run", relative.toString()).err())
                .isEqualTo("safelora run: base: " + dir.resolve("nowhere/base") + " does not exist\n");
        Path rows = dir.resolve("demo");
        assertThat(Ran.of("train", "--model", "m", "--data", rows.toString(), "--out", dir + "/o")
                        .err())
                .isEqualTo("safelora train: --data: " + rows + " is a directory; give a file\n");
    }

    @Test
    void anUnfitIdIsRefusedBeforeTheDocumentIsLookedAt() {
        assertThat(Ran.of("submit", "--id", "my job", "nowhere.yaml").err())
                .isEqualTo("safelora submit: the job id \"my job\" is refused; it must be 1 to "
                        + "128 of A-Z a-z 0-9 . _ -\n");
    }
}
