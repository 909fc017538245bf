package io.safelora.preflight;

import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.contract.JobRequest;
import io.safelora.torch.Torch;
import java.io.IOException;
import java.util.List;

/**
 * What a job will cost on this machine, to within a factor of two or three. Answers are counted as long as
 * max_new_tokens lets them be; what endpoints take is not known, nor whether finished stages are answered from the
 * store.
 *
 * @param stages in the order in which they run
 */
public record Estimate(Machine machine, List<Stage> stages) {
    /**
     * One stage.
     *
     * @param seconds how long it computes, alone on the machine
     * @param bytes what it holds in memory at most
     */
    public record Stage(String stage, double seconds, long bytes) {}

    /**
     * Measures this machine, some half a second, and counts.
     *
     * @param inputs of the same job, which {@link JobInputs#check} has found right
     */
    public static Estimate of(JobRequest request, JobInputs inputs) throws IOException {
        Checkpoint aligned = inputs.checkpoint(request.aligned());
        Dtype dtype =
                switch (request.dtype()) {
                    case bfloat16 -> Dtype.BF16;
                    case float32 -> Dtype.F32;
                    case auto ->
                        aligned.names().stream()
                                        .allMatch(name -> aligned.info(name).dtype() == Dtype.BF16)
                                ? Dtype.BF16
                                : Dtype.F32;
                };
        Machine machine = Machine.measured(Torch.device(request.device().name()), dtype);
        return new Estimate(machine, Costs.of(request, inputs, machine, dtype));
    }
}
