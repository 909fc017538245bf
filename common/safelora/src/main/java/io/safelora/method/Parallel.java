package io.safelora.method;

import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.torch.Torch;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import java.util.function.BiFunction;
import java.util.function.Function;

/** Work on modules side by side, each on one core: the result is the same bits whatever the number of cores. */
final class Parallel {
    private Parallel() {}

    /**
     * Works on all modules.
     *
     * @param transposed whether linear weights are stored (in, out)
     * @param name what progress calls a module
     * @param work is given its thread's pair of the checkpoints
     * @return in the modules' order
     */
    static <M, R> List<R> forEach(
            Checkpoint base,
            Checkpoint aligned,
            boolean transposed,
            Collection<M> modules,
            Function<M, String> name,
            BiFunction<CheckpointPair, M, R> work,
            Progress progress) {
        int cores = Math.max(1, Math.min(Runtime.getRuntime().availableProcessors(), modules.size()));
        ExecutorService threads = Torch.singleCoreThreads(cores);
        ThreadLocal<CheckpointPair> pairs =
                ThreadLocal.withInitial(() -> CheckpointPair.ofThread(base, aligned, transposed, cores));
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
}
