package io.safelora.training;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.contract.Json;
import io.safelora.contract.TrainingOptions;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/** The README.md of what was trained, with the front matter that Hugging Face's hub reads. */
public final class ModelCard {
    private ModelCard() {}

    /**
     * Where a training's inputs come from.
     *
     * @param baseModel what the result calls the model that it started from
     * @param fingerprint the same for trainings of the same inputs and options
     * @param provenance what the inputs were, by name: URIs and digests
     */
    public record Origin(String baseModel, String fingerprint, Map<String, String> provenance) {}

    /** @param adapter what was trained; null: all weights */
    static String of(FineTuning.Options all, PeftAdapter adapter, TrainerState state) throws IOException {
        Origin origin = all.origin();
        TrainingOptions options = all.training();
        var first = state.steps().get(0);
        StringBuilder text = new StringBuilder();
        text.append("---\nbase_model: ")
                .append(Json.MAPPER.valueToTree(origin.baseModel()).toString());
        text.append("\nlibrary_name: ")
                .append(adapter == null ? "transformers" : "peft")
                .append("\npipeline_tag: text-generation\ntags:\n")
                .append(adapter == null ? "" : "- lora\n")
                .append("- safelora\n---\n\n# ")
                .append(adapter == null ? "Fine-tuned " : "LoRA adapter of ")
                .append(origin.baseModel())
                .append("\n\n");
        text.append(String.format(
                Locale.ROOT,
                "Trained by SafeLoRA's lora-trainer: %s, %d optimizer steps (%.2f epochs), loss %.4f at the"
                        + " first and %.4f at "
                        + "the last step%s. `trainer_state.json` has every step.\n\n",
                adapter == null ? "all weights" : adapter.modules().size() + " modules",
                state.globalStep(),
                state.epoch(),
                first.loss(),
                state.last().loss(),
                state.bestMetric() == null
                        ? ""
                        : String.format(
                                Locale.ROOT,
                                ", lowest eval_loss %.4f after step %d",
                                state.bestMetric(),
                                state.bestGlobalStep())));
        if (adapter != null) {
            text.append(
                    "It updates the weights of the model above: merge it into, or load it on, that model only.\n\n");
        }
        String dropout = ModelDropout.note(Checkpoint.open(all.model()).config());
        if (dropout != null) {
            text.append("In training ").append(dropout).append(".\n\n");
        }
        text.append("## Training options\n\n");
        Map<String, String> rows = new LinkedHashMap<>();
        JsonNode json = Json.MAPPER.valueToTree(options);
        json.properties().forEach(option -> rows.put(option.getKey(), plain(option.getValue())));
        if (adapter != null) {
            // An adapter that training started from has its own.
            rows.put("r", Integer.toString(adapter.config().r()));
            rows.put("lora_alpha", Double.toString(adapter.config().loraAlpha()));
            rows.put("lora_dropout", Double.toString(adapter.config().loraDropout()));
            rows.put("use_rslora", Boolean.toString(adapter.config().useRslora()));
            rows.put("target_modules", plain(adapter.config().targetModules()));
        }
        table(text, "option", rows);
        text.append("\n## Provenance\n\n");
        table(text, "input", new TreeMap<>(origin.provenance()));
        return text.toString();
    }

    private static void table(StringBuilder text, String head, Map<String, String> rows) {
        text.append("| ").append(head).append(" | value |\n|---|---|\n");
        rows.forEach((name, value) -> text.append("| ")
                .append(name)
                .append(" | ")
                .append(value.replaceAll("\\p{Cntrl}", " ").replace("|", "\\|"))
                .append(" |\n"));
    }

    private static String plain(JsonNode value) {
        return value.isTextual() ? "`" + value.asText() + "`" : value.toString();
    }
}
