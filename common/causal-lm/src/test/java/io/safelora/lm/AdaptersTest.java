package io.safelora.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.contract.Json;
import io.safelora.lm.TrainingPass.Options;
import io.safelora.torch.AdamW;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.DoubleStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Everything that a LoRA adapter of PEFT can hold, against PEFT itself: src/test/resources/adapters says how its
 * numbers were made.
 */
class AdaptersTest {
    private static final Path ADAPTERS = Path.of("src/test/resources/adapters");

    static Stream<String> adapters() throws IOException {
        try (Stream<Path> files = Files.list(ADAPTERS)) {
            return files.filter(Files::isDirectory).map(d -> d.getFileName().toString()).sorted().toList().stream();
        }
    }

    private static JsonNode expected(String name) throws IOException {
        return Fixtures.json(ADAPTERS.resolve(name).resolve("expected.json"));
    }

    private static double[] doubles(JsonNode array) {
        return Json.MAPPER.convertValue(array, double[].class);
    }

    private static Path model(JsonNode expected) throws IOException {
        return Fixtures.model(expected.get("model").asText());
    }

    private static void assertClose(double[] actual, JsonNode expected, double tolerance) {
        assertThat(actual).usingComparatorWithPrecision(tolerance).containsExactly(doubles(expected));
    }

    @ParameterizedTest
    @MethodSource("adapters")
    void scoresAreThoseOfPeft(String name) throws Exception {
        JsonNode expected = expected(name);
        int[] ids = Fixtures.ints(expected.get("ids"));
        try (CausalLm model = CausalLm.load(model(expected), "cpu", "float32").forInference()) {
            model.loadAdapter("a", ADAPTERS.resolve(name));
            assertClose(model.logprobs(ids, "a"), expected.get("logprobs"), 1e-4);
            assertThat(doubles(expected.get("logprobs")))
                    .usingComparatorWithPrecision(0.1)
                    .isNotEqualTo(doubles(expected.get("without")));
            if (!name.equals("resized")) {
                assertClose(model.logprobs(ids, null), expected.get("without"), 1e-4);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("adapters")
    void aMergedModelComputesTheSame(String name, @TempDir Path dir) throws Exception {
        JsonNode expected = expected(name);
        Merger.merge(model(expected), ADAPTERS.resolve(name), dir);
        try (CausalLm model = CausalLm.load(dir, "cpu", "float32")) {
            assertClose(model.logprobs(Fixtures.ints(expected.get("ids")), null), expected.get("logprobs"), 1e-4);
        }
    }

    /** Three steps of AdamW with the learning rate 0.01: the same parameters, losses and model as PEFT's. */
    @ParameterizedTest
    @MethodSource("adapters")
    void trainingGoesOnAsInPeft(String name) throws Exception {
        JsonNode expected = expected(name);
        List<int[]> ids = List.of(Fixtures.ints(expected.get("ids")));
        for (boolean checkpointing : new boolean[] {false, true}) {
            try (CausalLm model = CausalLm.load(model(expected), "cpu", "float32");
                    NDManager owner = model.newManager()) {
                Lora lora = model.addAdapterToTrain("a", PeftAdapter.open(ADAPTERS.resolve(name)));
                assertThat(lora.parameters().values().stream()
                                .mapToLong(NDArray::size)
                                .sum())
                        .isEqualTo(expected.get("parameters").asLong());
                List<NDArray> parameters = List.copyOf(lora.parameters().values());
                try (AdamW optimizer = new AdamW(owner, parameters, lora.decayed(), 0, 0)) {
                    for (JsonNode loss : expected.get("losses")) {
                        int items = ids.get(0).length - 1;
                        double ours = model.trainingPass("a")
                                        .backward(owner, ids, ids, new Options(0, 0, checkpointing), 1.0 / items)
                                        .getFloat()
                                / items;
                        optimizer.step(owner, 0.01);
                        assertThat(ours).as(name).isCloseTo(loss.asDouble(), within(2e-4));
                    }
                }
                assertClose(model.logprobs(ids.get(0), "a"), expected.get("trained"), 2e-3);
            }
        }
    }

    /** Adapters that differ in anything but the base share a pass over its weights. */
    @Test
    void adaptersOfAllKindsShareAPass() throws Exception {
        Map<String, JsonNode> ofLlama = new TreeMap<>();
        for (String name : adapters().toList()) {
            if (expected(name).get("model").asText().equals("llama")) {
                ofLlama.put(name, expected(name));
            }
        }
        assertThat(ofLlama.keySet()).contains("whole-modules", "resized", "tokens", "dora-words", "head");
        try (CausalLm model =
                CausalLm.load(Fixtures.model("llama"), "cpu", "float32").forInference()) {
            List<Continuation> texts = new ArrayList<>();
            List<GenerationRequest> requests = new ArrayList<>();
            requests.add(new GenerationRequest(new int[] {5, 90, 17, 300}, null));
            for (String name : ofLlama.keySet()) {
                model.loadAdapter(name, ADAPTERS.resolve(name));
                int[] ids = Fixtures.ints(ofLlama.get(name).get("ids"));
                texts.add(new Continuation(ids, 1, name));
                requests.add(new GenerationRequest(Arrays.copyOf(ids, 4), name));
            }
            List<double[]> scores = model.score(texts, null);
            int i = 0;
            for (JsonNode expected : ofLlama.values()) {
                assertClose(scores.get(i++), expected.get("logprobs"), 1e-4);
            }
            GenerationOptions options = new GenerationOptions(12, List.of(), requests.size());
            List<int[]> together = model.generate(requests, options, null);
            for (int r = 0; r < requests.size(); r++) {
                assertThat(model.generate(List.of(requests.get(r)), options, null)
                                .get(0))
                        .as(requests.get(r).adapter())
                        .isEqualTo(together.get(r));
            }
        }
    }

    /** In bfloat16 it is the same model, but for rounding. */
    @ParameterizedTest
    @MethodSource("adapters")
    void inBfloat16ItIsTheSameButForRounding(String name) throws Exception {
        JsonNode expected = expected(name);
        int[] ids = Fixtures.ints(expected.get("ids"));
        try (CausalLm model = CausalLm.load(model(expected), "cpu", "bfloat16")) {
            model.loadAdapter("a", ADAPTERS.resolve(name));
            double[] actual = model.logprobs(ids, "a");
            double[] exact = doubles(expected.get("logprobs"));
            double mean = 0;
            for (int i = 0; i < exact.length; i++) {
                mean += Math.abs(actual[i] - exact[i]) / exact.length;
            }
            assertThat(mean).isLessThan(0.05);
            Lora lora = model.addAdapterToTrain("t", PeftAdapter.open(ADAPTERS.resolve(name)));
            try (NDManager step = model.newManager();
                    AdamW optimizer =
                            new AdamW(step, List.copyOf(lora.parameters().values()), lora.decayed(), 0, 0)) {
                double loss = model.trainingPass("t")
                        .backward(step, List.of(ids), List.of(ids), new Options(0, 0, false), 1)
                        .getFloat();
                assertThat(loss).isCloseTo(-DoubleStream.of(exact).sum(), within(1.0));
                assertThat(optimizer.step(step, 0.01).getFloat()).isGreaterThan(0);
            }
        }
    }
}
