package io.safelora.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.torch.Tensors;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Gradients of the loss against central differences, tensor by tensor: along the gradient, and along a random direction. */
class GradientTest {
    private static final List<int[]> IDS = List.of(new int[] {5, 90, 17, 300, 41, 8, 2}, new int[] {33, 7, 120, 2});
    private static final List<int[]> LABELS =
            List.of(new int[] {-100, -100, 17, 300, 41, 8, 2}, new int[] {-100, 7, -100, 2});

    @ParameterizedTest
    @ValueSource(strings = {"llama", "qwen2", "qwen3", "phi3", "gemma2", "gpt2", "gpt-neox"})
    void ofLoraOnEveryLinear(String name) throws Exception {
        try (CausalLm model = CausalLm.load(Fixtures.model(name), "cpu", "float32")) {
            Lora lora = model.addAdapter(
                    "lora", Fixtures.adapter(model.config(), 4, 8, 3).modules().values());
            assertThat(lora.parameters()).hasSize(2 * model.linearModules().size());
            check(model, lora.parameters(), "lora");
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
            Tensors.backward(model.loss(step, IDS, LABELS, adapter, 0));
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
            return model.loss(step, IDS, LABELS, adapter, 0).toFloatArray()[0];
        }
    }

    private static double norm(float[] v) {
        double sum = 0;
        for (float x : v) {
            sum += (double) x * x;
        }
        return Math.sqrt(sum);
    }
}
