package io.safelora.standalone.demo;

import ai.djl.pytorch.jni.JniUtils;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.contract.Json;
import io.safelora.contract.TrainingOptions;
import io.safelora.lm.CausalLm;
import io.safelora.lm.ModelWriter;
import io.safelora.standalone.demo.DemoData.Row;
import io.safelora.torch.Torch;
import io.safelora.training.FineTuning;
import io.safelora.training.ModelCard;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * The demo's models and data: a base and an aligned model of Llama's architecture, 0.7 M parameters each, in Hugging
 * Face's layout, and what the demo's job trains and tests on.
 */
public final class DemoModels {
    /** The seed of what is shipped. */
    public static final long SEED = 1;

    private static final List<String> MODELS = List.of("base", "aligned");
    private static final List<String> MODEL_FILES = List.of(
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json");
    private static final List<String> DATA_FILES =
            List.of("finetuning.jsonl", "problems.jsonl", "forbidden.csv", "harmless.csv");

    private DemoModels() {}

    /** The names of all shipped files, relative to the demo's folder: base/..., aligned/..., data/..., job.yaml. */
    public static List<String> files() {
        List<String> files = new ArrayList<>();
        MODELS.forEach(model -> MODEL_FILES.forEach(file -> files.add(model + "/" + file)));
        DATA_FILES.forEach(file -> files.add("data/" + file));
        files.add("job.yaml");
        return files;
    }

    /** Copies what is shipped to {@code dir}. */
    public static void unpack(Path dir) throws IOException {
        for (String file : files()) {
            copyResource(file, dir.resolve(file));
        }
    }

    /**
     * Makes the models and the data again: generates the text, trains the base model on it from random weights, and
     * goes on from there to the aligned model. Takes some minutes on two cores.
     *
     * <p>The text depends on the seed alone. The weights also depend on the order of floating-point sums: the same kind
     * of CPU gives the same bytes, another one gives a pair that behaves alike. PyTorch is left with one thread, so
     * that the number of cores makes no difference; with matrices this small a second one gains nothing.
     *
     * @param outDir gets base/, aligned/, data/ and job.yaml; {@link #SEED} makes what is shipped
     * @param maxSteps how many steps each model is trained at most
     * @param progress told now and then, in one line, how far it is
     */
    public static void make(Path outDir, long seed, int maxSteps, Consumer<String> progress) throws IOException {
        Torch.device("cpu"); // loads the engine, which sets its own number of threads
        JniUtils.setNumThreads(1);
        DemoData data = DemoData.generate(seed);
        data.writeJobData(outDir.resolve("data"));
        copyResource("job.yaml", outDir.resolve("job.yaml"));
        DemoTokenizer tokenizer = DemoTokenizer.of(Stream.concat(data.pretraining().stream(), data.alignment().stream())
                .map(DemoModels::text));
        for (String model : MODELS) {
            Path dir = Files.createDirectories(outDir.resolve(model));
            tokenizer.write(dir);
            Files.write(dir.resolve("config.json"), Json.pretty(config(tokenizer.size())));
            Files.write(dir.resolve("generation_config.json"), Json.pretty(generationConfig()));
        }
        Path start = Files.createTempDirectory("safelora-demo-models-");
        try {
            Path base = outDir.resolve("base");
            try (CausalLm model = CausalLm.create(config(tokenizer.size()), base, seed)) {
                ModelWriter.write(model, config(tokenizer.size()), base, Dtype.BF16, start);
            }
            train(start, data.pretraining(), Math.min(1500, maxSteps), seed, base, start, progress);
            train(base, data.alignment(), Math.min(300, maxSteps), seed, outDir.resolve("aligned"), start, progress);
        } finally {
            try (Stream<Path> files = Files.list(start)) {
                for (Path file : files.toList()) {
                    Files.delete(file);
                }
            }
            Files.delete(start);
        }
    }

    /** Full fine-tuning by the lora-trainer. */
    private static void train(
            Path from, List<Row> rows, int steps, long seed, Path to, Path scratch, Consumer<String> progress)
            throws IOException {
        Path data = scratch.resolve("rows.jsonl");
        DemoData.writeRows(data, rows);
        TrainingOptions options = TrainingOptions.of(Json.MAPPER
                .createObjectNode()
                .put("data", data.toUri().toString())
                .put("method", "full")
                .put("max_steps", steps)
                .put("per_device_train_batch_size", 32)
                .put("learning_rate", 2e-3)
                .put("warmup_steps", 20)
                .put("seed", seed));
        String name = to.getFileName().toString();
        FineTuning.run(
                new FineTuning.Options(
                        from,
                        data,
                        null,
                        null,
                        options,
                        null,
                        "cpu",
                        "float32",
                        new ModelCard.Origin(name, name, Map.of())),
                to,
                step -> {
                    if (step.step() % 100 == 0) {
                        progress.accept(name + ": " + step);
                    }
                });
        // What is shipped is the models alone.
        Files.delete(to.resolve("README.md"));
        Files.delete(to.resolve(FineTuning.TRAINER_STATE));
    }

    private static String text(Row row) {
        return "Question: " + row.question() + "\nAnswer: " + row.answer();
    }

    private static ObjectNode config(int vocabulary) {
        ObjectNode config = Json.MAPPER.createObjectNode();
        config.putArray("architectures").add("LlamaForCausalLM");
        config.put("model_type", "llama");
        config.put("hidden_size", 128);
        config.put("intermediate_size", 320);
        config.put("num_hidden_layers", 4);
        config.put("num_attention_heads", 4);
        config.put("num_key_value_heads", 2);
        config.put("head_dim", 32);
        config.put("hidden_act", "silu");
        config.put("rms_norm_eps", 1e-6);
        config.put("rope_theta", 10000.0);
        config.put("max_position_embeddings", 512);
        config.put("vocab_size", vocabulary);
        config.put("tie_word_embeddings", true);
        config.put("attention_bias", false);
        config.put("mlp_bias", false);
        config.putNull("bos_token_id");
        config.put("eos_token_id", DemoTokenizer.END_OF_TEXT_ID);
        config.put("pad_token_id", DemoTokenizer.END_OF_TEXT_ID);
        config.put("torch_dtype", "bfloat16");
        return config;
    }

    private static ObjectNode generationConfig() {
        return Json.MAPPER
                .createObjectNode()
                .put("do_sample", false)
                .put("eos_token_id", DemoTokenizer.END_OF_TEXT_ID)
                .put("pad_token_id", DemoTokenizer.END_OF_TEXT_ID);
    }

    private static void copyResource(String name, Path to) throws IOException {
        try (InputStream in = DemoModels.class.getResourceAsStream("/demo/" + name)) {
            if (in == null) {
                throw new FileNotFoundException("the demo's " + name + " is not on the class path");
            }
            Files.createDirectories(to.getParent());
            Files.copy(in, to, StandardCopyOption.REPLACE_EXISTING);
        }
    }
}
