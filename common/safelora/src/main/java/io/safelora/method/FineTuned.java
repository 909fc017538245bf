package io.safelora.method;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.contract.SelectionOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/** What fine-tuning gave, a PEFT adapter or a whole checkpoint: the same is measured and repaired of both. */
public sealed interface FineTuned permits TunedAdapter, TunedCheckpoint {
    /** A folder is what it holds: adapter_config.json makes it an adapter, else it is a checkpoint. */
    static FineTuned open(Path directory, Sources sources) throws IOException {
        return PeftAdapter.isIn(directory) ? adapter(directory, sources) : checkpoint(directory, sources);
    }

    /** @throws InvalidArtifactException if the directory does not hold a PEFT adapter */
    static FineTuned adapter(Path directory, Sources sources) throws IOException {
        return new TunedAdapter(PeftAdapter.open(directory), sources);
    }

    /** @throws InvalidArtifactException if the directory does not hold a checkpoint with its configuration */
    static FineTuned checkpoint(Path directory, Sources sources) throws IOException {
        return new TunedCheckpoint(directory, sources);
    }

    /**
     * What of it no repair touches, so that the result has it bit for bit: names for people, a star for the number of a
     * layer.
     */
    default List<String> carried() {
        return List.of();
    }

    /** How much of the update lies where no repair reaches. */
    Outside outside();

    /** What its repairs look at. */
    Sources sources();

    /** The names of the modules that have an update. */
    Set<String> modules();

    /**
     * Every module's update against its projection, by the projector of {@code options}.
     *
     * @return by module name; the same bits whatever the number of cores
     * @throws InvalidArtifactException if it does not fit the sources, something holds NaN, or base and aligned are
     *     identical
     */
    List<ModuleMeasure> measure(SelectionOptions options, Progress progress);

    /** @throws IllegalArgumentException if the repaired one must not be written to {@code out} */
    void checkOutput(Path out) throws IOException;

    /**
     * Writes the same, repaired; modules that the repair is not for stay bit for bit.
     *
     * @param measures of all affected modules, by the projector of {@code options}
     * @param affected the modules that the repair is for
     * @throws InvalidArtifactException if something that the repair needs is missing, or does not fit
     */
    void repair(
            List<ModuleMeasure> measures, Set<String> affected, SelectionOptions options, Path out, Progress progress)
            throws IOException;
}
