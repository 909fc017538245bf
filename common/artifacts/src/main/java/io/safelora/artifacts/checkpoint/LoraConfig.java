package io.safelora.artifacts.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.contract.Json;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * PEFT's {@code adapter_config.json} for LoRA (Hu et al., arXiv 2106.09685). What would change the update {@code
 * scale * B A} in a way that is not supported is refused by name.
 *
 * @param json the document as PEFT writes it
 */
public record LoraConfig(ObjectNode json) {
    /** Options that say how an adapter came to be or for whom, not what it computes. */
    private static final Set<String> HARMLESS = Set.of(
            "auto_mapping",
            "base_model_name_or_path",
            "corda_config",
            "eva_config",
            "exclude_modules",
            "inference_mode",
            "init_lora_weights",
            "layers_pattern",
            "layers_to_transform",
            "loftq_config",
            "lora_dropout",
            "lora_ga_config",
            "megatron_core",
            "peft_type",
            "peft_version",
            "qalora_group_size",
            "revision",
            "runtime_config",
            "target_modules",
            "task_type");
    /** Options that {@link #scale} and {@link #rank} honour. */
    private static final Set<String> HONOURED =
            Set.of("alpha_pattern", "bias", "fan_in_fan_out", "lora_alpha", "r", "rank_pattern", "use_rslora");
    /** Initialisations that change the base model's weights, too. */
    private static final Pattern CHANGES_BASE = Pattern.compile("pissa.*|olora|loftq|corda");

    /** @throws InvalidArtifactException if the adapter is none of LoRA or has an option that is not supported */
    public LoraConfig {
        if (!json.path("peft_type").asText().equals("LORA")) {
            throw invalid("peft_type is " + json.path("peft_type") + "; only LORA is supported");
        }
        if (!json.path("r").isInt() || json.path("r").asInt() < 1) {
            throw invalid("r is " + json.path("r") + ", not a whole number above zero");
        }
        if (!json.path("lora_alpha").isNumber()) {
            throw invalid("lora_alpha is " + json.path("lora_alpha") + ", not a number");
        }
        if (!json.path("bias").asText("none").equals("none")) {
            throw invalid("bias is " + json.path("bias") + "; only none is supported");
        }
        if (CHANGES_BASE.matcher(json.path("init_lora_weights").asText()).matches()) {
            throw invalid("init_lora_weights is " + json.path("init_lora_weights")
                    + ", which changes the base model's weights as well; convert the adapter to plain LoRA"
                    + " (path_initial_model_for_weight_conversion in PEFT's save_pretrained)");
        }
        for (Map.Entry<String, JsonNode> option : json.properties()) {
            if (!HARMLESS.contains(option.getKey())
                    && !HONOURED.contains(option.getKey())
                    && isSet(option.getValue())) {
                throw invalid(
                        option.getKey() + " is " + shortened(option.getValue()) + "; this option is not supported");
            }
        }
    }

    /** A configuration as PEFT writes it. */
    public static LoraConfig of(
            String baseModel, int r, double loraAlpha, double loraDropout, List<String> targetModules) {
        ObjectNode json = Json.MAPPER.createObjectNode();
        json.putObject("alpha_pattern");
        json.putNull("auto_mapping");
        json.put("base_model_name_or_path", baseModel);
        json.put("bias", "none");
        json.put("fan_in_fan_out", false);
        json.put("inference_mode", true);
        json.put("init_lora_weights", true);
        json.putNull("layers_pattern");
        json.putNull("layers_to_transform");
        if (loraAlpha == Math.rint(loraAlpha) && Math.abs(loraAlpha) < 1e9) {
            json.put("lora_alpha", (int) loraAlpha);
        } else {
            json.put("lora_alpha", loraAlpha);
        }
        json.put("lora_dropout", loraDropout);
        json.putNull("modules_to_save");
        json.put("peft_type", "LORA");
        json.put("r", r);
        json.putObject("rank_pattern");
        json.putNull("revision");
        targetModules.forEach(json.putArray("target_modules")::add);
        json.put("task_type", "CAUSAL_LM");
        json.put("use_dora", false);
        json.put("use_rslora", false);
        return new LoraConfig(json);
    }

    /** This configuration for modules of other ranks, each with the scale that it has. */
    LoraConfig withRanks(Collection<LoraModule> modules) {
        ObjectNode changed = json.deepCopy();
        ObjectNode ranks = changed.putObject("rank_pattern");
        ObjectNode alphas = changed.putObject("alpha_pattern");
        // alpha / r holds for any rank; rsLoRA's alpha / sqrt(r) is written as that.
        changed.put("use_rslora", false);
        LoraModule first = modules.iterator().next();
        changed.put("r", first.r());
        changed.put("lora_alpha", first.scale() * first.r());
        for (LoraModule m : modules) {
            // Keys are regular expressions.
            String key = m.name().replace(".", "\\.");
            if (m.r() != first.r()) {
                ranks.put(key, m.r());
            }
            if (m.scale() * m.r() != first.scale() * first.r()) {
                alphas.put(key, m.scale() * m.r());
            }
        }
        return new LoraConfig(changed);
    }

    /** The same with layers_to_transform (null: all layers), use_rslora and fan_in_fan_out. */
    public LoraConfig with(List<Integer> layersToTransform, boolean useRslora, boolean fanInFanOut) {
        ObjectNode changed = json.deepCopy();
        if (layersToTransform != null) {
            layersToTransform.forEach(changed.putArray("layers_to_transform")::add);
        }
        changed.put("use_rslora", useRslora);
        changed.put("fan_in_fan_out", fanInFanOut);
        return new LoraConfig(changed);
    }

    /** The same with a regular expression as target_modules. */
    public LoraConfig withTargetPattern(String pattern) {
        ObjectNode changed = json.deepCopy();
        changed.put("target_modules", pattern);
        return new LoraConfig(changed);
    }

    /** LoRA rank of modules that {@code rank_pattern} does not name. */
    public int r() {
        return json.get("r").asInt();
    }

    public double loraAlpha() {
        return json.get("lora_alpha").asDouble();
    }

    public double loraDropout() {
        return json.path("lora_dropout").asDouble(0);
    }

    public boolean useRslora() {
        return json.path("use_rslora").asBoolean(false);
    }

    /** Whether the adapted weights are stored transposed, (in, out), as GPT-2's Conv1D stores them. */
    public boolean fanInFanOut() {
        return json.path("fan_in_fan_out").asBoolean(false);
    }

    /** Which modules the adapter is for: a list of name suffixes, or one regular expression. */
    public JsonNode targetModules() {
        return json.path("target_modules");
    }

    /** Rank of one module. */
    public int rank(String module) {
        return (int) pattern("rank_pattern", module, r());
    }

    /** What {@code B A} is multiplied by: lora_alpha / r, or lora_alpha / sqrt(r) with rsLoRA (arXiv 2312.03732). */
    public double scale(String module) {
        double alpha = pattern("alpha_pattern", module, loraAlpha());
        return useRslora() ? alpha / Math.sqrt(rank(module)) : alpha / rank(module);
    }

    /** As PEFT's get_pattern_key: the first key that, as a regular expression, matches the end of the module's name. */
    private double pattern(String option, String module, double otherwise) {
        JsonNode patterns = json.path(option);
        for (Map.Entry<String, JsonNode> entry : patterns.properties()) {
            if (!entry.getValue().isNumber() || entry.getValue().asDouble() <= 0) {
                throw invalid(option + "." + entry.getKey() + " is " + shortened(entry.getValue())
                        + ", not a number above zero");
            }
            try {
                Matcher matcher =
                        Pattern.compile("(.*\\.)?(" + entry.getKey() + ")$").matcher(new BoundedText(module));
                if (matcher.lookingAt()) {
                    return entry.getValue().asDouble();
                }
            } catch (PatternSyntaxException | StackOverflowError | BoundedText.Exhausted e) {
                throw invalid(option + " has " + shortened(Json.MAPPER.valueToTree(entry.getKey()))
                        + ", which is no regular expression that can be matched");
            }
        }
        return otherwise;
    }

    private static boolean isSet(JsonNode value) {
        return !(value.isNull()
                || value.isBoolean() && !value.asBoolean()
                || value.isContainerNode() && value.isEmpty());
    }

    private static String shortened(JsonNode value) {
        String text = value.toString();
        return text.length() > 100 ? text.substring(0, 100) + "..." : text;
    }

    private static InvalidArtifactException invalid(String problem) {
        return new InvalidArtifactException("adapter_config.json: " + problem);
    }
}
