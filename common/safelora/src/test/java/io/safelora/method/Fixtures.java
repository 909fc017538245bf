package io.safelora.method;

import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.LoraConfig;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.SafetensorsWriter;
import io.safelora.artifacts.safetensors.TensorData;
import io.safelora.contract.SelectionOptions;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** Small models of one module, and the oracle's. */
final class Fixtures {
    static final String MODULE = "model.layers.0.mlp.down_proj";

    private Fixtures() {}

    /** src/test/resources/oracle, whose README.md says what is in it. */
    static Path oracle(String name) {
        try {
            return Path.of(Fixtures.class.getResource("/oracle").toURI()).resolve(name);
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The oracle's pair of a family, with its safety adapter. */
    static Sources sources(String family) throws IOException {
        return new Sources(
                Checkpoint.open(oracle(family + "/base")),
                Checkpoint.open(oracle(family + "/aligned")),
                PeftAdapter.open(oracle(family + "/safety")));
    }

    static SelectionOptions options(Map<String, ?> fields) {
        return SelectionOptions.DEFAULTS.with(Map.of("strategy", "all")).with(fields);
    }

    /** A checkpoint of one weight (out, in), float32. */
    static Checkpoint model(Path directory, float[] weight, int out) throws IOException {
        Files.createDirectories(directory);
        Files.writeString(directory.resolve("config.json"), "{\"model_type\": \"llama\"}");
        SafetensorsWriter.write(
                directory.resolve("model.safetensors"),
                Map.of(MODULE + ".weight", TensorData.of(Dtype.F32, new long[] {out, weight.length / out}, weight)),
                Map.of());
        return Checkpoint.open(directory);
    }

    /** An adapter of that module, normal numbers; its scale is alpha / r. */
    static PeftAdapter adapter(int r, double alpha, int in, int out, long seed) {
        Random random = new Random(seed);
        LoraConfig config = LoraConfig.of("model", r, alpha, 0, List.of("down_proj"));
        LoraModule module = new LoraModule(
                MODULE, r, in, out, normal(random, r * in), normal(random, out * r), alpha / r, Dtype.F32);
        return PeftAdapter.of(config, List.of(module));
    }

    static float[] normal(Random random, int n) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    /** s B A (out, in) */
    static double[] update(LoraModule m) {
        double[] update = new double[m.out() * m.in()];
        for (int o = 0; o < m.out(); o++) {
            for (int i = 0; i < m.in(); i++) {
                for (int k = 0; k < m.r(); k++) {
                    update[o * m.in() + i] += m.scale() * m.b()[o * m.r() + k] * (double) m.a()[k * m.in() + i];
                }
            }
        }
        return update;
    }
}
