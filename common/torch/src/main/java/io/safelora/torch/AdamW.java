package io.safelora.torch;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import java.util.List;

/**
 * AdamW (Loshchilov and Hutter, arXiv 1711.05101) as PyTorch computes it, with betas 0.9 and 0.999 and epsilon 1e-8,
 * and the gradients' global norm clipped before. All parameters are updated by a handful of calls, whatever their
 * number.
 */
public final class AdamW implements AutoCloseable {
    private static final double BETA1 = 0.9;
    private static final double BETA2 = 0.999;

    private final NDManager manager;
    private final TorchScript script;
    private final List<NDArray> parameters;
    private final List<NDArray> decayed;
    private final List<NDArray> m;
    private final List<NDArray> v;
    private final double weightDecay;
    private final double maxGradNorm;
    private int steps;

    /**
     * @param parameters float32 tensors, which require gradients from now on
     * @param decayed those of the parameters that decay
     * @param weightDecay decoupled: every step multiplies the decayed by 1 - learning rate * weightDecay
     * @param maxGradNorm gradients of a larger global norm are scaled down to it; 0: never
     */
    public AdamW(
            NDManager owner, List<NDArray> parameters, List<NDArray> decayed, double weightDecay, double maxGradNorm) {
        this.manager = owner.newSubManager();
        this.parameters = List.copyOf(parameters);
        this.decayed = List.copyOf(decayed);
        this.weightDecay = weightDecay;
        this.maxGradNorm = maxGradNorm == 0 ? Double.MAX_VALUE : maxGradNorm;
        script = TorchScript.load(AdamW.class, "adamw.torchscript", owner.getDevice());
        parameters.forEach(p -> Tensors.requiresGrad(p, true));
        m = parameters.stream().map(p -> manager.zeros(p.getShape())).toList();
        v = parameters.stream().map(p -> manager.zeros(p.getShape())).toList();
    }

    /**
     * Updates the parameters by the gradients that {@link Tensors#backward} summed up, and starts a new sum.
     *
     * @param owner owns the result
     * @return the gradients' global norm before clipping, a scalar; a GPU is not waited for until it is read
     */
    public NDArray step(NDManager owner, double learningRate) {
        steps++;
        try (NDManager scratch = manager.newSubManager()) {
            List<NDArray> gradients = parameters.stream()
                    .map(p -> Tensors.gradient(scratch, p)
                            .orElseThrow(
                                    () -> new IllegalStateException("a parameter has no gradient; run backward first")))
                    .toList();
            NDArray norm = script.call(
                            scratch,
                            "step",
                            parameters,
                            decayed,
                            gradients,
                            m,
                            v,
                            learningRate,
                            1 - Math.pow(BETA1, steps),
                            1 - Math.pow(BETA2, steps),
                            weightDecay,
                            maxGradNorm)
                    .get(0);
            norm.attach(owner);
            return norm;
        }
    }

    /** Drops the gradients that are summed up so far. */
    public void zeroGradients() {
        try (NDManager scratch = manager.newSubManager()) {
            parameters.forEach(p -> Tensors.gradient(scratch, p).ifPresent(g -> Tensors.zeroGradient(p)));
        }
    }

    /** How many steps were taken. */
    public int steps() {
        return steps;
    }

    /** The running means of the gradients, in the parameters' order. */
    public List<NDArray> m() {
        return m;
    }

    /** The running means of the gradients' squares, in the parameters' order. */
    public List<NDArray> v() {
        return v;
    }

    /** Goes on after so many steps, with the means that were written to {@link #m} and {@link #v}. */
    public void resume(int steps) {
        this.steps = steps;
    }

    /** Frees the running means; the parameters stay, and require no gradients any more. */
    @Override
    public void close() {
        parameters.forEach(p -> Tensors.requiresGrad(p, false));
        script.close();
        manager.close();
    }
}
