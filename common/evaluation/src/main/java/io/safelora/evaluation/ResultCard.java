package io.safelora.evaluation;

import ai.djl.engine.Engine;
import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.checkpoint.LoraConfig;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.contract.JobEvent.AdapterProjected;
import io.safelora.contract.JobEvent.Score;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.contract.TrainingOptions.Method;
import io.safelora.evaluation.Evaluation.Result;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/**
 * The README.md of a job's adapter or checkpoint, with the front matter that Hugging Face's hub reads: what it is made
 * of, how it was trained and repaired, what it scores, and the digests of all that it was made from.
 */
public final class ResultCard {
    public static final String FILE = "README.md";

    private ResultCard() {}

    /**
     * @param trained the adapter or checkpoint before its repair, with trainer_state.json where it was trained here
     * @param conclusion what was done to it, and what the scores say of it
     * @param repaired what the card is for, with selection.json unless nothing was repaired
     * @param origin digests by name
     */
    public static String of(
            JobRequest request,
            Result result,
            Conclusion conclusion,
            Path trained,
            Path repaired,
            Map<String, String> origin)
            throws IOException {
        LoraConfig config =
                PeftAdapter.isIn(repaired) ? PeftAdapter.open(repaired).config() : null;
        JsonNode selection = json(repaired.resolve("selection.json"));
        JsonNode state = json(trained.resolve("trainer_state.json"));
        StringBuilder text = new StringBuilder("---\nbase_model: ")
                .append(Json.MAPPER.valueToTree(request.aligned()).toString())
                .append("\nlibrary_name: ")
                .append(config == null ? "transformers" : "peft")
                .append("\npipeline_tag: text-generation\ntags:\n")
                .append(config == null ? "" : "- lora\n")
                .append("- safelora\n---\n\n# ")
                .append(config == null ? "Fine-tuned " : "LoRA adapter of ")
                .append(request.aligned())
                .append("\n\n" + (config == null ? "All weights fine-tuned" : "Fine-tuned"))
                .append(
                        conclusion.repair().equals(Conclusion.NONE_NEEDED)
                                ? ". It meets what was required of it, and nothing was repaired.\n"
                                : ", then repaired by SafeLoRA (arXiv 2405.16833) so that the "
                                        + "model keeps its refusals: "
                                        + selection.path("selected").size()
                                        + " modules were changed; `selection.json` has them.\n");
        if (selection.path("warning").isTextual()) {
            text.append("\nNote: ").append(selection.get("warning").asText()).append(".\n");
        }
        if (!conclusion.sentences().isEmpty()) {
            text.append("\n## Verdict\n\n");
            conclusion
                    .sentences()
                    .forEach(sentence -> text.append("- ").append(sentence).append(".\n"));
        }
        text.append(
                "\n## Scores\n\n| model | task | metric | value | interval | samples |\n|---|---|---|---|---|---|\n");
        for (Score score : Scores.worthShowing(result.scores())) {
            text.append(String.format(
                    Locale.ROOT,
                    "| %s | %s | %s %s | %.4f | %s | %d |\n",
                    score.model(),
                    score.task(),
                    score.label(),
                    score.higherIsBetter() ? "↑" : "↓",
                    score.value(),
                    score.lower() == null
                            ? ""
                            : String.format(
                                    Locale.ROOT, "%.4f to %.4f, %s", score.lower(), score.upper(), score.interval()),
                    score.samples()));
        }
        result.warnings()
                .forEach(warning -> text.append("\nNote: ").append(warning).append(".\n"));
        Map<String, String> rows = new LinkedHashMap<>();
        if (config != null) {
            rows.put("r, lora_alpha, use_rslora", config.r() + ", " + config.loraAlpha() + ", " + config.useRslora());
            rows.put("target_modules", config.targetModules().toString());
        }
        options(rows, "training", request.training());
        options(rows, "selection", request.selection());
        if (state.path("global_step").isNumber()) {
            rows.put("training, steps", state.get("global_step").asText());
        }
        table(text, "Options", rows);
        Map<String, String> provenance = new LinkedHashMap<>();
        provenance.put("base", request.base());
        provenance.put("aligned", request.aligned());
        provenance.putAll(origin);
        table(text, "Provenance", provenance);
        return text.toString();
    }

    private static void options(Map<String, String> rows, String prefix, Object options) {
        if (options != null) {
            JsonNode json = Json.MAPPER.valueToTree(options);
            json.properties()
                    .forEach(o ->
                            rows.put(prefix + "." + o.getKey(), o.getValue().toString()));
        }
    }

    private static void table(StringBuilder text, String title, Map<String, String> rows) {
        text.append("\n## ").append(title).append("\n\n| | |\n|---|---|\n");
        rows.forEach((name, value) -> text.append("| ")
                .append(name)
                .append(" | ")
                .append(value.replaceAll("\\p{Cntrl}", " ").replace("|", "\\|"))
                .append(" |\n"));
    }

    private static JsonNode json(Path file) throws IOException {
        return Files.exists(file) ? Json.MAPPER.readTree(file.toFile()) : Json.MAPPER.missingNode();
    }

    /**
     * Digests and versions of what a result was made of, by name.
     *
     * @param model the digest of the aligned model
     */
    public static Map<String, String> origin(AdapterProjected event, String model, String device) {
        Map<String, String> rows = new LinkedHashMap<>();
        rows.put("aligned, digest", model);
        rows.put("alignment, sha256", event.alignment().sha256());
        JobRequest request = event.request();
        boolean full = request.training() != null && request.training().method() == Method.full;
        String what = full ? "checkpoint" : "adapter";
        rows.put(what + " before projection, sha256", event.adapter().sha256());
        rows.put("projected " + what, event.projected().uri());
        rows.put("projected " + what + ", sha256", event.projected().sha256());
        rows.put(
                "software",
                "evaluator result version " + Evaluation.VERSION + ", PyTorch "
                        + Engine.getEngine("PyTorch").getVersion() + ", Java "
                        + System.getProperty("java.version") + ", device " + device);
        return rows;
    }
}
