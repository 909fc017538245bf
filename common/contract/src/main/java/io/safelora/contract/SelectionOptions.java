package io.safelora.contract;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import com.fasterxml.jackson.databind.node.ObjectNode;
import jakarta.validation.Valid;
import jakarta.validation.constraints.DecimalMax;
import jakarta.validation.constraints.DecimalMin;
import jakarta.validation.constraints.Max;
import jakarta.validation.constraints.Min;
import jakarta.validation.constraints.Pattern;
import jakarta.validation.constraints.Size;
import java.util.List;
import java.util.Map;

/**
 * How the fine-tuned adapter is repaired: which modules are chosen, and what becomes of their updates (SafeLoRA, arXiv
 * 2405.16833, sections 3.2 and 3.3, and its rivals).
 */
public record SelectionOptions(
        @JsonProperty(defaultValue = "number")
        @JsonPropertyDescription("number: the modules of lowest cosine; threshold: all whose cosine is below "
                + "threshold; auto: the fewest modules of lowest cosine that hold 90 % of the "
                + "sum of 1 - cosine^2; energy: the fewest modules that hold share of all "
                + "modules' |V|_F^2; random: number modules, by seed; all: every module. "
                + "layers and modules narrow each of them down")
        Strategy strategy,

        @Min(0)
        @JsonProperty(defaultValue = "30")
        @JsonPropertyDescription("How many modules strategies number and random choose; ties go by module name")
        Integer number,

        @DecimalMin("-1")
        @DecimalMax("1")
        @JsonProperty(defaultValue = "0.5")
        @JsonPropertyDescription("The cosine below which strategy threshold chooses")
        Double threshold,

        @DecimalMin(value = "0", inclusive = false)
        @DecimalMax("1")
        @JsonProperty(defaultValue = "0.5")
        @JsonPropertyDescription("The share of all modules' |V|_F^2 that strategy energy covers")
        Double share,

        @Pattern(regexp = "\\d{1,5}(-\\d{1,5})?(,\\d{1,5}(-\\d{1,5})?){0,99}")
        @JsonPropertyDescription("Only modules of these layers are chosen: \"8-19\", \"0,2,4-7\"; default: all layers")
        String layers,

        @Size(min = 1, max = 100)
        @JsonPropertyDescription("Only modules whose name ends with one of these are chosen, as in PEFT's "
                + "target_modules: [q_proj, mlp.down_proj]; default: all")
        List<@Size(min = 1, max = 200) String> modules,

        @JsonProperty(defaultValue = "42")
        @JsonPropertyDescription("Seed of strategy random, and of which half of the evaluation rows chooses in a sweep")
        Long seed,

        @JsonProperty(defaultValue = "safe-lora")
        @JsonPropertyDescription("safe-lora: a chosen module's update dW becomes C dW (arXiv 2405.16833); "
                + "safe-merge: it is blended with a safety adapter's (arXiv 2503.17239); drop: "
                + "it becomes zero; scale: every module's update times scale; safety-vector: "
                + "every module's update plus gamma times the rank largest singular triplets "
                + "of V (arXiv 2402.11746, 2506.15606)")
        Repair repair,

        @JsonProperty(defaultValue = "approximate")
        @JsonPropertyDescription("approximate: C = V V^T / |V|_F, the paper's; normalized: C = V V^T / "
                + "|V|_2^2; exact: C = V (V^T V)^+ V^T; subspace: C = U_k U_k^T of the left "
                + "singular vectors that hold energy of |V|_F^2. Strategies number, threshold "
                + "and auto measure the cosine by it")
        Projector projector,

        @DecimalMin(value = "0", inclusive = false)
        @DecimalMax("1")
        @JsonProperty(defaultValue = "0.9")
        @JsonPropertyDescription("The share of |V|_F^2 that projector subspace keeps")
        Double energy,

        @DecimalMin("0")
        @DecimalMax("1")
        @JsonProperty(defaultValue = "1")
        @JsonPropertyDescription(
                "safe-lora: the update becomes (1 - blend) dW + blend C dW; safe-merge: (1 - blend) dW + blend dW_safe")
        Double blend,

        @DecimalMin("0")
        @DecimalMax("1")
        @JsonProperty(defaultValue = "0.5")
        @JsonPropertyDescription("Repair scale: what every update is multiplied by")
        Double scale,

        @DecimalMin("0")
        @DecimalMax("100")
        @JsonProperty(defaultValue = "1")
        @JsonPropertyDescription("Repair safety-vector: what V is multiplied by")
        Double gamma,

        @Min(1)
        @Max(1024)
        @JsonProperty(defaultValue = "16")
        @JsonPropertyDescription(
                "Repair safety-vector: how many singular triplets of V, and ranks of the adapter, are added")
        Integer rank,

        @Pattern(regexp = ArtifactRef.URI)
        @JsonPropertyDescription("Repair safe-merge: a PEFT adapter of the aligned model, trained on safety data")
        String safetyAdapter,

        @JsonProperty(defaultValue = "after-training")
        @JsonPropertyDescription("after-training, or every-step: the update is projected after every "
                + "optimizer step, which needs repair safe-lora with projector exact or "
                + "subspace, blend 1, and a strategy that needs no trained update (all, "
                + "energy, random)")
        When when,

        @Valid
        @JsonPropertyDescription("Try many repairs of the one trained adapter, and recommend the best; fields "
                + "it does not list keep the value beside it")
        SweepOptions sweep) {

    /** How modules are chosen. */
    public enum Strategy {
        number,
        threshold,
        auto,
        energy,
        random,
        all
    }

    /** What becomes of the updates. The method has a class for each. */
    public enum Repair {
        @JsonProperty("safe-lora")
        safe_lora,
        @JsonProperty("safe-merge")
        safe_merge("safety_adapter"),
        @JsonProperty("safety-vector")
        safety_vector,
        @JsonProperty("drop")
        drop,
        @JsonProperty("scale")
        scale;

        private final List<String> needs;

        Repair(String... needs) {
            this.needs = List.of(needs);
        }

        /** The fields of a selection that have no default and must be given with it. */
        public List<String> needs() {
            return needs;
        }

        /** As documents have it. */
        @Override
        public String toString() {
            return name().replace('_', '-');
        }
    }

    /** What a chosen module's update is multiplied by. */
    public enum Projector {
        approximate,
        normalized,
        exact,
        subspace
    }

    /** When the updates are projected. */
    public enum When {
        @JsonProperty("after-training")
        after_training,
        @JsonProperty("every-step")
        every_step
    }

    /** What stands where nothing is said. */
    public static final SelectionOptions DEFAULTS = of(Map.of());

    public SelectionOptions {
        strategy = strategy == null ? Strategy.number : strategy;
        number = number == null ? 30 : number;
        threshold = threshold == null ? 0.5 : threshold;
        share = share == null ? 0.5 : share;
        modules = modules == null ? null : List.copyOf(modules);
        seed = seed == null ? 42L : seed;
        repair = repair == null ? Repair.safe_lora : repair;
        projector = projector == null ? Projector.approximate : projector;
        energy = energy == null ? 0.9 : energy;
        blend = blend == null ? 1.0 : blend;
        scale = scale == null ? 0.5 : scale;
        gamma = gamma == null ? 1.0 : gamma;
        rank = rank == null ? 16 : rank;
        when = when == null ? When.after_training : when;
    }

    /** Options by the names they have in a job document; the rest are the defaults. */
    public static SelectionOptions of(Map<String, ?> fields) {
        return Json.MAPPER.convertValue(fields, SelectionOptions.class);
    }

    /** These options with other values for some fields, by the names they have in a job document. */
    public SelectionOptions with(Map<String, ?> fields) {
        ObjectNode json = Json.MAPPER.valueToTree(this);
        json.setAll((ObjectNode) Json.MAPPER.valueToTree(fields));
        return Json.MAPPER.convertValue(json, SelectionOptions.class);
    }

    /** These options without the sweep over them. */
    public SelectionOptions withoutSweep() {
        ObjectNode json = Json.MAPPER.valueToTree(this);
        json.remove("sweep");
        return Json.MAPPER.convertValue(json, SelectionOptions.class);
    }

    /** Whether the strategy looks at cosines, so that it can only choose when there is an update. */
    public boolean byCosine() {
        return strategy == Strategy.number || strategy == Strategy.threshold || strategy == Strategy.auto;
    }
}
