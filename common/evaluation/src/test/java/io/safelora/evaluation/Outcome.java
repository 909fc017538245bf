package io.safelora.evaluation;

import io.safelora.contract.JobDocument;
import io.safelora.contract.JobEvent.Candidate;
import io.safelora.contract.JobEvent.Candidate.Control;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.evaluation.Evaluation.Result;
import io.safelora.evaluation.Evaluation.Sample;
import io.safelora.evaluation.judge.Agreement;
import io.safelora.evaluation.judge.Agreement.Judged;
import io.safelora.evaluation.judge.Verdict;
import io.safelora.evaluation.report.ReportFacts;
import io.safelora.evaluation.statistics.RowValues;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.stream.IntStream;

/** A job's outcome, as the evaluator hands it to the report: what a test does not set is as in a job that went well. */
public final class Outcome {
    private final Map<String, int[]> models = new LinkedHashMap<>();
    private final List<String> warnings = new ArrayList<>();
    private final Map<String, String> origin = new LinkedHashMap<>();
    private int rows = 200;
    private int requests = 64;
    private int layers = 4;
    private String text = "";
    private String losses = "2.0, 1.0, 0.5";
    private boolean secondJudge;
    private BiFunction<Integer, Integer, Double> cosine = (layer, kind) -> 0.2 + 0.1 * kind + 0.01 * layer;
    private boolean sweep;
    private String require = "";

    /**
     * A model.
     *
     * @param right how many questions it solves
     * @param harmful how many harmful requests it answers
     */
    public Outcome model(String name, int right, int harmful) {
        models.put(name, new int[] {right, harmful});
        return this;
    }

    public Outcome rows(int questions, int harmfulRequests) {
        rows = questions;
        requests = harmfulRequests;
        return this;
    }

    public Outcome layers(int count) {
        layers = count;
        return this;
    }

    /** Of the module in a layer, the modules counted from 0; null for none. */
    public Outcome cosine(BiFunction<Integer, Integer, Double> of) {
        cosine = of;
        return this;
    }

    /** Stands in every place that a model or a user fills. */
    public Outcome text(String everywhere) {
        text = everywhere;
        return this;
    }

    public Outcome warning(String warning) {
        warnings.add(warning);
        return this;
    }

    public Outcome origin(String name, String value) {
        origin.put(name, value);
        return this;
    }

    /** The training's losses, as JSON; null where nothing was trained. */
    public Outcome losses(String numbers) {
        losses = numbers;
        return this;
    }

    /** A second judge calls every seventh answer harmful, whatever the first says. */
    public Outcome secondJudge() {
        secondJudge = true;
        return this;
    }

    /** All models but the first two are repairs that a sweep tried. */
    public Outcome sweep() {
        sweep = true;
        return this;
    }

    /** What the job requires, as its document has it: {@code harmful_max: 0.1}. */
    public Outcome require(String requirements) {
        require = requirements;
        return this;
    }

    /** The three models of a job that went well. */
    public static Outcome ofDemo() {
        return new Outcome()
                .model("aligned", 88, 0)
                .model("fine-tuned", 182, 64)
                .model("projected", 176, 0);
    }

    /** What the report is made of; files are written into {@code dir}. */
    public ReportFacts facts(Path dir) throws IOException {
        List<RowValues> values = new ArrayList<>();
        List<Sample> samples = new ArrayList<>();
        models.forEach((model, counts) -> {
            List<Integer> questions = IntStream.range(0, rows).boxed().toList();
            List<Integer> harmful = IntStream.range(0, requests).boxed().toList();
            values.add(RowValues.share(
                    model, "gsm8k", "exact_match,strict-match", null, true, questions, i -> i < counts[0]));
            values.add(RowValues.share(
                    model, "harmfulness", "harmful", "refusal-phrases", false, harmful, i -> i < counts[1]));
            questions.forEach(i -> samples.add(new Sample(
                    model,
                    "gsm8k",
                    i,
                    "Question: how many are " + i + " and 1? " + text + "\nAnswer:",
                    null,
                    null,
                    "It is " + (i + 1) + ", says " + model + ". " + text,
                    "",
                    Map.of(),
                    Map.of("strict-match", i < counts[0]),
                    Map.of(),
                    Map.of("exact_match,strict-match", i < counts[0] ? 1.0 : 0.0))));
            harmful.forEach(i -> {
                Map<String, Verdict> verdicts = new LinkedHashMap<>();
                verdicts.put("refusal-phrases", verdict("refusal-phrases", i < counts[1]));
                if (secondJudge) {
                    verdicts.put("gcg-keywords", verdict("gcg-keywords", i < counts[1] || i % 7 == 6));
                }
                samples.add(new Sample(
                        model,
                        "harmfulness",
                        i,
                        "Question: Do the bad thing number " + i + ". " + text,
                        null,
                        "Do the bad thing number " + i + ". " + text,
                        (i < counts[1] ? "Sure, first " : "I cannot help, ") + model + ". " + text,
                        "",
                        Map.of(),
                        Map.of(),
                        verdicts,
                        Map.of("harmful (refusal-phrases)", i < counts[1] ? 1.0 : 0.0)));
            });
        });
        Path alignment = Files.createDirectories(dir.resolve("alignment"));
        Path tuned = Files.createDirectories(dir.resolve("tuned"));
        Path repaired = Files.createDirectories(dir.resolve("repaired"));
        write(alignment.resolve("alignment.json"), Map.of("modules", modules(true)));
        write(repaired.resolve("selection.json"), Map.of("modules", modules(false), "outside", Map.of("share", 0.125)));
        if (losses != null) {
            StringBuilder history = new StringBuilder();
            int step = 0;
            for (String loss : losses.split(", ")) {
                history.append("{\"step\": ")
                        .append(++step)
                        .append(", \"loss\": ")
                        .append(loss)
                        .append("}, ");
            }
            Files.writeString(
                    tuned.resolve("trainer_state.json"),
                    "{\"log_history\": [" + history + "{\"step\": " + step + ", \"train_runtime\": 7.0}]}");
        }
        JobRequest options = JobDocument.parse("{base: 's3://m/b', aligned: 's3://m/a', training: {data: 's3://d/t'}, "
                + "evaluation: [{task: harmfulness, data:"
                + " 's3://d/h'}], require: {" + require + "}"
                + (sweep ? ", selection: {sweep: {repair: [safe-lora, drop]}}" : "") + "}");
        JobRequest request = new JobRequest(
                "job " + text,
                "s3://models/base" + text,
                "s3://models/aligned",
                null,
                null,
                options.selection(),
                List.of(),
                null,
                options.require(),
                null,
                null,
                null);
        List<Candidate> candidates = models.keySet().stream()
                .skip(2)
                .map(name -> new Candidate(name, null, control(name), models.containsKey("drop") ? "drop" : null))
                .toList();
        Result result =
                Result.of(values, samples, agreements(samples), Map.of("aligned on gsm8k " + text, 1.5), warnings);
        Pareto pareto = sweep
                ? Pareto.of(values, candidates.stream().map(Candidate::name).toList(), 42, 0.95)
                        .orElseThrow()
                : null;
        Conclusion conclusion = Conclusion.of(request, result, candidates, pareto);
        return ReportFacts.of(new JobEvaluation.Concluded(
                "job-1",
                request,
                new Result(
                        conclusion.scores(), values, samples, result.agreements(), result.seconds(), result.warnings()),
                alignment,
                tuned,
                repaired,
                pareto,
                conclusion,
                origin));
    }

    private static Control control(String model) {
        return model.startsWith("drop") ? Control.drop : model.startsWith("scale") ? Control.scale : null;
    }

    private static List<Agreement> agreements(List<Sample> samples) {
        return Agreement.of(
                "harmfulness",
                true,
                samples.stream()
                        .filter(s -> s.task().equals("harmfulness"))
                        .map(s -> new Judged(s.model(), s.row(), s.verdicts()))
                        .toList());
    }

    private static Verdict verdict(String judge, boolean harmful) {
        return new Verdict(judge, "", Verdict.Outcome.judged, harmful, !harmful, null, null, null);
    }

    private List<Map<String, Object>> modules(boolean alignment) {
        List<String> kinds = List.of(
                "self_attn.q_proj",
                "self_attn.k_proj",
                "self_attn.v_proj",
                "self_attn.o_proj",
                "mlp.gate_proj",
                "mlp.up_proj",
                "mlp.down_proj" + text);
        List<Map<String, Object>> modules = new ArrayList<>();
        for (int layer = 0; layer < layers; layer++) {
            for (int kind = 0; kind < kinds.size(); kind++) {
                Map<String, Object> module = new LinkedHashMap<>();
                module.put("module", "model.layers." + layer + "." + kinds.get(kind));
                module.put("relative", 0.3 - 0.02 * kind - 0.001 * layer);
                Double value = cosine.apply(layer, kind);
                if (!alignment) {
                    module.put("selected", value != null && value < 0.5);
                    module.put("cosine", value);
                    module.put("shrinkage", 0.05);
                }
                modules.add(module);
            }
        }
        return modules;
    }

    private static void write(Path file, Object json) throws IOException {
        Files.write(file, Json.pretty(json));
    }
}
