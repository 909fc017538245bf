package io.safelora.artifacts.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.contract.Json;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
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
            "inference_mode",
            "loftq_config",
            "lora_dropout",
            "lora_ga_config",
            "megatron_core",
            "peft_type",
            "peft_version",
            "qalora_group_size",
            "revision",
            "runtime_config",
            "task_type");
    /** Options that this class and {@link PeftAdapter} honour. */
    private static final Set<String> HONOURED = Set.of(
            "alpha_pattern",
            "bias",
            "ensure_weight_tying",
            "exclude_modules",
            "fan_in_fan_out",
            "init_lora_weights",
            "layers_pattern",
            "layers_to_transform",
            "lora_alpha",
            "lora_bias",
            "modules_to_save",
            "r",
            "rank_pattern",
            "target_modules",
            "trainable_token_indices",
            "use_dora",
            "use_rslora");
    /** Initialisations that leave the base model's weights as they are, beside true and false (PEFT 0.21). */
    private static final List<String> LEAVE_BASE = List.of("gaussian", "eva", "orthogonal", "mica");

    /** What to do with an adapter that is not supported. */
    private static final String REMEDY =
            "; fold the adapter into its model with PEFT's merge_and_unload, and give the merged model in its place"
                    + " (project: --fine-tuned)";

    private static final int MAX_TOKEN = 1 << 24;

    /** @throws InvalidArtifactException if the adapter is not a LoRA adapter or has an option that is not supported */
    public LoraConfig {
        if (!json.path("peft_type").asText().equals("LORA")) {
            throw invalid("peft_type is " + json.path("peft_type") + "; only LORA is supported" + REMEDY);
        }
        if (!json.path("r").isInt() || json.path("r").asInt() < 1) {
            throw invalid("r is " + json.path("r") + ", not a whole number above zero");
        }
        if (!json.path("lora_alpha").isNumber()) {
            throw invalid("lora_alpha is " + json.path("lora_alpha") + ", not a number");
        }
        String bias = json.path("bias").asText("none");
        if (!Set.of("none", "all", "lora_only").contains(bias)) {
            throw invalid("bias is " + json.path("bias") + "; none, all and lora_only are supported" + REMEDY);
        }
        JsonNode init = json.path("init_lora_weights");
        if (isSet(init) && !init.isBoolean() && !(init.isTextual() && LEAVE_BASE.contains(lower(init.asText())))) {
            throw invalid("init_lora_weights is " + shortened(init)
                    + ", which may have changed the base model's weights as well (true, false, "
                    + String.join(", ", LEAVE_BASE)
                    + " do not); convert the adapter to plain LoRA (path_initial_model_for_weight_conversion of PEFT's"
                    + " save_pretrained), or fold it into the model that it was trained on with "
                    + "merge_and_unload, and give the"
                    + " merged model in its place (project: --fine-tuned)");
        }
        for (Map.Entry<String, JsonNode> option : json.properties()) {
            if (!HARMLESS.contains(option.getKey())
                    && !HONOURED.contains(option.getKey())
                    && isSet(option.getValue())) {
                throw invalid(option.getKey().replaceAll("\\p{Cntrl}", "?") + " is " + shortened(option.getValue())
                        + "; this option is not supported" + REMEDY);
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
            if (match(option, "(.*\\.)?(" + entry.getKey() + ")$", module, false) != null) {
                return entry.getValue().asDouble();
            }
        }
        return otherwise;
    }

    /**
     * Whether PEFT puts LoRA on a module, by target_modules, exclude_modules, modules_to_save and layers_to_transform:
     * what the file holds for any other module, PEFT does not read.
     */
    public boolean adapts(String module) {
        JsonNode targets = targetModules();
        if (spares(module) || !isSet(targets)) {
            return !spares(module);
        }
        if (named("exclude_modules", module)) {
            return false;
        }
        if (targets.isTextual()) {
            return targets.asText().equals("all-linear") || named("target_modules", module);
        }
        boolean found = false;
        for (JsonNode target : targets) {
            if (module.equals(target.asText())) {
                return true;
            }
            found |= module.endsWith("." + target.asText());
        }
        JsonNode layers = json.path("layers_to_transform");
        if (!found || !layers.isInt() && !isSet(layers)) {
            return found;
        }
        Integer layer = layer(module);
        for (JsonNode wanted :
                layers.isArray() ? layers : Json.MAPPER.createArrayNode().add(layers)) {
            if (layer != null && wanted.asInt() == layer) {
                return true;
            }
        }
        return false;
    }

    /** The module's layer: the number after layers_pattern, or else the first one between two dots. */
    private Integer layer(String module) {
        List<String> patterns = new ArrayList<>();
        JsonNode given = json.path("layers_pattern");
        (given.isTextual() ? Json.MAPPER.createArrayNode().add(given) : given).forEach(p -> patterns.add(p.asText()));
        patterns.removeIf(String::isEmpty);
        for (String pattern : patterns.isEmpty() ? List.of("[^.]*") : patterns) {
            Matcher matcher = match("layers_pattern", "(?:^|.*?\\.)(?:" + pattern + ")\\.(\\d{1,6})\\.", module, false);
            if (matcher != null) {
                return Integer.valueOf(matcher.group(matcher.groupCount()));
            }
        }
        return null;
    }

    /** Whether a module is one of an option's: by the end of its name, or by one regular expression. */
    private boolean named(String option, String module) {
        JsonNode names = json.path(option);
        if (names.isTextual()) {
            return match(option, names.asText(), module, true) != null;
        }
        for (JsonNode name : names) {
            if (new ModuleName(module).isCalled(name.asText())) {
                return true;
            }
        }
        return false;
    }

    /** A match of the whole name, or of its beginning; null if there is none. */
    private static Matcher match(String option, String expression, String module, boolean whole) {
        try {
            // Named groups are spelled as in Python.
            Matcher matcher = Pattern.compile(expression.replace("(?P<", "(?<")).matcher(new BoundedText(module));
            return (whole ? matcher.matches() : matcher.lookingAt()) ? matcher : null;
        } catch (PatternSyntaxException | StackOverflowError | BoundedText.Exhausted e) {
            throw invalid(option + " has " + shortened(Json.MAPPER.valueToTree(expression))
                    + ", which is not a regular expression that can be matched");
        }
    }

    /**
     * Whether modules_to_save has the module, or one that it is part of, by the end of its name: the adapter then holds
     * its weights whole.
     */
    public boolean saves(String module) {
        for (JsonNode saved : json.path("modules_to_save")) {
            if (saved.asText().isEmpty()) {
                continue;
            }
            for (int end = module.length(); end > 0; end = module.lastIndexOf('.', end - 1)) {
                if (module.substring(0, end).endsWith(saved.asText())) {
                    return true;
                }
            }
        }
        return false;
    }

    /** Whether modules_to_save keeps LoRA off a module: PEFT compares whole parts of the name here. */
    private boolean spares(String module) {
        for (JsonNode saved : json.path("modules_to_save")) {
            if (("." + module + ".").contains("." + saved.asText() + ".")) {
                return true;
            }
        }
        return false;
    }

    /** none, all or lora_only: the model's biases that were trained, and that the adapter holds. */
    public String bias() {
        return json.path("bias").asText("none");
    }

    /** Whether the adapter has magnitudes, as DoRA (arXiv 2402.09353). */
    public boolean useDora() {
        return json.path("use_dora").asBoolean(false);
    }

    /** Whether B has a bias. */
    public boolean loraBias() {
        return json.path("lora_bias").asBoolean(false);
    }

    /** Whether B was made to stay as it was initialised, as MiCA has it. */
    public boolean frozenB() {
        return lower(json.path("init_lora_weights").asText()).equals("mica");
    }

    /** Whether what is tied in the model is to be tied in the adapter. */
    public boolean ensureWeightTying() {
        return json.path("ensure_weight_tying").asBoolean(false);
    }

    /**
     * The tokens that were trained one by one, by trainable_token_indices: a module's, or, given as a list, the
     * embedding's.
     *
     * @param module a module's full name
     * @param embedding whether it is the embedding
     * @return null if it has none
     */
    public int[] tokens(String module, boolean embedding) {
        JsonNode tokens = json.path("trainable_token_indices");
        JsonNode indices = tokens.isArray() && embedding ? tokens : null;
        for (Map.Entry<String, JsonNode> entry : tokens.properties()) {
            if (new ModuleName(module).isCalled(entry.getKey())) {
                indices = entry.getValue();
            }
        }
        if (indices == null) {
            return null;
        }
        int[] result = new int[indices.size()];
        for (int i = 0; i < result.length; i++) {
            if (!indices.get(i).isInt()
                    || indices.get(i).asInt() < 0
                    || indices.get(i).asInt() > MAX_TOKEN) {
                throw invalid("trainable_token_indices has " + shortened(indices.get(i)) + ", not the id of a token");
            }
            result[i] = indices.get(i).asInt();
        }
        return result;
    }

    private static String lower(String text) {
        return text.toLowerCase(Locale.ROOT);
    }

    private static boolean isSet(JsonNode value) {
        return !(value.isMissingNode()
                || value.isNull()
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
