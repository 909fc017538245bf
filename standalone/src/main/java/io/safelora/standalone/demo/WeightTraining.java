package io.safelora.standalone.demo;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.SafetensorsWriter;
import io.safelora.artifacts.safetensors.TensorData;
import io.safelora.lm.CausalLm;
import io.safelora.standalone.demo.DemoData.Row;
import io.safelora.torch.AdamW;
import io.safelora.torch.ScalarType;
import io.safelora.torch.Tensors;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/** Trains all weights of a tiny model, with AdamW in float32, loss on the answers, learning rate falling to zero linearly. */
final class WeightTraining {
    private static final double MAX_GRAD_NORM = 1;
    private static final int WARMUP_STEPS = 20;

    /** What one training takes. */
    record Options(int steps, int batchSize, double learningRate, long seed) {}

    private record Example(int[] ids, int[] labels, int answerTokens) {}

    private WeightTraining() {}

    /** Trains {@code model}, whose weights are float32, in place. */
    static void run(CausalLm model, List<Row> rows, Options options, String name, Consumer<String> progress) {
        List<Example> examples = rows.stream().map(row -> example(model, row)).toList();
        try (NDManager manager = model.newManager();
                AdamW optimizer = new AdamW(manager, List.copyOf(model.weights().values()), 0, MAX_GRAD_NORM)) {
            Random random = new Random(options.seed());
            List<Integer> order = new ArrayList<>();
            double loss = 0;
            for (int step = 1; step <= options.steps(); step++) {
                List<Example> batch = new ArrayList<>();
                while (batch.size() < options.batchSize()) {
                    if (order.isEmpty()) {
                        order.addAll(IntStream.range(0, examples.size()).boxed().toList());
                        Collections.shuffle(order, random);
                    }
                    batch.add(examples.get(order.remove(order.size() - 1)));
                }
                double done = (step - 1) / (double) options.steps();
                double rate = options.learningRate() * Math.min(1, step / (double) WARMUP_STEPS) * (1 - done);
                try (NDManager scratch = manager.newSubManager()) {
                    int tokens = batch.stream().mapToInt(Example::answerTokens).sum();
                    NDArray sum = model.loss(
                            scratch,
                            batch.stream().map(Example::ids).toList(),
                            batch.stream().map(Example::labels).toList(),
                            null,
                            0);
                    Tensors.backward(sum, scratch.full(sum.getShape(), 1f / tokens));
                    loss = sum.getFloat() / tokens;
                    optimizer.step(rate);
                }
                if (step % 100 == 0 || step == options.steps()) {
                    progress.accept(String.format(
                            Locale.ROOT, "%s: step %d of %d, loss %.3f", name, step, options.steps(), loss));
                }
            }
        }
    }

    /** Writes the weights as model.safetensors in bfloat16. */
    static void save(CausalLm model, Path dir) throws IOException {
        try (NDManager manager = model.newManager()) {
            Map<String, TensorData> tensors = new LinkedHashMap<>();
            model.weights().forEach((name, weight) -> {
                NDArray rounded = Tensors.to(manager, weight, ScalarType.BFLOAT16);
                tensors.put(name, new TensorData(Dtype.BF16, weight.getShape().getShape(), Tensors.bytes(rounded)));
            });
            SafetensorsWriter.write(dir.resolve("model.safetensors"), tensors, Map.of("format", "pt"));
        }
    }

    private static Example example(CausalLm model, Row row) {
        int[] prompt = model.tokenizer().encode("Question: " + row.question() + "\nAnswer:", false);
        int[] answer = model.tokenizer().encode(" " + row.answer(), false);
        int[] ids = Arrays.copyOf(prompt, prompt.length + answer.length + 1);
        System.arraycopy(answer, 0, ids, prompt.length, answer.length);
        ids[ids.length - 1] = model.tokenizer().eosTokenId();
        int[] labels = ids.clone();
        Arrays.fill(labels, 0, prompt.length, -100);
        return new Example(ids, labels, answer.length + 1);
    }
}
