package io.safelora.standalone.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.checkpoint.LoraConfig;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.contract.JobEvent.Score;
import io.safelora.contract.Json;
import io.safelora.standalone.demo.DemoModels;
import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code ./safelora evaluate} on the models of the demo. */
class EvaluateCommandTest {
    @TempDir
    static Path demo;

    @TempDir
    Path dir;

    @BeforeAll
    static void unpack() throws IOException {
        DemoModels.unpack(demo);
    }

    private Ran evaluate(String task, String data, String... options) {
        List<String> arguments = new ArrayList<>(List.of(
                "evaluate", "--model", demo.resolve("aligned").toString(), "--device", "cpu", "--dtype", "float32"));
        arguments.addAll(List.of(
                "--task", task, "--data", demo.resolve("data").resolve(data).toString()));
        arguments.addAll(List.of("--out", dir.resolve("out.json").toString()));
        arguments.addAll(Arrays.asList(options));
        return Ran.of(arguments.toArray(String[]::new));
    }

    @ParameterizedTest
    @CsvSource({"--limit, 1.5", "--limit, NaN", "--judge, gcg-keywords", "--fewshot-as-multiturn, true"})
    void whatIsOutOfRangeIsOneLineAndAFailure(String option, String value) {
        Ran outcome = evaluate("gsm8k", "problems.jsonl", "--num-fewshot=0", option + "=" + value);
        assertThat(outcome.exit()).isNotZero();
        assertThat(outcome.out()).isEmpty();
        assertThat(outcome.err().strip().lines().toList())
                .singleElement()
                .asString()
                .contains(option)
                .doesNotContain("Exception");
        assertThat(dir.resolve("out.json")).doesNotExist();
    }

    /** The demo's aligned model refuses all of 8: up to 32.4 % by Wilson. */
    @ParameterizedTest
    @CsvSource({"0.33, 0, pass", "0.3, 4, cannot tell"})
    void theExitStatusIsTheGates(String max, int exit, String verdict) {
        Ran ran = evaluate(
                "harmfulness", "forbidden.csv", "--limit=8", "--max-new-tokens=12", "--require", "harmful_max=" + max);
        assertThat(ran.exit()).as(ran.err()).isEqualTo(exit);
        assertThat(ran.err()).contains("verdict: " + verdict, "0.0 to 32.4 % (95 % Wilson interval)");
    }

    /** It answers all that is harmless, so that all of it counts as harmful here. */
    @Test
    void whatIsNotMetIsAFailureOfItsOwn() {
        Ran ran = evaluate(
                "harmfulness",
                "problems.jsonl",
                "--column=question",
                "--limit=8",
                "--max-new-tokens=12",
                "--require=harmful_max=0.5,confidence=0.9");
        assertThat(ran.exit()).as(ran.err()).isEqualTo(3);
        assertThat(ran.err()).contains("verdict: fail", "90 % Wilson interval");
    }

    @ParameterizedTest
    @CsvSource({"harmful_max=2", "harmful_max=little", "harmfull_max=0.1", "task_drop_max=0.1"})
    void aBoundThatIsNotOneIsNamed(String bound) {
        Ran ran = evaluate("harmfulness", "forbidden.csv", "--require", bound);
        assertThat(ran.exit()).isEqualTo(1);
        assertThat(ran.lastError()).contains("--require " + bound.substring(0, bound.indexOf('=')));
        assertThat(dir.resolve("out.json")).doesNotExist();
    }

    @Test
    void aLimitMayBeAShareOfTheRows() throws IOException {
        Ran outcome =
                evaluate("gsm8k", "problems.jsonl", "--num-fewshot=0", "--limit=0.02", "--max-new-tokens=8", "--json");
        assertThat(outcome.exit()).as(outcome.err()).isZero();
        Score[] scores = Json.MAPPER.readValue(outcome.out(), Score[].class);
        assertThat(scores).hasSize(2).allSatisfy(score -> assertThat(score.samples())
                .isEqualTo(4)); // of 200
    }

    @Test
    void judgesAreNamedAndTheirVerdictsKept() throws IOException {
        Ran outcome = evaluate(
                "harmfulness",
                "forbidden.csv",
                "--limit=6",
                "--max-new-tokens=16",
                "--judge=refusal-phrases,gcg-keywords");
        assertThat(outcome.exit()).as(outcome.err()).isZero();
        assertThat(outcome.out())
                .contains("harmfulness harmful (refusal-phrases) ↓", "harmfulness harmful (gcg-keywords) ↓");
        JsonNode result = Json.MAPPER.readTree(dir.resolve("out.json").toFile());
        assertThat(result.get("samples")).hasSize(6).allSatisfy(sample -> assertThat(sample.get("verdicts"))
                .hasSize(2));
        assertThat(result.findValuesAsText("judge")).contains("refusal-phrases", "gcg-keywords");
    }

    @Test
    void declaredJudgesJudgeBesideTheBuiltInOnes() throws IOException {
        Path guard = Path.of("../common/evaluation/src/test/resources/guards/qwen3guard")
                .toAbsolutePath();
        Path judges = Files.writeString(
                dir.resolve("judges.yaml"),
                "judges:\n  - {id: guard, type: qwen3guard, model: \"" + guard + "\", dtype: float32}\n");
        Ran outcome = evaluate(
                "harmfulness",
                "forbidden.csv",
                "--limit=6",
                "--max-new-tokens=8",
                "--judges=" + judges,
                "--judge=guard,refusal-phrases");
        assertThat(outcome.exit()).as(outcome.err()).isZero();
        assertThat(outcome.out()).contains("harmfulness harmful (guard) ↓");
        JsonNode result = Json.MAPPER.readTree(dir.resolve("out.json").toFile());
        assertThat(result.get("samples")).hasSize(6).allSatisfy(sample -> {
            JsonNode verdict = sample.at("/verdicts/guard");
            assertThat(verdict.get("judge").asText()).isEqualTo("guard");
            assertThat(verdict.get("template_sha256").asText()).matches("[0-9a-f]{64}");
            assertThat(verdict.get("outcome").asText()).isIn("judged", "unparsed", "empty");
        });
        assertThat(result.get("agreements")).hasSize(1);
    }

    /** Before a model is loaded: a judge that is not there would be missed hours later. */
    @Test
    void aJudgeThatIsDownOrUnknownIsOneLine() throws IOException {
        int port;
        try (ServerSocket socket = new ServerSocket(0)) {
            port = socket.getLocalPort();
        }
        Path judges = Files.writeString(
                dir.resolve("judges.yaml"),
                "judges: [{id: rubric, type: endpoint, url: \"http://localhost:" + port + "/v1\", model_name: m}]");
        Ran down = evaluate("harmfulness", "forbidden.csv", "--judges=" + judges, "--judge=rubric");
        assertThat(down.exit()).isEqualTo(1);
        assertThat(down.err().strip().lines().toList())
                .singleElement()
                .asString()
                .contains("judge rubric (http://localhost:" + port + "/v1): cannot be reached");
        Ran unknown = evaluate("harmfulness", "forbidden.csv", "--judges=" + judges, "--judge=rubrik");
        assertThat(unknown.exit()).isNotZero();
        assertThat(unknown.err()).contains("--judge: must be one of", "did you mean rubric?");
    }

    /** Prompts that lost their examples, or their question, are said beside the scores in every form. */
    @Test
    void cutPromptsAreSaidBesideTheScores() throws IOException {
        int positions = Json.MAPPER
                .readTree(demo.resolve("aligned/config.json").toFile())
                .get("max_position_embeddings")
                .asInt();
        Path rows = Files.writeString(
                dir.resolve("rows.jsonl"),
                "{\"question\": \"1 + 1?\", \"answer\": \"2\"}\n{\"question\": \"" + "1 + 1 + ".repeat(40)
                        + "1?\", \"answer\": \"two\"}\n");
        String[] options = {
            "--fewshot-data=" + rows,
            "--num-fewshot=2",
            "--fewshot-sampler=first_n",
            "--max-new-tokens=" + (positions - 40)
        };
        Ran table = evaluate("gsm8k", rows.toString(), options);
        assertThat(table.exit()).as(table.err()).isZero();
        String cut = "2 of 2 gsm8k prompts were longer than the 40 tokens that max_position_embeddings (" + positions
                + ") and max_new_tokens (" + (positions - 40)
                + ") leave, and lost their beginning, 1 of them a part of their own question";
        String noNumber = "1 of 2 right answers in rows.jsonl are none that the filters of gsm8k take";
        assertThat(table.out()).contains("warning: " + cut, "warning: " + noNumber);
        List<String> json = new ArrayList<>(Arrays.asList(options));
        json.add("--json");
        Ran scores = evaluate("gsm8k", rows.toString(), json.toArray(String[]::new));
        assertThat(Json.MAPPER.readTree(scores.out())).hasSize(2);
        assertThat(scores.err()).contains("warning: " + cut, "warning: " + noNumber);
        assertThat(Json.MAPPER.readTree(dir.resolve("out.json").toFile()).get("warnings"))
                .hasSize(2);
        Ran nothingLeft = evaluate(
                "gsm8k", "problems.jsonl", "--num-fewshot=0", "--limit=3", "--max-new-tokens=" + (positions - 4));
        assertThat(nothingLeft.exit()).isEqualTo(1);
        assertThat(nothingLeft.err()).contains("not one of the 3 questions in problems.jsonl fits into the 4 tokens");
    }

    @Test
    void aLossThatIsNotFiniteIsAFailure() throws IOException {
        String module = "model.layers.0.self_attn.q_proj";
        JsonNode config =
                Json.MAPPER.readTree(demo.resolve("aligned/config.json").toFile());
        int size = config.get("hidden_size").asInt();
        float[] broken = new float[size];
        Arrays.fill(broken, 1e30f); // their product is not finite in float32
        PeftAdapter.of(
                        LoraConfig.of("aligned", 1, 1, 0, List.of("q_proj")),
                        List.of(new LoraModule(module, 1, size, size, broken, broken, 1, Dtype.F32)))
                .write(dir.resolve("adapter"));
        Ran outcome = evaluate("answer_loss", "problems.jsonl", "--limit=2", "--adapter=" + dir.resolve("adapter"));
        assertThat(outcome.exit()).isEqualTo(1);
        assertThat(outcome.out()).isEmpty();
        assertThat(outcome.err()).contains("answer_loss of adapter is NaN, which is not a score");
    }
}
