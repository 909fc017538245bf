package io.safelora.method;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.ModelTensors;
import io.safelora.artifacts.checkpoint.ModuleName;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.contract.SelectionOptions;
import io.safelora.method.ProjectorKernel.Projected;
import io.safelora.method.Repair.Surroundings;
import io.safelora.torch.Tensors;
import io.safelora.torch.Torch;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.BiFunction;

/**
 * A PEFT adapter, whose updates are dW = B A of some modules.
 *
 * <p>Neither C (out, out) nor dW (out, in) is ever built, and for the paper's projector not even V: C B costs O(out in
 * r), and cosine and norms come from r x r matrices. Both checkpoints are read once, some rows at a time, on all cores.
 */
final class TunedAdapter implements FineTuned {
    private final PeftAdapter adapter;
    private final Sources sources;
    private final boolean transposed;
    /** What repairs are defined for. */
    private final SortedMap<String, LoraModule> modules = new TreeMap<>();

    private Map<String, SingularTriplets> triplets = Map.of();
    private int tripletsRank;

    TunedAdapter(PeftAdapter adapter, Sources sources) {
        this.adapter = adapter;
        this.sources = sources;
        ModelTensors model = ModelTensors.of(sources.aligned(), adapter.config().fanInFanOut());
        adapter.check(model);
        transposed = model.transposed();
        modules.putAll(adapter.modules());
        modules.keySet().removeIf(ModelTensors::isHead);
        if (modules.isEmpty()) {
            throw new InvalidArtifactException(
                    "the adapter has no LoRA of a linear module of a layer, so that there is nothing to repair");
        }
    }

    /**
     * The head's and the embedding's LoRA, whole weights, tokens, biases and magnitudes: no repair is defined for them.
     */
    @Override
    public List<String> carried() {
        Set<String> names = new TreeSet<>();
        adapter.modules().keySet().stream().filter(ModelTensors::isHead).forEach(m -> names.add(m + " (LoRA)"));
        adapter.embeddings().keySet().forEach(m -> names.add(m + " (LoRA)"));
        adapter.tokens().forEach((m, tokens) -> names.add(m + " (" + tokens.ids().length + " tokens)"));
        names.addAll(adapter.weights().keySet());
        adapter.biases().keySet().forEach(m -> names.add(m + ".lora_B.bias"));
        adapter.magnitudes().keySet().forEach(m -> names.add(m + ".lora_magnitude_vector"));
        return names.stream()
                .map(name -> name.replaceFirst("\\.\\d+\\.", ".*."))
                .distinct()
                .toList();
    }

    @Override
    public Outside outside() {
        return Outside.of(adapter, sources.aligned());
    }

    @Override
    public Sources sources() {
        return sources;
    }

    @Override
    public Set<String> modules() {
        return modules.keySet();
    }

    @Override
    public List<ModuleMeasure> measure(SelectionOptions options, Progress progress) {
        List<ModuleMeasure> measures = forEachModule((pair, module) -> measure(pair, module, options), progress);
        if (measures.stream().allMatch(m -> m.deltaNorm() == 0)) {
            throw Sources.identical(sources.base(), sources.aligned());
        }
        progress.at(1, measures.size() + " modules measured");
        return measures;
    }

    private <R> List<R> forEachModule(BiFunction<CheckpointPair, LoraModule, R> work, Progress progress) {
        return Parallel.forEach(
                sources.base(), sources.aligned(), transposed, modules.values(), LoraModule::name, work, progress);
    }

    private static ModuleMeasure measure(CheckpointPair pair, LoraModule module, SelectionOptions options) {
        try (NDManager manager = Torch.manager(Device.cpu())) {
            NDArray a = Tensors.of(manager, module.a(), module.r(), module.in());
            NDArray b = Tensors.of(manager, module.b(), module.out(), module.r());
            Projected p = ProjectorKernel.project(delta(pair, module), b, options, manager);
            if (p.projected() == null) {
                return ModuleMeasure.unaligned(module.name());
            }
            double[] products = DeltaKernels.products(manager, a, b, p.projected());
            return ModuleMeasure.of(module.name(), products, p, Tensors.floats(p.projected()));
        }
    }

    /** V of the weight that a LoRA module adapts, of the module's shape. */
    private static Delta delta(CheckpointPair pair, LoraModule module) {
        return pair.delta(new ModuleName(module.name()));
    }

    @Override
    public void checkOutput(Path out) {
        // The adapter is read whole when it is opened, so that it may be overwritten.
    }

    @Override
    public void repair(
            List<ModuleMeasure> measures, Set<String> affected, SelectionOptions options, Path out, Progress progress)
            throws IOException {
        repaired(measures, affected, options, progress).write(out);
    }

    /** The repaired adapter; modules that the repair is not for are as they were, bit for bit. */
    PeftAdapter repaired(
            List<ModuleMeasure> measures, Set<String> affected, SelectionOptions options, Progress progress) {
        Repair repair = Repair.of(options);
        Map<String, float[]> projected = new HashMap<>();
        measures.forEach(m -> projected.put(m.module(), m.projectedB()));
        Map<String, LoraModule> changed = new HashMap<>();
        for (String name : affected) {
            LoraModule module = modules.get(name);
            LoraModule repaired = repair.repaired(module, surroundings(module, projected, progress));
            if (repaired != module) {
                changed.put(name, repaired);
            }
        }
        return adapter.with(changed);
    }

    private Surroundings<float[]> surroundings(LoraModule module, Map<String, float[]> projected, Progress progress) {
        return new Surroundings<>() {
            @Override
            public float[] projected() {
                return projected.get(module.name());
            }

            @Override
            public LoraModule safety() {
                return sources.safety(module.name(), module.out(), module.in());
            }

            @Override
            public SingularTriplets triplets(int k) {
                SingularTriplets found = tripletsOfAll(k, progress).get(module.name());
                return found == null ? null : found.first(k);
            }
        };
    }

    /**
     * k or more triplets of V, by module, made for all modules at once; modules that alignment did not change have
     * none.
     */
    private Map<String, SingularTriplets> tripletsOfAll(int k, Progress progress) {
        if (k > tripletsRank) {
            List<Optional<SingularTriplets>> made = forEachModule(
                    (pair, module) -> {
                        try (NDManager manager = Torch.manager(Device.cpu())) {
                            return Optional.ofNullable(SingularTriplets.of(delta(pair, module), k, manager));
                        }
                    },
                    progress);
            Map<String, SingularTriplets> byName = new HashMap<>();
            List<String> names = List.copyOf(modules.keySet());
            for (int i = 0; i < names.size(); i++) {
                String name = names.get(i);
                made.get(i).ifPresent(v -> byName.put(name, v));
            }
            if (byName.isEmpty()) {
                throw Sources.identical(sources.base(), sources.aligned());
            }
            triplets = byName;
            tripletsRank = k;
        }
        return triplets;
    }
}
