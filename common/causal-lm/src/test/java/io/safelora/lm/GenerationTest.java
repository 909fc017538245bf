package io.safelora.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.contract.Json;
import io.safelora.lm.GenerationOptions.Sampling;
import io.safelora.torch.Tensors;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Many texts together, with shared beginnings and several adapters, say what each says alone. */
class GenerationTest {
    /** Eighteen texts: twelve begin in two ways, six with adapter x, six with y. */
    private static List<GenerationRequest> requests(CausalLm model) {
        Random random = new Random(5);
        int vocab = model.config().vocabSize();
        int[][] beginnings = {
            random.ints(40, 3, vocab).toArray(), random.ints(20, 3, vocab).toArray(), {}
        };
        List<GenerationRequest> requests = new ArrayList<>();
        for (int i = 0; i < 18; i++) {
            int[] beginning = beginnings[i % 3];
            int[] end = random.ints(2 + random.nextInt(20), 3, vocab).toArray();
            int[] prompt = Arrays.copyOf(beginning, beginning.length + end.length);
            System.arraycopy(end, 0, prompt, beginning.length, end.length);
            requests.add(
                    new GenerationRequest(prompt, Arrays.asList(null, "x", "y").get(i / 3 % 3)));
        }
        return requests;
    }

    private static void addAdapters(CausalLm model) {
        for (String name : List.of("x", "y")) {
            model.addAdapter(name, Fixtures.adapter(model.config(), 4, 8, name.hashCode()));
        }
    }

    /** In bfloat16 texts that share beginnings attend in another way than alone: to the same, but for rounding. */
    @ParameterizedTest
    @ValueSource(strings = {"llama", "llama3-rope", "qwen3", "gpt2", "gpt-neox", "phi3"})
    void behindSharedBeginningsInBfloat16ItIsTheSameButForRounding(String name) throws Exception {
        try (CausalLm model = CausalLm.load(Fixtures.model(name), "cpu", "bfloat16");
                NDManager owner = model.newManager()) {
            addAdapters(model);
            Decoder decoder = model.decoder();
            List<GenerationRequest> requests = requests(model);
            List<Batch.Part> parts = new ArrayList<>();
            List<GenerationRequest> inOrder = new ArrayList<>();
            for (String adapter : Arrays.asList(null, "x", "y")) {
                for (int beginning = 0; beginning < 3; beginning++) {
                    int length = new int[] {40, 20, 0}[beginning];
                    NDArray prefix = null;
                    for (int i = beginning; i < 18; i += 3) {
                        int[] ids = requests.get(i).prompt();
                        if (!Objects.equals(requests.get(i).adapter(), adapter)) {
                            continue;
                        }
                        if (prefix == null && length > 0) {
                            prefix = model.cache().prefix(owner, Arrays.copyOf(ids, length), adapter);
                        }
                        int[] own = Arrays.copyOfRange(ids, length, ids.length);
                        parts.add(new Batch.Part(own, ids.length, 0, 0, adapter, prefix, length));
                        inOrder.add(requests.get(i));
                    }
                }
            }
            Batch together = Batch.prefill(parts, null);
            float[] all = floats(owner, decoder.hidden(owner, together.on(decoder, owner, 0)));
            int size = model.config().hiddenSize();
            for (int i = 0; i < inOrder.size(); i++) {
                GenerationRequest request = inOrder.get(i);
                float[] alone = floats(
                        owner,
                        decoder.hidden(
                                owner,
                                Batch.of(List.of(request.prompt()), request.adapter())
                                        .on(decoder, owner, 0)));
                int last = (int) together.lastRows()[i];
                double far = 0;
                double norm = 0;
                for (int j = 0; j < size; j++) {
                    double expected = alone[alone.length - size + j];
                    far += Math.pow(all[last * size + j] - expected, 2);
                    norm += expected * expected;
                }
                assertThat(Math.sqrt(far / norm)).as("text " + i).isLessThan(0.05);
            }
        }
    }

    private static float[] floats(NDManager owner, NDArray tensor) {
        return Tensors.floats(Tensors.to(owner, tensor, Dtype.F32));
    }

    @ParameterizedTest
    @ValueSource(strings = {"llama", "mistral", "gemma2", "gpt2", "llama-dynamic"})
    void theBatchChangesNothing(String name) throws Exception {
        try (CausalLm model = CausalLm.load(Fixtures.model(name), "cpu", "float32")) {
            addAdapters(model);
            List<GenerationRequest> requests = requests(model);
            List<int[]> alone = new ArrayList<>();
            for (GenerationRequest request : requests) {
                alone.add(model.generate(List.of(request), GenerationOptions.greedy(8), null)
                        .get(0));
            }
            for (int batchSize : new int[] {3, 64}) {
                assertThat(model.generate(requests, new GenerationOptions(8, List.of(), batchSize), null))
                        .as("batch size " + batchSize)
                        .usingRecursiveComparison()
                        .isEqualTo(alone);
            }
            Sampling sampling = new Sampling(1.3, 50, 0.9, 0, 7);
            List<int[]> drawn = model.generate(requests, new GenerationOptions(8, List.of(), 1, sampling, 0), null);
            assertThat(model.generate(requests, new GenerationOptions(8, List.of(), 7, sampling, 0), null))
                    .usingRecursiveComparison()
                    .isEqualTo(drawn);
            assertThat(drawn).usingRecursiveComparison().isNotEqualTo(alone);

            List<Continuation> texts = requests.stream()
                    .map(r -> new Continuation(r.prompt(), r.prompt().length - 2, r.adapter()))
                    .toList();
            List<double[]> scores = model.score(texts, null);
            for (int i = 0; i < texts.size(); i++) {
                double[] all = model.logprobs(texts.get(i).ids(), texts.get(i).adapter());
                assertThat(scores.get(i))
                        .usingComparatorWithPrecision(1e-5)
                        .containsExactly(Arrays.copyOfRange(all, all.length - 2, all.length));
            }
        }
    }

    @ParameterizedTest
    @ValueSource(doubles = {0, 0.3})
    void drawsFollowTheDistribution(double minP) throws Exception {
        try (CausalLm model = CausalLm.load(Fixtures.model("llama"), "cpu", "float32")) {
            int[] prompt = {5, 90, 17};
            float[] logits = model.lastLogits(prompt, null);
            int n = 4000;
            List<int[]> draws = new ArrayList<>();
            List<int[]> prompts = java.util.Collections.nCopies(n, prompt);
            draws.addAll(model.generate(
                    prompts,
                    new GenerationOptions(1, List.of(), 500, new Sampling(0.7, 20, 0.8, minP, 3), 0),
                    null,
                    null));
            // transformers' order: temperature, top_k, top_p, min_p
            Integer[] order = new Integer[logits.length];
            Arrays.setAll(order, i -> i);
            Arrays.sort(order, (a, b) -> Float.compare(logits[b], logits[a]));
            double[] p = new double[20];
            for (int i = 0; i < p.length; i++) {
                p[i] = Math.exp((logits[order[i]] - logits[order[0]]) / 0.7);
            }
            double sum = Arrays.stream(p).sum();
            double before = 0;
            double kept = 0;
            for (int i = 0; i < p.length; i++) {
                double share = p[i] / sum;
                p[i] = before < 0.8 && share >= minP / sum ? share : 0;
                kept += p[i];
                before += share;
            }
            for (int i = 0; i < p.length; i++) {
                int token = order[i];
                double expected = p[i] / kept;
                double seen = draws.stream().filter(d -> d[0] == token).count() / (double) n;
                assertThat(Math.abs(seen - expected))
                        .as("token " + token)
                        .isLessThanOrEqualTo(4.5 * Math.sqrt(expected * (1 - expected) / n));
            }
        }
    }

    @Test
    void whatDoesNotFitIsRefusedBeforeItStarts() throws Exception {
        try (CausalLm model = CausalLm.load(Fixtures.model("llama"), "cpu", "float32")) {
            List<GenerationRequest> requests = requests(model).stream()
                    .map(r -> new GenerationRequest(r.prompt(), null))
                    .toList();
            List<Integer> done = new ArrayList<>();
            assertThatThrownBy(() ->
                            model.generate(requests, new GenerationOptions(8, List.of(), 4, null, 10_000), done::add))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("memory budget");
            assertThat(done).isEmpty();
            // 256 bytes per token: room for two prefixes of 40 and one or two texts of 31 only.
            List<int[]> narrow = model.generate(requests, new GenerationOptions(8, List.of(), 64, null, 40_000), null);
            assertThat(narrow)
                    .usingRecursiveComparison()
                    .isEqualTo(model.generate(requests, new GenerationOptions(8, List.of(), 64), null));
        }
    }

    @Test
    void theModelsOwnGenerationConfigHolds(@TempDir Path dir) throws Exception {
        Path fixture = Fixtures.model("llama");
        for (String file : List.of("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")) {
            Files.copy(fixture.resolve(file), dir.resolve(file));
        }
        int[] prompt = {5, 90, 17, 300};
        int[] free;
        try (CausalLm model = CausalLm.load(dir, "cpu", "float32")) {
            free = model.generate(List.of(prompt), GenerationOptions.greedy(24), null, null)
                    .get(0);
        }
        Path config = dir.resolve("generation_config.json");
        Files.writeString(config, "{\"eos_token_id\": [1, " + free[3] + "]}");
        try (CausalLm model = CausalLm.load(dir, "cpu", "float32")) {
            int[] stopped = model.generate(List.of(prompt), GenerationOptions.greedy(24), null, null)
                    .get(0);
            assertThat(free).startsWith(stopped);
            assertThat(stopped).endsWith(free[3]).hasSizeLessThanOrEqualTo(4);
        }
        Files.writeString(config, "{\"repetition_penalty\": 50.0}");
        try (CausalLm model = CausalLm.load(dir, "cpu", "float32")) {
            int[] penalized = model.generate(List.of(prompt), GenerationOptions.greedy(24), null, null)
                    .get(0);
            assertThat(penalized).doesNotHaveDuplicates().isNotEqualTo(free);
        }
        String first;
        try (CausalLm model = CausalLm.load(dir, "cpu", "float32")) {
            first = model.tokenizer().decode(new int[] {free[0]}, false);
        }
        for (String stops : List.of("\"" + first + "\"", "[\"never said\", \"" + first + "\"]")) {
            Files.writeString(config, "{\"stop_strings\": " + stops + "}");
            try (CausalLm model = CausalLm.load(dir, "cpu", "float32")) {
                assertThat(model.generate(List.of(prompt), GenerationOptions.greedy(24), null, null)
                                .get(0))
                        .isEqualTo(Arrays.copyOf(free, 1));
                // The caller's own take their place, as an argument of transformers' generate does.
                assertThat(model.generate(
                                        List.of(prompt),
                                        new GenerationOptions(24, List.of("never said"), 1),
                                        null,
                                        null)
                                .get(0))
                        .isEqualTo(free);
            }
        }
        Files.writeString(config, "{\"temperature\": 0.4, \"min_p\": 0.2, \"top_k\": 7, \"do_sample\": true}");
        try (CausalLm model = CausalLm.load(dir, "cpu", "float32")) {
            assertThat(model.files().sampling(null, null, null, null, 1)).isEqualTo(new Sampling(0.4, 7, 1, 0.2, 1));
            assertThat(model.files().sampling(0.5, 0, 0.9, 0.0, 1)).isEqualTo(new Sampling(0.5, 0, 0.9, 0, 1));
        }
    }

    /** Every field of transformers' GenerationConfig, at a value that it does not have by default. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "max_length | 20 | passes",
                "max_new_tokens | 5 | passes",
                "min_length | 3 | refused",
                "min_new_tokens | 3 | refused",
                "early_stopping | true | passes",
                "max_time | 1.5 | refused",
                "do_sample | true | passes",
                "num_beams | 4 | refused",
                "use_mtp | true | passes",
                "use_cache | false | passes",
                "cache_implementation | \"hybrid\" | passes",
                "cache_implementation | \"quantized\" | refused",
                "cache_config | {\"a\": 1} | passes",
                "max_cache_len | 64 | passes",
                "temperature | 0.0 | passes",
                "top_k | 3 | passes",
                "top_p | 0.5 | passes",
                "min_p | 0.1 | passes",
                "top_h | 0.4 | refused to draw",
                "typical_p | 0.9 | refused to draw",
                "epsilon_cutoff | 0.1 | refused to draw",
                "eta_cutoff | 0.1 | refused to draw",
                "repetition_penalty | 1.0 | passes",
                "encoder_repetition_penalty | 1.2 | refused",
                "length_penalty | 2.0 | passes",
                "no_repeat_ngram_size | 3 | refused",
                "bad_words_ids | [[5]] | refused",
                "renormalize_logits | true | passes",
                "forced_bos_token_id | 1 | refused",
                "forced_eos_token_id | 1 | refused",
                "remove_invalid_values | true | passes",
                "exponential_decay_length_penalty | [5, 1.5] | refused",
                "suppress_tokens | [5] | refused",
                "begin_suppress_tokens | [5] | refused",
                "sequence_bias | [[[5], 1.0]] | refused",
                "token_healing | true | refused",
                "guidance_scale | 1.5 | refused",
                "watermarking_config | {\"bias\": 2.5} | refused",
                "num_return_sequences | 2 | refused",
                "output_attentions | true | passes",
                "output_hidden_states | true | passes",
                "output_scores | true | passes",
                "output_logits | true | passes",
                "return_dict_in_generate | true | passes",
                "pad_token_id | -1 | passes",
                "bos_token_id | 0 | passes",
                "encoder_no_repeat_ngram_size | 2 | refused",
                "decoder_start_token_id | 1 | passes",
                "is_assistant | true | passes",
                "num_assistant_tokens | 5 | passes",
                "num_assistant_tokens_schedule | \"heuristic\" | passes",
                "assistant_confidence_threshold | 0.3 | passes",
                "prompt_lookup_num_tokens | 5 | passes",
                "max_matching_ngram_size | 3 | passes",
                "assistant_early_exit | 4 | passes",
                "assistant_lookbehind | 9 | passes",
                "target_lookbehind | 9 | passes",
                "assistant_ensemble_weight | 0.5 | passes",
                "speculation_type | \"x\" | passes",
                "compile_config | {\"a\": 1} | passes",
                "disable_compile | true | passes",
                "continuous_batching_config | {\"a\": 1} | passes",
                "low_memory | true | passes",
                "penalty_alpha | 0.6 | refused",
                "dola_layers | \"high\" | refused",
                "diversity_penalty | 1.0 | refused",
                "num_beam_groups | 2 | refused",
                "constraints | [1] | refused",
                "force_words_ids | [[5]] | refused",
                "prefill_chunk_size | 16 | passes",
                "_from_model_config | true | passes",
                "transformers_version | \"4.40.0\" | passes",
                "use_model_defaults | true | passes",
                "transformers.js_config | {\"a\": 1} | passes",
                "what_a_tool_notes | \"x\" | refused",
            })
    void optionsThatChangeTokensAreRefusedAtUse(String option, String value, String verdict) throws Exception {
        GenerationConfig config =
                GenerationConfig.of(Json.MAPPER.readTree("{\"" + option + "\": " + value + ", \"eos_token_id\": 2}"));
        if (verdict.equals("passes")) {
            config.check(true);
            return;
        }
        assertThatThrownBy(() -> config.check(true))
                .isInstanceOf(UnsupportedModelException.class)
                .hasMessageContaining("generation_config.json: " + option)
                .hasMessageContaining("remove it if it is a note");
        if (verdict.equals("refused to draw")) {
            config.check(false);
        } else {
            assertThatThrownBy(() -> config.check(false)).hasMessageContaining(option);
        }
    }

    @Test
    void generateRefusesWhatItWouldNotDo(@TempDir Path dir) throws Exception {
        Path fixture = Fixtures.model("llama");
        for (String file : List.of("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")) {
            Files.copy(fixture.resolve(file), dir.resolve(file));
        }
        Files.writeString(
                dir.resolve("generation_config.json"),
                "{\"typical_p\": 0.5, \"max_length\": 20, \"temperature\": 0.0}");
        List<int[]> prompt = List.of(new int[] {5, 90});
        try (CausalLm model = CausalLm.load(dir, "cpu", "float32")) {
            assertThat(model.generate(prompt, GenerationOptions.greedy(2), null, null))
                    .hasSize(1);
            Sampling sampling = model.files().sampling(1.0, null, null, null, 1);
            assertThatThrownBy(() ->
                            model.generate(prompt, new GenerationOptions(2, List.of(), 1, sampling, 0), null, null))
                    .isInstanceOf(UnsupportedModelException.class)
                    .hasMessageContaining("typical_p 0.5");
            assertThatThrownBy(() -> model.files().sampling(null, null, null, null, 1))
                    .hasMessageContaining("temperature");
        }
        Files.writeString(dir.resolve("generation_config.json"), "{\"no_repeat_ngram_size\": 3}");
        try (CausalLm model = CausalLm.load(dir, "cpu", "float32")) {
            assertThatThrownBy(() -> model.generate(prompt, GenerationOptions.greedy(2), null, null))
                    .isInstanceOf(UnsupportedModelException.class)
                    .hasMessageContaining("no_repeat_ngram_size 3");
        }
    }

    @Test
    void stopStringsAreFoundAcrossTokenBorders() throws Exception {
        try (Tokenizer tokenizer = Tokenizer.load(Fixtures.model("llama"))) {
            String text = "Mara sells é ∑ lamps.\n\nQuestion: how many?";
            int[] ids = tokenizer.encode(text, false);
            for (String stop : List.of("é ∑ l", "\n\nQ", "Question:", "∑", "s.\n")) {
                StopStrings stops = new StopStrings(tokenizer, List.of("never said", stop));
                int n = 0;
                while (n < ids.length && !stops.add(ids[n])) {
                    n++;
                }
                assertThat(n).as(stop).isLessThan(ids.length);
                assertThat(tokenizer.decode(Arrays.copyOf(ids, n + 1), false)).contains(stop);
                assertThat(tokenizer.decode(Arrays.copyOf(ids, n), false)).doesNotContain(stop);
            }
        }
    }
}
