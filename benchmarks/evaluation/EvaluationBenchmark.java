import com.fasterxml.jackson.databind.JsonNode;
import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.EvaluationTask;
import io.safelora.contract.JobDocument;
import io.safelora.contract.JobEvent.Candidate;
import io.safelora.contract.JudgeOptions;
import io.safelora.evaluation.Evaluation;
import io.safelora.evaluation.JobEvaluation;
import io.safelora.evaluation.LocalTask;
import io.safelora.evaluation.judge.Judges;
import io.safelora.evaluation.judge.ReplyCache;
import io.safelora.evaluation.judge.Verdict.Outcome;
import io.safelora.lm.CausalLm;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The evaluation of PLAN.json by this project; writes ours.json beside it. */
public class EvaluationBenchmark {
    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        JsonNode plan = JSON.readTree(Path.of(args[0]).toFile());
        Path out = Path.of(plan.get("out").asText());
        String dtype = plan.get("dtype").asText();
        ObjectNode declaration = JSON.createObjectNode();
        ObjectNode guard = declaration.putArray("judges").addObject();
        guard.put("id", "guard").put("type", plan.get("guard_type").asText());
        guard.put("model", Path.of(plan.get("guard").asText()).toUri().toString()).put("dtype", dtype);
        List<JudgeOptions> judges = JudgeOptions.Declaration.of(declaration).judges();

        List<LocalTask> tasks = new ArrayList<>();
        ObjectNode gsm8k = task("gsm8k", Path.of(plan.get("test").asText()), plan, "questions", "gsm8k_tokens");
        gsm8k.put("num_fewshot", plan.get("num_fewshot").asInt()).put("fewshot_sampler", plan.get("sampler").asText());
        gsm8k.put("fewshot_data", Path.of(plan.get("train").asText()).toUri().toString());
        tasks.add(LocalTask.of(EvaluationTask.ofOptions(gsm8k), EvaluationBenchmark::path));
        for (String kind : List.of("harmful", "harmless")) {
            Path data = out.resolve(kind + ".csv");
            // Both as harmful requests: a guard of any type judges those.
            ObjectNode requests = task("harmfulness", data, plan, kind, "answer_tokens");
            requests.put("apply_chat_template", true);
            requests.putArray("judge").add("guard");
            tasks.add(LocalTask.of(EvaluationTask.ofOptions(requests, judges), EvaluationBenchmark::path));
        }
        Path repaired = out.resolve("repaired");
        Candidate projected = new Candidate(
                "projected", new ArtifactRef(repaired.toUri().toString(), "0".repeat(64), 0), null, null);
        ObjectNode job = JSON.createObjectNode();
        for (String model : List.of("base", "aligned")) {
            job.put(model, Path.of(plan.get("model").asText()).toUri().toString());
        }
        job.put("adapter", out.resolve("adapter").toUri().toString());

        long jvm = java.lang.management.ManagementFactory.getRuntimeMXBean().getStartTime();
        Evaluation.Result result = new JobEvaluation(
                        JobDocument.parse(job.toString()),
                        new JobEvaluation.Models(
                                Path.of(plan.get("model").asText()),
                                out.resolve("adapter"),
                                List.of(projected),
                                Map.of("projected", repaired)),
                        checkpoint -> CausalLm.load(checkpoint, "cpu", dtype).forInference(),
                        tasks,
                        new Judges(
                                judges,
                                new Judges.Access(
                                        EvaluationBenchmark::path,
                                        (checkpoint, type) ->
                                                CausalLm.load(checkpoint, "cpu", type).forInference(),
                                        ReplyCache.NONE,
                                        url -> false,
                                        name -> null)))
                .measure((share, words) -> {});

        ObjectNode ours = JSON.createObjectNode();
        ours.put("seconds", (System.currentTimeMillis() - jvm) / 1e3);
        ours.put(
                "cpu_seconds",
                ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime() / 1e9);
        ours.set("parts", JSON.valueToTree(result.seconds()));
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM")) {
                ours.put("peak_mb", Integer.parseInt(line.replaceAll("\\D", "")) / 1024);
            }
        }
        ObjectNode scores = ours.putObject("gsm8k");
        result.scores().stream()
                .filter(score -> score.metric().equals("exact_match,flexible-extract"))
                .forEach(score -> scores.put(score.model(), score.value()));
        var answers = ours.putArray("answers");
        for (String model : List.of("aligned", "fine-tuned", "projected")) {
            result.samples().stream()
                    .filter(sample -> sample.model().equals(model) && !sample.verdicts().isEmpty())
                    .forEach(sample -> answers.addArray().add("").add(model).add(sample.response()));
        }
        ours.put(
                "unparsed",
                result.samples().stream()
                        .flatMap(sample -> sample.verdicts().values().stream())
                        .filter(verdict -> verdict.outcome() == Outcome.unparsed)
                        .count());
        JSON.writeValue(out.resolve("ours.json").toFile(), ours);
    }

    private static Path path(String uri) {
        return Path.of(URI.create(uri));
    }

    private static ObjectNode task(String name, Path data, JsonNode plan, String rows, String tokens) {
        ObjectNode task = JSON.createObjectNode().put("task", name).put("data", data.toUri().toString());
        return task.put("limit", plan.get(rows).asInt())
                .put("max_new_tokens", plan.get(tokens).asInt())
                .put("batch_size", plan.get("batch").asInt());
    }
}
