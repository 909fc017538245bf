package io.safelora.training;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.contract.Json;
import io.safelora.contract.TrainingOptions;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.Map;

/** Training options as a job document has them. */
final class TestOptions {
    private TestOptions() {}

    static FineTuning.Options of(Path model, Path rows, TrainingOptions training, Path initAdapter, String dtype) {
        return new FineTuning.Options(
                model,
                rows,
                null,
                null,
                training,
                initAdapter,
                "cpu",
                dtype,
                new ModelCard.Origin("model", "fingerprint", Map.of("data", "rows")));
    }

    static TrainingOptions json(String json) {
        try {
            ObjectNode node = (ObjectNode) Json.MAPPER.readTree(json);
            node.put("data", "unused");
            return Json.MAPPER.treeToValue(node, TrainingOptions.class);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
