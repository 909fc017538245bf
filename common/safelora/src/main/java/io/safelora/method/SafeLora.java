package io.safelora.method;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.contract.SelectionOptions;
import io.safelora.method.ProjectorKernel.Projected;
import io.safelora.method.WeightPair.Weight;
import io.safelora.torch.Tensors;
import io.safelora.torch.Torch;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import java.util.function.BiFunction;

/**
 * SafeLoRA (Hsu et al., NeurIPS 2024, arXiv 2405.16833): per module, V = W_aligned - W_base spans what alignment changed, and
 * a LoRA update dW = B A that points away from it is replaced by C dW.
 *
 * <p>Neither C (out, out) nor dW (out, in) is ever built, and for the paper's projector not even V: C B costs O(out in r), and
 * cosine and norms come from r x r matrices. Both checkpoints are read once, some rows at a time, on all cores.
 */
public final class SafeLora {
    private SafeLora() {}

    /**
     * Measures every module of an adapter.
     *
     * @param options projector and energy are read
     * @return by module name; the same bits whatever the number of cores
     * @throws InvalidArtifactException if checkpoints and adapter do not fit each other, hold NaN, or are identical
     */
    public static List<ModuleMeasure> measure(
            Checkpoint base, Checkpoint aligned, PeftAdapter adapter, SelectionOptions options, Progress progress) {
        boolean transposed = WeightPair.transposed(aligned, adapter.config().fanInFanOut());
        List<ModuleMeasure> measures = forEachModule(
                base,
                aligned,
                adapter.modules().values(),
                LoraModule::name,
                (pair, module) -> measure(pair, module, transposed, options),
                progress);
        if (measures.stream().allMatch(m -> m.deltaNorm() == 0)) {
            throw identical(base, aligned);
        }
        progress.at(1, measures.size() + " modules measured");
        return measures;
    }

    /**
     * Works on modules on all cores, one core a module.
     *
     * @return in the modules' order
     */
    static <M, R> List<R> forEachModule(
            Checkpoint base,
            Checkpoint aligned,
            Collection<M> modules,
            java.util.function.Function<M, String> name,
            BiFunction<WeightPair, M, R> work,
            Progress progress) {
        int cores = Math.max(1, Math.min(Runtime.getRuntime().availableProcessors(), modules.size()));
        ExecutorService threads = Torch.singleCoreThreads(cores);
        ThreadLocal<WeightPair> pairs = ThreadLocal.withInitial(() -> new WeightPair(base, aligned, cores));
        List<Future<R>> pending = new ArrayList<>();
        try {
            for (M module : modules) {
                pending.add(threads.submit(() -> work.apply(pairs.get(), module)));
            }
            List<R> results = new ArrayList<>();
            for (M module : modules) {
                progress.at((double) results.size() / modules.size(), name.apply(module));
                results.add(pending.get(results.size()).get());
            }
            return results;
        } catch (ExecutionException e) {
            if (e.getCause() instanceof RuntimeException failure) {
                throw failure;
            }
            if (e.getCause() instanceof Error failure) {
                throw failure;
            }
            throw new IllegalStateException(e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new CancellationException("interrupted");
        } finally {
            threads.shutdownNow();
        }
    }

    private static ModuleMeasure measure(
            WeightPair pair, LoraModule module, boolean transposed, SelectionOptions options) {
        try (NDManager manager = Torch.manager(Device.cpu())) {
            Weight weight = weight(pair, module, transposed);
            NDArray a = Tensors.of(manager, module.a(), module.r(), module.in());
            NDArray b = Tensors.of(manager, module.b(), module.out(), module.r());
            Projected p = ProjectorKernel.project(pair, weight, transposed, b, options, manager);
            if (p.projected() == null) {
                return new ModuleMeasure(module.name(), null, 0, 1, 0, 0, null, null, false, null);
            }
            double[] products = WeightPair.SCRIPT
                    .call(manager, "products", a, b, p.projected())
                    .get(0)
                    .toDoubleArray();
            return ModuleMeasure.of(module.name(), products, p, Tensors.floats(p.projected()));
        }
    }

    /** The weight that a LoRA module adapts, of the module's shape. */
    static Weight weight(WeightPair pair, LoraModule module, boolean transposed) {
        Weight weight = pair.weight(pair.weightOf(module.name()));
        long out = transposed ? weight.columns() : weight.rows();
        long in = transposed ? weight.rows() : weight.columns();
        if (out != module.out() || in != module.in()) {
            throw new InvalidArtifactException("tensor " + weight.name() + " has shape "
                    + Arrays.toString(weight.aligned().shape()) + ", but the adapter's module " + module.name()
                    + " is for (out, in) = (" + module.out() + ", " + module.in() + ")"
                    + (transposed ? " with fan_in_fan_out" : "") + "; the adapter belongs to another model");
        }
        return weight;
    }

    static InvalidArtifactException identical(Checkpoint base, Checkpoint aligned) {
        return new InvalidArtifactException(base.name() + " and " + aligned.name()
                + " have equal weights, so there is no alignment to keep; base must be the model before alignment");
    }
}
