package io.safelora.method;

import ai.djl.Device;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.contract.SelectionOptions;
import io.safelora.torch.Torch;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/**
 * The repairs, adapter in, adapter out: whatever they do, PEFT loads what comes out of them, and a sweep can rank them.
 *
 * <p>What an update becomes, s being the adapter's scale:
 *
 * <ul>
 *   <li>safe-lora: B := (1 - blend) B + blend C B
 *   <li>safe-merge (SafeMERGE, arXiv 2503.17239): (1 - blend) s B A + blend s' B' A', B' A' a safety adapter's update, as one
 *       update of rank r + r'
 *   <li>safety-vector: s B A + gamma U_k S_k V_k^T, as one update of rank r + k
 *   <li>drop: B := 0. scale: B := scale B
 * </ul>
 */
public final class AdapterRepair {
    private AdapterRepair() {}

    /** What the repairs of one adapter or checkpoint need beside it; made once, used by many. */
    public static final class Material {
        final Checkpoint base;
        final Checkpoint aligned;
        final PeftAdapter safety;
        private Map<String, SafetyVector> vectors = Map.of();
        private int vectorRank;

        /** @param safety the safety adapter for safe-merge, or null */
        public Material(Checkpoint base, Checkpoint aligned, PeftAdapter safety) {
            this.base = base;
            this.aligned = aligned;
            this.safety = safety;
        }

        /** Safety vectors of rank k or more, by module; modules that alignment did not change have none. */
        private Map<String, SafetyVector> vectors(PeftAdapter adapter, int k, Progress progress) {
            if (k > vectorRank) {
                boolean transposed =
                        WeightPair.transposed(aligned, adapter.config().fanInFanOut());
                List<LoraModule> modules = List.copyOf(adapter.modules().values());
                List<Optional<SafetyVector>> made = SafeLora.forEachModule(
                        base,
                        aligned,
                        modules,
                        LoraModule::name,
                        (pair, module) -> {
                            try (NDManager manager = Torch.manager(Device.cpu())) {
                                return Optional.ofNullable(SafetyVector.of(
                                        pair, SafeLora.weight(pair, module, transposed), transposed, k, manager));
                            }
                        },
                        progress);
                Map<String, SafetyVector> byName = new HashMap<>();
                for (int i = 0; i < modules.size(); i++) {
                    String name = modules.get(i).name();
                    made.get(i).ifPresent(v -> byName.put(name, v));
                }
                if (byName.isEmpty()) {
                    throw SafeLora.identical(base, aligned);
                }
                vectors = byName;
                vectorRank = k;
            }
            return vectors;
        }
    }

    /**
     * The modules that a repair is for: all, or those that were chosen.
     *
     * @param modules those that fine-tuning changed, by name
     */
    public static Set<String> affected(Set<String> modules, Set<String> selected, SelectionOptions options) {
        Set<String> affected = new TreeSet<>(modules);
        if (!options.everyModule()) {
            affected.retainAll(selected);
        }
        return affected;
    }

    /**
     * Repairs.
     *
     * @param measures of all modules, by the projector of {@code options}; read by safe-lora only
     * @param selected what {@link Selection} chose
     * @return the adapter; modules that the repair is not for are as they were, bit for bit
     * @throws InvalidArtifactException if the safety adapter is missing, or has other modules
     */
    public static PeftAdapter repair(
            PeftAdapter adapter,
            List<ModuleMeasure> measures,
            Set<String> selected,
            SelectionOptions options,
            Material material,
            Progress progress) {
        Map<String, float[]> projected = new HashMap<>();
        measures.forEach(m -> projected.put(m.module(), m.projectedB()));
        Map<String, LoraModule> changed = new HashMap<>();
        for (String name : affected(adapter.modules().keySet(), selected, options)) {
            LoraModule m = adapter.modules().get(name);
            LoraModule repaired =
                    switch (options.repair()) {
                        case safe_lora ->
                            projected.get(name) == null
                                    ? m
                                    : withB(m, blend(m.b(), projected.get(name), options.blend()));
                        case drop -> withB(m, new float[m.b().length]);
                        case scale -> withB(m, blend(m.b(), new float[m.b().length], 1 - options.scale()));
                        case safe_merge -> safeMerge(m, material.safety, options.blend());
                        case safety_vector ->
                            add(
                                    m,
                                    material.vectors(adapter, options.rank(), progress)
                                            .get(name),
                                    options);
                    };
            if (repaired != m) {
                changed.put(name, repaired);
            }
        }
        return adapter.with(changed);
    }

    private static LoraModule withB(LoraModule m, float[] b) {
        return new LoraModule(m.name(), m.r(), m.in(), m.out(), m.a(), b, m.scale(), m.dtype());
    }

    /** (1 - share) x + share y */
    private static float[] blend(float[] x, float[] y, double share) {
        float[] z = new float[x.length];
        for (int i = 0; i < z.length; i++) {
            z[i] = share == 1 ? y[i] : (float) ((1 - share) * x[i] + share * y[i]);
        }
        return z;
    }

    private static LoraModule safeMerge(LoraModule m, PeftAdapter safety, double blend) {
        LoraModule other = safetyModule(safety, m.name(), m.out(), m.in());
        return joined(m, 1 - blend, other.r(), other.b(), other.a(), blend * other.scale() / m.scale());
    }

    /** The safety adapter's module of that name and shape. */
    static LoraModule safetyModule(PeftAdapter safety, String name, long out, long in) {
        if (safety == null) {
            throw new InvalidArtifactException(
                    "selection.safety_adapter: is missing; repair safe-merge blends with a PEFT adapter trained on safety data");
        }
        LoraModule module = safety.modules().get(name);
        if (module == null || module.in() != in || module.out() != out) {
            throw new InvalidArtifactException("selection.safety_adapter: has no module " + name + " of shape (" + out
                    + ", " + in + "); it must adapt the same modules of the same model");
        }
        return module;
    }

    private static LoraModule add(LoraModule m, SafetyVector vector, SelectionOptions options) {
        if (vector == null) {
            return m;
        }
        int k = Math.min(options.rank(), vector.k());
        float[] b = new float[m.out() * k];
        for (int row = 0; row < m.out(); row++) {
            System.arraycopy(vector.b(), row * vector.k(), b, row * k, k);
        }
        return joined(m, 1, k, b, vector.a(), options.gamma() / m.scale());
    }

    /**
     * x B A + y B' A' as one update: B of it is [x B, y B'], A is A over A'.
     *
     * @param b B' (out, k)
     * @param a A' (k or more, in), of which the first k rows count
     */
    private static LoraModule joined(LoraModule m, double x, int k, float[] b, float[] a, double y) {
        if (!Double.isFinite(y)) {
            throw new InvalidArtifactException("adapter_config.json: lora_alpha is 0, so that nothing can be added to "
                    + m.name() + "; give the adapter a scale");
        }
        int r = m.r() + k;
        float[] joinedB = new float[m.out() * r];
        for (int row = 0; row < m.out(); row++) {
            for (int i = 0; i < m.r(); i++) {
                joinedB[row * r + i] = (float) (x * m.b()[row * m.r() + i]);
            }
            for (int i = 0; i < k; i++) {
                joinedB[row * r + m.r() + i] = (float) (y * b[row * k + i]);
            }
        }
        float[] joinedA = new float[r * m.in()];
        System.arraycopy(m.a(), 0, joinedA, 0, m.r() * m.in());
        System.arraycopy(a, 0, joinedA, m.r() * m.in(), k * m.in());
        return new LoraModule(m.name(), r, m.in(), m.out(), joinedA, joinedB, m.scale(), m.dtype());
    }
}
