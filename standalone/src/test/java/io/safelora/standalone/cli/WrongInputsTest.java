package io.safelora.standalone.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.checkpoint.LoraConfig;
import io.safelora.contract.Json;
import io.safelora.standalone.demo.DemoModels;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/**
 * What is wrong with a job's inputs is said in one line by what the first service looks at, before any stage computes.
 */
class WrongInputsTest {
    private static final String ROW = "{\"question\": \"1 + 1?\", \"answer\": \"2\"}\n";

    @TempDir
    Path dir;

    @BeforeEach
    void unpack() throws IOException {
        DemoModels.unpack(dir);
    }

    /** Makes an input wrong. */
    interface Change {
        void apply(Path dir, Job job) throws IOException;
    }

    /** A job document, field by field. */
    static final class Job {
        final ObjectNode fields = Json.MAPPER.createObjectNode();

        Job() {
            fields.put("base", "base").put("aligned", "aligned").put("dtype", "float32");
            training("data", "data/finetuning.jsonl");
            evaluation("task", "harmfulness");
            evaluation("data", "data/forbidden.csv");
            evaluation("max_new_tokens", 8);
        }

        void training(String field, Object value) {
            fields.withObject("/training").putPOJO(field, value);
        }

        void evaluation(String field, Object value) {
            JsonNode first = fields.withArray("/evaluation").path(0);
            (first.isObject()
                            ? (ObjectNode) first
                            : fields.withArray("/evaluation").addObject())
                    .putPOJO(field, value);
        }
    }

    /**
     * @param says how the line begins, behind the command's name; null where the job is right
     */
    record Input(String what, Change change, String says) {
        @Override
        public String toString() {
            return what;
        }
    }

    private static Change training(String rows) {
        return training(rows.getBytes(StandardCharsets.UTF_8));
    }

    private static Change training(byte[] rows) {
        return (dir, job) -> Files.write(dir.resolve("data/finetuning.jsonl"), rows);
    }

    private static Change evaluation(String task, String file, String rows) {
        return (dir, job) -> {
            Files.writeString(dir.resolve("data").resolve(file), rows);
            job.evaluation("task", task);
            job.evaluation("data", "data/" + file);
            if (task.equals("gsm8k")) {
                job.evaluation("num_fewshot", 0);
            }
        };
    }

    private static Change with(String pointer, Object value) {
        return (dir, job) -> {
            String[] names = pointer.split("\\.");
            if (names.length == 1) {
                job.fields.putPOJO(pointer, value);
            } else if (names[0].equals("training")) {
                job.training(names[1], value);
            } else {
                job.evaluation(names[1], value);
            }
        };
    }

    private static Change both(Change first, Change second) {
        return (dir, job) -> {
            first.apply(dir, job);
            second.apply(dir, job);
        };
    }

    private static Change adapter(Change files) {
        return (dir, job) -> {
            Files.createDirectories(dir.resolve("adapter"));
            files.apply(dir, job);
            job.fields.remove("training");
            job.fields.put("adapter", "adapter");
        };
    }

    static final List<Input> inputs = List.of(
            new Input("nothing wrong", (dir, job) -> {}, null),
            // Data of the training.
            new Input("empty training data", training(""), "training.data: finetuning.jsonl: has no rows"),
            new Input("blank training data", training("\n \n"), "training.data: finetuning.jsonl: has no rows"),
            new Input(
                    "no such column",
                    training("{\"question\": \"x\"}"),
                    "training.data: finetuning.jsonl, line 1: has \"question\", which fits no data_format"),
            new Input(
                    "a column missing later",
                    training(ROW + "\n{\"question\": \"x\"}"),
                    "training.data: finetuning.jsonl, line 3: data_format question_answer needs"),
            new Input(
                    "broken after the rows that are looked at",
                    training(ROW.repeat(200) + "{\"question\": "),
                    "training.data: finetuning.jsonl, line 201: "),
            new Input(
                    "not UTF-8",
                    training("{\"question\": \"Gr\u00f6\u00dfe\", \"answer\": \"2\"}"
                            .getBytes(StandardCharsets.ISO_8859_1)),
                    "training.data: finetuning.jsonl, line 1: not UTF-8 text"),
            new Input("a byte order mark", training("\ufeff" + ROW), null),
            new Input("CRLF", training((ROW + ROW).replace("\n", "\r\n")), null),
            new Input("blank lines", training("\n" + ROW + "\n\n" + ROW + "  \n"), null),
            new Input(
                    "no such file",
                    with("training.data", "data/none.jsonl"),
                    "training.data: DIR/data/none.jsonl does not exist"),
            new Input("a folder of data", with("training.data", "data"), "training.data: "),
            new Input(
                    "no row fits",
                    with("training.max_length", 2),
                    "training.data: finetuning.jsonl: no row has an answer within max_length 2; raise max_length"),
            new Input(
                    "empty validation data",
                    both(
                            (dir, job) -> Files.writeString(dir.resolve("data/none.jsonl"), ""),
                            with("training.validation_data", "data/none.jsonl")),
                    "training.validation_data: none.jsonl: has no rows"),
            new Input(
                    "modules that the model lacks",
                    with("training.target_modules", List.of("query_key_value")),
                    "training.target_modules: "),
            // Chat templates.
            new Input(
                    "messages without a chat template",
                    training("{\"messages\": [{\"role\": \"user\", \"content\": \"x\"},"
                            + " {\"role\": \"assistant\", \"content\": \"y\"}]}"),
                    "training.data: finetuning.jsonl, line 1: "),
            new Input(
                    "a model without a chat template",
                    both(
                            (dir, job) -> {
                                Path config = dir.resolve("aligned/tokenizer_config.json");
                                ObjectNode json = (ObjectNode) Json.MAPPER.readTree(config.toFile());
                                json.remove("chat_template");
                                Files.write(config, Json.pretty(json));
                            },
                            with("training.apply_chat_template", true)),
                    "training.data: finetuning.jsonl, line 1: "),
            // Data of evaluations.
            new Input("empty evaluation data", evaluation("gsm8k", "e.jsonl", ""), "evaluation[0]: "),
            new Input("a table without rows", evaluation("harmfulness", "e.csv", "goal,target\n"), "evaluation[0]: "),
            new Input(
                    "no column of requests",
                    evaluation("harmfulness", "e.csv", "prompt,target\nx,y\n"),
                    "evaluation[0]: e.csv, line 2: has no column \"goal\", but \"prompt\", \"target\"; column: prompt"),
            new Input(
                    "no answer",
                    evaluation("gsm8k", "e.jsonl", "{\"question\": \"x\"}"),
                    "evaluation[0]: e.jsonl, line 1: "),
            new Input("an unknown task", with("evaluation.task", "gsm9k"), "evaluation[0].task: "),
            new Input("an unknown judge", with("evaluation.judge", List.of("nobody")), "evaluation[0].judge"),
            new Input(
                    "context too short",
                    with("evaluation.max_new_tokens", 4096),
                    "evaluation[0]: max_new_tokens is 4096, but the model's max_position_embeddings is "),
            // Models.
            new Input("no model", with("aligned", "none"), "aligned: DIR/none does not exist"),
            new Input("a folder that is not a model", with("aligned", "data"), "aligned: DIR/data: "),
            new Input("a folder that is not a base", with("base", "data"), "base: DIR/data: "),
            new Input(
                    "a model without its tokenizer",
                    (dir, job) -> Files.delete(dir.resolve("aligned/tokenizer.json")),
                    "aligned: "),
            new Input(
                    "a cut-off checkpoint",
                    (dir, job) -> Files.write(
                            dir.resolve("aligned/model.safetensors"),
                            Arrays.copyOf(Files.readAllBytes(dir.resolve("aligned/model.safetensors")), 100_000)),
                    "aligned: "),
            new Input(
                    "a model that is not run here",
                    (dir, job) -> {
                        Path config = dir.resolve("aligned/config.json");
                        ObjectNode json = (ObjectNode) Json.MAPPER.readTree(config.toFile());
                        Files.write(config, Json.pretty(json.put("model_type", "mamba")));
                    },
                    "aligned: "),
            // Adapters.
            new Input("an empty adapter folder", adapter((dir, job) -> {}), "adapter: "),
            new Input(
                    "an adapter without weights",
                    adapter((dir, job) -> Files.write(
                            dir.resolve("adapter/adapter_config.json"),
                            Json.pretty(LoraConfig.of("aligned", 2, 4, 0, List.of("q_proj"))))),
                    "adapter: "),
            // The document.
            new Input("a field too much", with("trainig", 1), "trainig: is not a field of a job request; did you mean"),
            new Input("not a number", with("training.learning_rate", "fast"), "training.learning_rate: "));

    @ParameterizedTest
    @FieldSource("inputs")
    void isSaidInOneLineBeforeAnyStageComputes(Input input) throws IOException {
        Job job = new Job();
        input.change().apply(dir, job);
        Path document = Files.write(dir.resolve("own.yaml"), Json.pretty(job.fields));
        Ran ran = Ran.of("validate", document.toString(), "--json");
        JsonNode verdict = Json.MAPPER.readTree(ran.out());
        assertThat(verdict.get("valid").asBoolean()).as(ran.err()).isEqualTo(input.says() == null);
        if (input.says() == null) {
            assertThat(ran.exit()).isZero();
            assertThat(verdict.at("/estimate/stages")).hasSize(4);
            assertThat(ran.err()).isEmpty();
        } else {
            String said = input.says().replace("DIR", dir.toString());
            assertThat(ran.exit()).isEqualTo(2);
            assertThat(verdict.get("error").asText()).startsWith(said).hasSizeLessThan(600);
            assertThat(ran.err())
                    .isEqualTo("safelora validate: " + verdict.get("error").asText() + "\n");
            assertThat(ran.err()).hasLineCount(1).doesNotContain("Exception");
        }
    }

    @Test
    void theDocumentItselfMayBeWrong() throws IOException {
        Path latin =
                Files.write(dir.resolve("latin.yaml"), "name: Gr\u00f6\u00dfe".getBytes(StandardCharsets.ISO_8859_1));
        assertThat(Ran.of("validate", latin.toString()))
                .isEqualTo(new Ran(
                        2,
                        "",
                        "safelora validate: JOB.yaml: " + latin
                                + ", line 1 is not UTF-8 text (byte 8 of the file); save the file as UTF-8\n"));
        Path text = Files.writeString(dir.resolve("text.yaml"), "hello");
        assertThat(Ran.of("validate", text.toString()).err()).contains("a job request is a mapping of fields");
        Path shipped = dir.resolve("job.yaml");
        String windows = "\ufeff"
                + Files.readString(shipped).replace("s3://safelora/demo/", "").replace("\n", "\r\n");
        Path marked = Files.writeString(dir.resolve("windows.yaml"), windows);
        Ran ran = Ran.of("validate", marked.toString());
        assertThat(ran.exit()).as(ran.err()).isZero();
        assertThat(ran.out()).contains("is valid. Estimate", "lora-trainer", "evaluator");
    }
}
