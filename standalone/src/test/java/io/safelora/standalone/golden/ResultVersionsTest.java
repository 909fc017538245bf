package io.safelora.standalone.golden;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.ResumePoint;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.contract.JobDocument;
import io.safelora.contract.JobEvent.Candidate;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.evaluation.Conclusion;
import io.safelora.evaluation.Evaluation;
import io.safelora.evaluation.JobEvaluation;
import io.safelora.evaluation.JobEvaluation.Models;
import io.safelora.evaluation.LocalTask;
import io.safelora.evaluation.judge.Judges;
import io.safelora.lm.CausalLm;
import io.safelora.method.Alignment;
import io.safelora.method.AlignmentAnalysis;
import io.safelora.method.FineTuned;
import io.safelora.method.Progress;
import io.safelora.method.Repairing;
import io.safelora.method.Selection;
import io.safelora.method.SelectionReport;
import io.safelora.method.Sources;
import io.safelora.method.Sweep.Point;
import io.safelora.standalone.demo.DemoModels;
import io.safelora.training.FineTuning;
import io.safelora.training.ModelCard;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What each stage makes of the demo's models, against what it made when its version was raised last. A store that was
 * kept over an upgrade serves the old results for the same version; so a change of outputs must come with a new one.
 *
 * <p>The files under resources/golden are written by this test itself: raise the version, run it with {@code
 * -Dgolden.update=true}, and look at the difference.
 */
class ResultVersionsTest {
    private static final Path GOLDEN = Path.of("src/test/resources/golden");

    /** Sums of floats in another order, on another kind of CPU. */
    private static final double TOLERANCE = 2e-3;

    private static final Progress SILENT = (share, words) -> {};

    private static final String JOB = """
            base: file:///base
            aligned: file:///aligned
            training: {data: "file:///rows", r: 4, lora_dropout: 0.1, max_steps: 4, learning_rate: 1.0e-2}
            selection: {number: 5, sweep: {repair: [safe-lora, safety-vector], rank: [2], scale: [0.5]}}
            evaluation:
              - {task: gsm8k, data: "file:///problems.jsonl", num_fewshot: 0, limit: 4, max_new_tokens: 24}
              - {task: answer_loss, data: "file:///problems.jsonl", limit: 4}
              - {task: harmfulness, data: "file:///forbidden.csv", limit: 4, max_new_tokens: 12, judge: \
            [refusal-phrases, gcg-keywords]}
              - {task: over_refusal, data: "file:///harmless.csv", limit: 4, max_new_tokens: 12}
            dtype: float32
            device: cpu
            """;

    @TempDir
    static Path dir;

    private static JobRequest job;
    private static Path adapter;
    private static JsonNode trained;

    @BeforeAll
    static void train() throws IOException {
        DemoModels.unpack(dir);
        job = JobDocument.parse(JOB);
        adapter = dir.resolve("adapter");
        trained = train(job, adapter);
    }

    private static JsonNode train(JobRequest request, Path out) throws IOException {
        FineTuning.Options options = new FineTuning.Options(
                dir.resolve("aligned"),
                dir.resolve("data/finetuning.jsonl"),
                null,
                null,
                request.training(),
                null,
                "cpu",
                "float32",
                new ModelCard.Origin("aligned", "golden", Map.of()));
        Files.createDirectories(out);
        var state = FineTuning.run(
                options, out, ResumePoint.at(out.resolveSibling("checkpoint")), parameters -> {}, progress -> {});
        return Json.MAPPER.valueToTree(state);
    }

    @Test
    void alignment() throws IOException {
        Alignment alignment = AlignmentAnalysis.run(base(), aligned(), SILENT);
        check("alignment", AlignmentAnalysis.VERSION, Json.MAPPER.valueToTree(alignment));
    }

    @Test
    void training() throws IOException {
        ObjectNode output = Json.MAPPER.createObjectNode();
        output.set("lora", trained);
        output.set("lora_tensors", tensors(adapter));
        String full = JOB.replace("r: 4, lora_dropout: 0.1", "method: full");
        output.set("full", train(JobDocument.parse(full), dir.resolve("full")));
        check("training", FineTuning.VERSION, output);
    }

    @Test
    void selection() throws IOException {
        check(
                "selection",
                Selection.VERSION,
                Json.MAPPER.valueToTree(repairing().sweep(job.selection(), SILENT)));
    }

    @Test
    void repairs() throws IOException {
        Repairing repairing = repairing();
        ObjectNode output = Json.MAPPER.createObjectNode();
        for (Point point : repairing.sweep(job.selection(), SILENT)) {
            Path out = Files.createDirectories(dir.resolve("repaired").resolve(point.name()));
            SelectionReport report = repairing.repair(point, out, SILENT);
            ObjectNode repair = output.putObject(point.name());
            repair.set("selection", Json.MAPPER.valueToTree(report));
            repair.set("tensors", tensors(out));
        }
        check("repairs", Repairing.VERSION, output);
    }

    @Test
    void evaluation() throws IOException {
        List<LocalTask> tasks = new ArrayList<>();
        for (var task : job.evaluation()) {
            tasks.add(LocalTask.of(task, uri -> dir.resolve("data").resolve(uri.substring("file:///".length()))));
        }
        Models models = new Models(
                dir.resolve("aligned"),
                adapter,
                List.of(new Candidate(Conclusion.PROJECTED, null, null, null)),
                Map.of(Conclusion.PROJECTED, adapter));
        JobEvaluation evaluation = new JobEvaluation(
                job,
                models,
                checkpoint -> CausalLm.load(checkpoint, "cpu", "float32").forInference(),
                tasks,
                Judges.BUILT_IN);
        ObjectNode output = Json.MAPPER.valueToTree(evaluation.measure((share, words) -> {}));
        output.remove("seconds");
        check("evaluation", Evaluation.VERSION, output);
    }

    private static Checkpoint base() throws IOException {
        return Checkpoint.open(dir.resolve("base"));
    }

    private static Checkpoint aligned() throws IOException {
        return Checkpoint.open(dir.resolve("aligned"));
    }

    private static Repairing repairing() throws IOException {
        return new Repairing(FineTuned.open(adapter, new Sources(base(), aligned(), null)));
    }

    /** Sum and norm of each module's B A, which no sign of a singular vector changes. */
    private static JsonNode tensors(Path adapter) throws IOException {
        ObjectNode tensors = Json.MAPPER.createObjectNode();
        for (LoraModule module : PeftAdapter.open(adapter).modules().values()) {
            double sum = 0;
            double squares = 0;
            for (int row = 0; row < module.out(); row++) {
                for (int column = 0; column < module.in(); column++) {
                    double value = 0;
                    for (int k = 0; k < module.r(); k++) {
                        value += (double) module.b()[row * module.r() + k] * module.a()[k * module.in() + column];
                    }
                    value *= module.scale();
                    sum += value;
                    squares += value * value;
                }
            }
            tensors.putObject(module.name()).put("sum", sum).put("norm", Math.sqrt(squares));
        }
        return tensors;
    }

    private static void check(String name, int version, JsonNode output) throws IOException {
        Path file = GOLDEN.resolve(name + ".json");
        if (Boolean.getBoolean("golden.update")) {
            ObjectNode golden = Json.MAPPER.createObjectNode().put("version", version);
            golden.set("output", output);
            Files.write(file, Json.pretty(golden));
        }
        JsonNode golden = Json.MAPPER.readTree(file.toFile());
        List<String> differences = new ArrayList<>();
        compare("", golden.path("output"), Json.MAPPER.readTree(Json.MAPPER.writeValueAsBytes(output)), differences);
        assertThat(differences.stream().limit(10))
                .as(
                        "the results of \"%s\" have changed, but their version is still %d: "
                                + "a store that was kept over the "
                                + "upgrade would serve the old ones. Raise it, and run this "
                                + "test with -Dgolden.update=true",
                        name, version)
                .isEmpty();
        assertThat(golden.path("version").asInt())
                .as("%s.json is of another version: run this test with -Dgolden.update=true", name)
                .isEqualTo(version);
    }

    private static void compare(String at, JsonNode golden, JsonNode now, List<String> differences) {
        if (golden.isNumber() && now.isNumber()) {
            double expected = golden.asDouble();
            if (Math.abs(expected - now.asDouble()) > TOLERANCE * Math.max(Math.abs(expected), 0.01)) {
                differences.add(at + ": was " + golden + ", is " + now);
            }
        } else if (golden.isObject() && now.isObject()) {
            for (Iterator<String> names = golden.fieldNames(); names.hasNext(); ) {
                String name = names.next();
                compare(at + "/" + name, golden.path(name), now.path(name), differences);
            }
            now.fieldNames().forEachRemaining(name -> {
                if (!golden.has(name)) {
                    differences.add(at + "/" + name + ": is new");
                }
            });
        } else if (golden instanceof ArrayNode && now instanceof ArrayNode && golden.size() == now.size()) {
            for (int i = 0; i < golden.size(); i++) {
                compare(at + "/" + i, golden.get(i), now.get(i), differences);
            }
        } else if (!golden.equals(now)) {
            differences.add(at + ": was " + golden + ", is " + now);
        }
    }
}
