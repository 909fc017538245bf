package io.safelora.method;

import ai.djl.ndarray.NDArray;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import java.util.List;

/**
 * The safety vector of RESTA (Bhardwaj et al., arXiv 2402.11746), in low rank as LoX has it (Perin et al., arXiv 2506.15606): what
 * alignment changed is added once more,
 *
 * <pre>s B A + gamma U_k S_k V_k^T,     dW + gamma U_k S_k V_k^T,</pre>
 *
 * U_k S_k V_k^T being the k largest singular triplets of V; in an adapter as one update of rank r + k.
 *
 * @param rank k
 */
record SafetyVector(int rank, double gamma) implements Repair {
    @Override
    public String label() {
        return "safety-vector rank " + rank + " gamma " + Labels.number(gamma);
    }

    @Override
    public List<String> fields() {
        return List.of("rank", "gamma");
    }

    @Override
    public boolean everyModule() {
        return true;
    }

    @Override
    public LoraModule repaired(LoraModule update, Surroundings<float[]> module) {
        SingularTriplets v = module.triplets(rank);
        return v == null ? update : LoraUpdates.sum(update, 1, v.k(), v.b(), v.a(), gamma / update.scale());
    }

    @Override
    public NDArray repaired(NDArray update, Surroundings<NDArray> module) {
        SingularTriplets v = module.triplets(rank);
        return v == null
                ? update
                : DenseUpdates.mix(update, 1, DenseUpdates.product(update, v.b(), v.a(), v.k()), gamma);
    }
}
