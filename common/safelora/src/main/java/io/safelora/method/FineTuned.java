package io.safelora.method;

import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.contract.SelectionOptions;
import io.safelora.method.AdapterRepair.Material;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/** What fine-tuning gave, a PEFT adapter or a whole checkpoint: the same is measured and repaired of both. */
public interface FineTuned {
    /** A folder is what it holds: adapter_config.json makes it an adapter, else it is a checkpoint. */
    static FineTuned open(Path directory) throws IOException {
        return PeftAdapter.isIn(directory) ? new Adapter(PeftAdapter.open(directory)) : new Weights(directory);
    }

    /** The names of the modules that have an update. */
    Set<String> modules() throws IOException;

    /** Every module's update against its projection, by the projector of {@code options}. */
    List<ModuleMeasure> measure(Checkpoint base, Checkpoint aligned, SelectionOptions options, Progress progress);

    /**
     * Writes the same, repaired, without selection.json.
     *
     * @param measures of all modules, by the projector of {@code options}
     * @param affected the modules that the repair is for; see {@link AdapterRepair#affected}
     * @param out an empty directory
     */
    void repair(
            List<ModuleMeasure> measures,
            Set<String> affected,
            SelectionOptions options,
            Material material,
            Path out,
            Progress progress)
            throws IOException;

    /** Updates B A of some modules. */
    record Adapter(PeftAdapter adapter) implements FineTuned {
        @Override
        public Set<String> modules() {
            return adapter.modules().keySet();
        }

        @Override
        public List<ModuleMeasure> measure(
                Checkpoint base, Checkpoint aligned, SelectionOptions options, Progress progress) {
            return SafeLora.measure(base, aligned, adapter, options, progress);
        }

        @Override
        public void repair(
                List<ModuleMeasure> measures,
                Set<String> affected,
                SelectionOptions options,
                Material material,
                Path out,
                Progress progress)
                throws IOException {
            AdapterRepair.repair(adapter, measures, affected, options, material, progress)
                    .write(out);
        }
    }

    /** Updates W_fine-tuned - W_aligned of all linear modules. */
    record Weights(Path directory) implements FineTuned {
        @Override
        public Set<String> modules() throws IOException {
            return CheckpointRepair.modules(Checkpoint.open(directory));
        }

        @Override
        public List<ModuleMeasure> measure(
                Checkpoint base, Checkpoint aligned, SelectionOptions options, Progress progress) {
            try {
                return CheckpointRepair.measure(base, aligned, directory, options, progress);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        @Override
        public void repair(
                List<ModuleMeasure> measures,
                Set<String> affected,
                SelectionOptions options,
                Material material,
                Path out,
                Progress progress)
                throws IOException {
            CheckpointRepair.write(
                    material.base, material.aligned, directory, material.safety, affected, options, out, progress);
        }
    }
}
