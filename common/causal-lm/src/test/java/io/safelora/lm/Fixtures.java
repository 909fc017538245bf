package io.safelora.lm;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.checkpoint.LoraConfig;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.contract.Json;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** The checkpoints of src/test/resources (its README says how they were made), and adapters for them. */
final class Fixtures {
    private Fixtures() {}

    static Path model(String name) {
        return Path.of("src/test/resources", name);
    }

    static JsonNode json(Path file) throws IOException {
        return Json.MAPPER.readTree(file.toFile());
    }

    static int[] ints(JsonNode array) {
        return Json.MAPPER.convertValue(array, int[].class);
    }

    /** A random update, B included, of every linear module. */
    static PeftAdapter adapter(ModelConfig config, int r, double alpha, long seed) {
        Random random = new Random(seed);
        List<LoraModule> modules = new ArrayList<>();
        for (String module : Weights.linearModules(config)) {
            long[] shape = Weights.shape(config, module.replaceFirst("model\\.layers\\.\\d+\\.", ""));
            int out = (int) shape[0];
            int in = (int) shape[1];
            modules.add(new LoraModule(
                    module, r, in, out, normal(random, r * in), normal(random, out * r), alpha / r, Dtype.F32));
        }
        LoraConfig lora = LoraConfig.of(
                "base",
                r,
                alpha,
                0,
                List.of("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"));
        return PeftAdapter.of(lora, modules);
    }

    static float[] normal(Random random, int n) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = (float) (0.1 * random.nextGaussian());
        }
        return values;
    }
}
