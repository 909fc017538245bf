package io.safelora.lm;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.checkpoint.LoraConfig;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.contract.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.Predicate;
import java.util.stream.Stream;

/** The checkpoints of src/test/resources (its README says how they were made), and adapters for them. */
final class Fixtures {
    private Fixtures() {}

    private static final Path MODELS = Path.of("src/test/resources/models");

    /** The names of all models. */
    static Stream<String> models() throws IOException {
        try (Stream<Path> files = Files.list(MODELS)) {
            return files
                    .filter(d -> Files.exists(d.resolve("config.json")))
                    .map(d -> d.getFileName().toString())
                    .sorted()
                    .toList()
                    .stream();
        }
    }

    /** The first model of a family. */
    static String ofFamily(String modelType) throws IOException {
        for (String name : models().toList()) {
            if (json(MODELS.resolve(name).resolve("config.json"))
                    .get("model_type")
                    .asText()
                    .equals(modelType)) {
                return name;
            }
        }
        throw new IOException("no model of " + modelType + " in " + MODELS + "; make.py there makes one");
    }

    /** One model of every family. */
    static Stream<String> families() throws IOException {
        Stream.Builder<String> names = Stream.builder();
        for (String modelType : Family.ALL.keySet()) {
            names.add(ofFamily(modelType));
        }
        return names.build();
    }

    static double[] doubles(JsonNode array) {
        return Json.MAPPER.convertValue(array, double[].class);
    }

    /** A complete model directory: the model's own files, and those of the tokenizer that all share. */
    static Path model(String name) throws IOException {
        Path dir = Files.createDirectories(Path.of("target/models", name));
        for (Path from : List.of(MODELS.resolve("tokenizer"), MODELS.resolve(name))) {
            try (Stream<Path> files = Files.list(from)) {
                for (Path file : files.toList()) {
                    Path to = dir.resolve(file.getFileName());
                    if (!Files.exists(to)
                            || Files.getLastModifiedTime(to).compareTo(Files.getLastModifiedTime(file)) < 0) {
                        Files.copy(file, to, StandardCopyOption.REPLACE_EXISTING);
                    }
                }
            }
        }
        return dir;
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
        for (Weights.Linear linear : Weights.linears(config).values()) {
            modules.add(new LoraModule(
                    linear.name(),
                    r,
                    linear.in(),
                    linear.out(),
                    normal(random, r * linear.in()),
                    normal(random, linear.out() * r),
                    alpha / r,
                    Dtype.F32));
        }
        List<String> targets = modules.stream()
                .map(m -> m.name().replaceFirst(".*\\.\\d+\\.", ""))
                .distinct()
                .toList();
        return PeftAdapter.of(LoraConfig.of("base", r, alpha, 0, targets), modules);
    }

    /** The same adapter with some of its modules only. */
    static PeftAdapter some(PeftAdapter adapter, Predicate<LoraModule> which) {
        return PeftAdapter.of(
                adapter.config(),
                adapter.modules().values().stream().filter(which).toList());
    }

    static float[] normal(Random random, int n) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = (float) (0.1 * random.nextGaussian());
        }
        return values;
    }
}
