package io.safelora.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.djl.ndarray.NDManager;
import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Against what transformers computes on the same checkpoints in float32. */
class OracleTest {
    private static final int NEW_TOKENS = 16;

    @ParameterizedTest
    @MethodSource("io.safelora.lm.Fixtures#models")
    void equalsTransformers(String name) throws Exception {
        Path dir = Fixtures.model(name);
        JsonNode expected = Fixtures.json(dir.resolve("expected.json"));
        try (CausalLm model = CausalLm.load(dir, "cpu", "float32")) {
            List<int[]> prompts = new ArrayList<>();
            List<int[]> greedy = new ArrayList<>();
            for (JsonNode prompt : expected.get("prompts")) {
                int[] ids = model.tokenizer().encode(prompt.get("text").asText(), true);
                assertThat(ids).containsExactly(Fixtures.ints(prompt.get("ids")));

                float[] logits = model.lastLogits(ids, null);
                assertThat(logits).hasSize(prompt.get("logits_last").size());
                for (int i = 0; i < logits.length; i++) {
                    assertThat((double) logits[i])
                            .isCloseTo(prompt.get("logits_last").get(i).asDouble(), within(1e-4));
                }
                double[] logprobs = model.logprobs(ids, null);
                assertThat(logprobs).hasSize(prompt.get("logprobs").size());
                for (int i = 0; i < logprobs.length; i++) {
                    assertThat(logprobs[i])
                            .isCloseTo(prompt.get("logprobs").get(i).asDouble(), within(1e-4));
                }
                prompts.add(ids);
                greedy.add(Fixtures.ints(prompt.get("greedy")));
                assertThat(model.generate(List.of(ids), GenerationOptions.greedy(NEW_TOKENS), null, null)
                                .get(0))
                        .containsExactly(greedy.get(greedy.size() - 1));
            }

            // Two places for three prompts: the third enters while the other is being continued.
            for (int batchSize : new int[] {2, 3}) {
                List<int[]> together =
                        model.generate(prompts, new GenerationOptions(NEW_TOKENS, List.of(), batchSize), null, null);
                for (int i = 0; i < prompts.size(); i++) {
                    assertThat(together.get(i)).containsExactly(greedy.get(i));
                }
            }

            try (NDManager step = model.newManager()) {
                List<int[]> first = List.of(prompts.get(0));
                double sum =
                        model.trainingPass(null).loss(step, first, first, 0).toFloatArray()[0];
                assertThat(sum / (prompts.get(0).length - 1))
                        .isCloseTo(expected.get("loss").asDouble(), within(1e-5));
            }
        }
    }

    @Test
    void stopStringsAndEndTokensEndAnAnswer() throws Exception {
        Path dir = Fixtures.model("llama");
        try (CausalLm model = CausalLm.load(dir, "cpu", "float32")) {
            int[] prompt = model.tokenizer().encode("Mara sells 7 lamps a day", true);
            int[] free = model.generate(List.of(prompt), GenerationOptions.greedy(24), null, null)
                    .get(0);
            String tenth = model.tokenizer().decode(Arrays.copyOfRange(free, 8, 10), false);
            int[] stopped = model.generate(
                            List.of(prompt), new GenerationOptions(24, List.of("never said", tenth), 1), null, null)
                    .get(0);
            assertThat(stopped.length).isLessThanOrEqualTo(10);
            assertThat(free).startsWith(stopped);
            assertThat(model.tokenizer().decode(stopped, false)).contains(tenth);
        }
    }

    @Test
    void bfloat16IsFloat32RoundedAndAdaptersShareTheBase() throws Exception {
        Path dir = Fixtures.model("llama");
        try (CausalLm exact = CausalLm.load(dir, "cpu", "float32");
                CausalLm rounded = CausalLm.load(dir, "cpu", "bfloat16")) {
            int[] ids = exact.tokenizer().encode("Mara sells 7 lamps a day", true);
            double[] a = exact.logprobs(ids, null);
            double[] b = rounded.logprobs(ids, null);
            double mean = 0;
            for (int i = 0; i < a.length; i++) {
                mean += Math.abs(a[i] - b[i]) / a.length;
            }
            assertThat(mean).isGreaterThan(0).isLessThan(0.1);

            exact.addAdapter("x", Fixtures.adapter(exact.config(), 4, 8, 1));
            double[] x = exact.logprobs(ids, "x");
            exact.addAdapter("y", Fixtures.adapter(exact.config(), 4, 8, 2));
            assertThat(exact.logprobs(ids, "y")).isNotEqualTo(x);
            assertThat(exact.logprobs(ids, "x")).isEqualTo(x);
            assertThat(exact.logprobs(ids, null)).isEqualTo(a);
        }
    }

    @Test
    void nothingIsLeftBehindByACall() throws Exception {
        try (CausalLm model = CausalLm.load(Fixtures.model("llama"), "cpu", "float32")) {
            NDManager owner = model.weights().values().iterator().next().getManager();
            int[] ids = {5, 6, 7, 8};
            int before = owner.getManagedArrays().size();
            for (int i = 0; i < 3; i++) {
                model.generate(List.of(ids, ids), new GenerationOptions(5, List.of(), 2), null, null);
                model.logprobs(ids, null);
                model.lastLogits(ids, null);
            }
            assertThat(owner.getManagedArrays()).hasSize(before);
        }
    }
}
