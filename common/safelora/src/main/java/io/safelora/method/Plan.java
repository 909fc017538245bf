package io.safelora.method;

import io.safelora.contract.JobEvent.LayersSelected.Projection;
import io.safelora.contract.Json;
import io.safelora.contract.SelectionOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;

/**
 * plan.json: what is decided before training.
 *
 * @param selected the modules whose updates will be repaired; null where that is decided after training
 */
public record Plan(Projection projection, SelectionOptions options, Set<String> selected) {
    public static final String FILE = "plan.json";

    /** Writes plan.json into a directory. */
    public void write(Path directory) throws IOException {
        Files.write(directory.resolve(FILE), Json.pretty(this));
    }
}
