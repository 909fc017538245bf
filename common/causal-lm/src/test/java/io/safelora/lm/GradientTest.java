package io.safelora.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.lm.TrainingPass.Options;
import io.safelora.torch.Tensors;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Gradients of the loss against central differences, tensor by tensor: along the gradient, and along a random
 * direction.
 */
class GradientTest {
    private static final List<int[]> IDS = List.of(new int[] {5, 90, 17, 300, 41, 8, 2}, new int[] {33, 7, 120, 2});
    private static final List<int[]> LABELS =
            List.of(new int[] {-100, -100, 17, 300, 41, 8, 2}, new int[] {-100, 7, -100, 2});

    @ParameterizedTest
    @MethodSource("io.safelora.lm.Fixtures#families")
    void ofLoraOnEveryLinear(String name) throws Exception {
        try (CausalLm model = CausalLm.load(Fixtures.model(name), "cpu", "float32")) {
            Lora lora = model.addAdapter("lora", Fixtures.adapter(model.config(), 4, 8, 3));
            assertThat(lora.parameters())
                    .hasSize(2 * model.files().linearModules().size());
            check(model, lora.parameters(), "lora");
        }
    }

    /**
     * Training has an attention of its own: as long as several of its blocks, and with windows, it gives what scoring
     * gives.
     */
    @ParameterizedTest
    @ValueSource(strings = {"llama", "mistral", "qwen2-windows"})
    void ofSequencesLongerThanABlock(String name) throws Exception {
        Random random = new Random(5);
        List<int[]> ids = Stream.of(2, 500, 256, 300)
                .map(n -> random.ints(n, 0, 320).toArray())
                .toList();
        try (CausalLm model = CausalLm.load(Fixtures.model(name), "cpu", "float32")) {
            Lora lora = model.addAdapter("lora", Fixtures.adapter(model.config(), 4, 8, 3));
            double expected =
                    model
                            .score(
                                    ids.stream()
                                            .map(text -> new Continuation(text, 1, "lora"))
                                            .toList(),
                                    null)
                            .stream()
                            .flatMapToDouble(Arrays::stream)
                            .sum();
            lora.parameters().values().forEach(p -> Tensors.requiresGrad(p, true));
            assertThat(loss(model, ids)).isCloseTo(-expected, within(1e-5 * -expected));
            List<float[]> gradients = gradients(model, lora.parameters());
            // Down the whole gradient at once.
            double norm =
                    norm(gradients.stream().mapToDouble(GradientTest::norm).toArray());
            double[] at = new double[2];
            for (int side = 0; side < 2; side++) {
                double step = (side == 0 ? -1e-3 : 2e-3) / norm; // the second from where the first left
                int i = 0;
                for (NDArray parameter : lora.parameters().values()) {
                    float[] moved = Tensors.floats(parameter);
                    float[] gradient = gradients.get(i++);
                    for (int j = 0; j < moved.length; j++) {
                        moved[j] += (float) (step * gradient[j]);
                    }
                    set(model, parameter, moved);
                }
                at[side] = loss(model, ids);
            }
            assertThat((at[1] - at[0]) / 2e-3).isCloseTo(norm, within(0.01 * norm));
        }
    }

    /** Of all tokens, with its backward pass. */
    private static double loss(CausalLm model, List<int[]> ids) {
        try (NDManager step = model.newManager()) {
            NDArray loss = model.trainingPass("lora").loss(step, ids, ids, 0);
            Tensors.backward(loss);
            return loss.toFloatArray()[0];
        }
    }

    /**
     * The training pass takes the gradient at the head with the loss, and may run the layers twice: the same gradients.
     */
    @ParameterizedTest
    @CsvSource({
        "llama, false",
        "llama, true",
        "gemma2, false",
        "gemma2, true",
        "gpt2, true",
        "phi3, true",
        "gpt-neox, true"
    })
    void ofTheTrainingPass(String name, boolean checkpointing) throws Exception {
        try (CausalLm model = CausalLm.load(Fixtures.model(name), "cpu", "float32")) {
            // Only above the first layer: nothing below needs a gradient.
            Lora lora = model.addAdapter("lora", Fixtures.some(Fixtures.adapter(model.config(), 4, 8, 3), m -> !m.name()
                    .contains(".0.")));
            lora.parameters().values().forEach(p -> Tensors.requiresGrad(p, true));
            double expected;
            try (NDManager step = model.newManager()) {
                NDArray loss = model.trainingPass("lora").loss(step, IDS, LABELS, 0);
                Tensors.backward(loss, step.full(loss.getShape(), 0.25f));
                expected = loss.getFloat();
            }
            List<float[]> gradients = gradients(model, lora.parameters());
            assertThat(backward(model, "lora", new Options(0, 0, checkpointing)))
                    .isCloseTo(expected, within(1e-5 * expected));
            List<float[]> again = gradients(model, lora.parameters());
            for (int i = 0; i < gradients.size(); i++) {
                assertThat(again.get(i)).containsExactly(gradients.get(i), within(1e-5f));
            }
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void ofTheTrainingPassWithDropout(boolean checkpointing) throws Exception {
        try (CausalLm model = CausalLm.load(Fixtures.model("llama"), "cpu", "float32")) {
            Lora lora = model.addAdapter("lora", Fixtures.adapter(model.config(), 4, 8, 3));
            lora.parameters().values().forEach(p -> Tensors.requiresGrad(p, true));
            Options pass = new Options(0.3, 7, checkpointing);
            double loss = backward(model, "lora", pass);
            List<float[]> gradients = gradients(model, lora.parameters());
            assertThat(backward(model, "lora", pass)).isEqualTo(loss);
            assertThat(backward(model, "lora", new Options(0.3, 99, checkpointing)))
                    .isNotEqualTo(loss);
            int i = 0;
            for (NDArray parameter : lora.parameters().values()) {
                float[] gradient = gradients.get(i++);
                if (i % 4 != 0) {
                    continue;
                }
                double norm = norm(gradient);
                float[] at = Tensors.floats(parameter);
                double[] at2 = new double[2];
                for (int side = 0; side < 2; side++) {
                    float[] moved = at.clone();
                    for (int j = 0; j < moved.length; j++) {
                        moved[j] += (float) ((side == 0 ? -1e-2 : 1e-2) * gradient[j] / norm);
                    }
                    set(model, parameter, moved);
                    at2[side] = backward(model, "lora", pass);
                }
                set(model, parameter, at);
                // Of the scaled loss.
                assertThat(0.25 * (at2[1] - at2[0]) / 2e-2).isCloseTo(norm, within(0.03 * norm + 1e-3));
            }
        }
    }

    /** With all weights trained the head gets its gradient too, and where it is tied the embedding gets both. */
    @ParameterizedTest
    @CsvSource({
        "llama, false",
        "llama, true",
        "llama-mha-tied, false",
        "llama-mha-tied, true",
        "gemma2, false",
        "gemma2, true",
        "gpt2, false",
        "gpt2, true",
        "qwen3, true",
        "gpt-neox, true"
    })
    void ofTheTrainingPassOfAllWeights(String name, boolean checkpointing) throws Exception {
        try (CausalLm model = CausalLm.loadToTrain(Fixtures.model(name), "cpu")) {
            model.weights().values().forEach(p -> Tensors.requiresGrad(p, true));
            double expected;
            try (NDManager step = model.newManager()) {
                NDArray loss = model.trainingPass(null).loss(step, IDS, LABELS, 0);
                Tensors.backward(loss, step.full(loss.getShape(), 0.25f));
                expected = loss.getFloat();
            }
            List<float[]> gradients = gradients(model, model.weights());
            // Twice: the second pass adds to what the first one left.
            for (int pass = 0; pass < 2; pass++) {
                assertThat(backward(model, null, new Options(0, 0, checkpointing)))
                        .isCloseTo(expected, within(1e-5 * expected));
            }
            List<float[]> twice = gradients(model, model.weights());
            int i = 0;
            for (String weight : model.weights().keySet()) {
                float[] once = gradients.get(i);
                float[] sum = twice.get(i++);
                double norm = norm(once);
                for (int j = 0; j < once.length; j++) {
                    assertThat((double) sum[j]).as(weight).isCloseTo(2 * once[j], within(1e-5 * norm + 1e-7));
                }
            }
        }
    }

    private static void set(CausalLm model, NDArray parameter, float[] values) {
        try (NDManager step = model.newManager()) {
            Tensors.copy(
                    parameter, Tensors.of(step, values, parameter.getShape().getShape()));
        }
    }

    private static double backward(CausalLm model, String adapter, Options pass) {
        try (NDManager step = model.newManager()) {
            return model.trainingPass(adapter)
                    .backward(step, IDS, LABELS, pass, 0.25)
                    .getFloat();
        }
    }

    /** The gradients, which are zero from now on. */
    private static List<float[]> gradients(CausalLm model, Map<String, NDArray> parameters) {
        try (NDManager step = model.newManager()) {
            return parameters.values().stream()
                    .map(p -> {
                        float[] gradient =
                                Tensors.floats(Tensors.gradient(step, p).orElseThrow());
                        Tensors.zeroGradient(p);
                        return gradient;
                    })
                    .toList();
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"llama3-rope", "gpt2"})
    void ofAllWeights(String name) throws Exception {
        var config = Fixtures.json(Fixtures.model(name).resolve("config.json"));
        try (CausalLm model = CausalLm.create(config, Fixtures.model("llama"), 1)) {
            Random random = new Random(2);
            for (NDArray weight : model.weights().values()) {
                try (NDManager step = model.newManager()) {
                    long[] shape = weight.getShape().getShape();
                    float[] values = Fixtures.normal(random, (int) weight.size());
                    for (int i = 0; i < values.length && shape.length == 1; i++) {
                        values[i] += 1;
                    }
                    Tensors.copy(weight, Tensors.of(step, values, shape));
                }
            }
            check(model, model.weights(), null);
        }
    }

    private static void check(CausalLm model, Map<String, NDArray> parameters, String adapter) {
        parameters.values().forEach(p -> Tensors.requiresGrad(p, true));
        try (NDManager step = model.newManager()) {
            Tensors.backward(model.trainingPass(adapter).loss(step, IDS, LABELS, 0));
        }
        Random random = new Random(4);
        parameters.forEach((name, parameter) -> {
            float[] gradient;
            try (NDManager step = model.newManager()) {
                gradient = Tensors.floats(Tensors.gradient(step, parameter).orElseThrow());
            }
            double norm = norm(gradient);
            assertThat(norm).as(name).isGreaterThan(1e-3);
            assertThat(slope(model, parameter, gradient, adapter))
                    .as("along the gradient of " + name)
                    .isCloseTo(norm, within(0.01 * norm + 1e-3));
            float[] direction = Fixtures.normal(random, gradient.length);
            double expected = 0;
            for (int i = 0; i < gradient.length; i++) {
                expected += gradient[i] * direction[i] / norm(direction);
            }
            assertThat(slope(model, parameter, direction, adapter))
                    .as("along a random direction of " + name)
                    .isCloseTo(expected, within(0.01 * norm + 1e-3));
        });
    }

    /** (loss(p + h u) - loss(p - h u)) / 2h with u the unit vector along {@code direction}. */
    private static double slope(CausalLm model, NDArray parameter, float[] direction, String adapter) {
        double h = 1e-2;
        float[] at = Tensors.floats(parameter);
        double norm = norm(direction);
        double[] loss = new double[2];
        for (int side = 0; side < 2; side++) {
            float[] moved = at.clone();
            for (int i = 0; i < moved.length; i++) {
                moved[i] += (float) ((side == 0 ? -h : h) * direction[i] / norm);
            }
            loss[side] = lossAt(model, parameter, moved, adapter);
        }
        lossAt(model, parameter, at, adapter);
        return (loss[1] - loss[0]) / (2 * h);
    }

    private static double lossAt(CausalLm model, NDArray parameter, float[] values, String adapter) {
        try (NDManager step = model.newManager()) {
            Tensors.copy(
                    parameter, Tensors.of(step, values, parameter.getShape().getShape()));
            return model.trainingPass(adapter).loss(step, IDS, LABELS, 0).toFloatArray()[0];
        }
    }

    private static double norm(double[] v) {
        return Math.sqrt(Arrays.stream(v).map(x -> x * x).sum());
    }

    private static double norm(float[] v) {
        double sum = 0;
        for (float x : v) {
            sum += (double) x * x;
        }
        return Math.sqrt(sum);
    }
}
