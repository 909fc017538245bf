package io.safelora.training;

import io.safelora.artifacts.checkpoint.LoraConfig;
import io.safelora.artifacts.checkpoint.ModuleName;
import io.safelora.contract.InvalidInputException;
import io.safelora.contract.TargetModules;
import io.safelora.contract.TrainingOptions;
import io.safelora.lm.ModelFiles;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.regex.PatternSyntaxException;

/** Which modules of a model get LoRA, chosen as PEFT chooses by target_modules and layers_to_transform. */
final class Targets {
    private Targets() {}

    /**
     * The chosen modules with their shapes (out, in), in the model's order.
     *
     * @throws InvalidInputException if a name, the expression or a layer is not one of the model's
     */
    static Map<String, long[]> of(ModelFiles model, TrainingOptions options) {
        Map<String, long[]> modules = model.linearModules();
        TargetModules targets = options.targetModules();
        Map<String, long[]> chosen = new LinkedHashMap<>(modules);
        if (targets.names() != null) {
            for (String name : targets.names()) {
                if (modules.keySet().stream().noneMatch(module -> new ModuleName(module).isCalled(name))) {
                    throw none(name, modules.keySet());
                }
            }
            chosen.keySet().removeIf(module -> !new ModuleName(module).isCalledAny(targets.names()));
        } else if (!targets.allLinear()) {
            if (options.layersToTransform() != null) {
                throw new InvalidInputException("training.layers_to_transform: goes with names or all-linear; "
                        + "put the layers into the regular expression of target_modules");
            }
            chosen.keySet().removeIf(module -> !matches(module, targets.text()));
            if (chosen.isEmpty()) {
                throw none(targets.text(), modules.keySet());
            }
        }
        if (options.layersToTransform() != null) {
            List<Integer> layers = new ArrayList<>(options.layersToTransform());
            layers.removeAll(chosen.keySet().stream()
                    .map(module -> new ModuleName(module).layer())
                    .toList());
            if (!layers.isEmpty()) {
                throw new InvalidInputException("training.layers_to_transform: no module of target_modules is in layer "
                        + layers.get(0) + "; the model has " + model.config().numHiddenLayers() + " layers");
            }
            chosen.keySet().removeIf(module -> !options.layersToTransform().contains(new ModuleName(module).layer()));
        }
        return chosen;
    }

    /** What adapter_config.json says of the choice. */
    static LoraConfig config(String baseModel, TrainingOptions options, Collection<String> chosen, ModelFiles model) {
        TargetModules targets = options.targetModules();
        List<String> names = targets.names() != null ? targets.names() : List.copyOf(leaves(chosen));
        LoraConfig config = LoraConfig.of(baseModel, options.r(), options.loraAlpha(), options.loraDropout(), names)
                .with(
                        options.layersToTransform(),
                        options.useRslora(),
                        // GPT-2's Conv1D stores its weights transposed.
                        model.config().modelType().equals("gpt2"));
        return targets.text() == null || targets.allLinear() ? config : config.withTargetPattern(targets.text());
    }

    private static boolean matches(String module, String expression) {
        try {
            return new ModuleName(module).matches(expression);
        } catch (PatternSyntaxException e) {
            throw new InvalidInputException(
                    "training.target_modules: " + expression.replaceAll("\\p{Cntrl}", "?")
                            + " is not a regular expression that can be matched",
                    e);
        }
    }

    private static TreeSet<String> leaves(Collection<String> modules) {
        TreeSet<String> leaves = new TreeSet<>();
        modules.forEach(module -> leaves.add(new ModuleName(module).bare()));
        return leaves;
    }

    private static InvalidInputException none(String target, Collection<String> modules) {
        return new InvalidInputException("training.target_modules: " + target.replaceAll("\\p{Cntrl}", "?")
                + " is not a module of the model; its modules are called " + String.join(", ", leaves(modules)));
    }
}
