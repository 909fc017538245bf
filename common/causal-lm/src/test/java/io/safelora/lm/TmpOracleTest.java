package io.safelora.lm;

import com.fasterxml.jackson.databind.*;
import java.nio.file.*;
import java.util.*;
import org.junit.jupiter.api.Test;

class TmpOracleTest {
    @Test
    void all() throws Exception {
        for (String name : List.of("llama", "llama-mha-tied", "llama3-rope")) {
            Path dir = Path.of("/var/tmp/oracle/models", name);
            JsonNode e =
                    new ObjectMapper().readTree(dir.resolve("expected.json").toFile());
            try (CausalLm lm = CausalLm.load(dir, "cpu", "float32")) {
                double wl = 0, wp = 0;
                boolean same = true;
                List<int[]> ps = new ArrayList<>();
                List<int[]> greedy = new ArrayList<>();
                for (JsonNode p : e.get("prompts")) {
                    int[] ids = lm.tokenizer().encode(p.get("text").asText(), true);
                    int[] exp = new ObjectMapper().convertValue(p.get("ids"), int[].class);
                    if (!Arrays.equals(ids, exp)) System.out.println("ids differ");
                    float[] logits = lm.lastLogits(ids, null);
                    for (int i = 0; i < logits.length; i++)
                        wl = Math.max(
                                wl,
                                Math.abs(logits[i] - p.get("logits_last").get(i).asDouble()));
                    double[] lp = lm.logprobs(ids, null);
                    for (int i = 0; i < lp.length; i++)
                        wp = Math.max(
                                wp, Math.abs(lp[i] - p.get("logprobs").get(i).asDouble()));
                    ps.add(ids);
                    int[] g = new ObjectMapper().convertValue(p.get("greedy"), int[].class);
                    greedy.add(g);
                    int[] out = lm.generate(List.of(ids), GenerationOptions.greedy(24), null, null)
                            .get(0);
                    same &= Arrays.equals(g, out);
                }
                List<int[]> batch = lm.generate(ps, new GenerationOptions(24, List.of(), 2), null, null);
                for (int i = 0; i < 3; i++) same &= Arrays.equals(batch.get(i), greedy.get(i));
                System.out.println(name + " logits " + wl + " logprobs " + wp + " greedy " + same);
            }
        }
        for (String dt : List.of("float32", "bfloat16")) {
            try (CausalLm lm = CausalLm.load(Path.of("/var/tmp/oracle/smollm2"), "cpu", dt)) {
                int[] ids = lm.tokenizer()
                        .encode(
                                "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n",
                                true);
                for (int k = 0; k < 3; k++) {
                    long t = System.nanoTime();
                    int[] out = lm.generate(List.of(ids), GenerationOptions.greedy(64), null, null)
                            .get(0);
                    System.out.println(dt + " " + lm.tokenizer().decode(out, false) + " "
                            + out.length / ((System.nanoTime() - t) / 1e9) + " tok/s");
                }
                long t = System.nanoTime();
                List<int[]> many = lm.generate(
                        Collections.nCopies(16, lm.tokenizer().encode("Once upon a time", true)),
                        new GenerationOptions(64, List.of(), 16),
                        null,
                        null);
                System.out.println(dt + " batch 16: "
                        + many.stream().mapToInt(x -> x.length).sum() / ((System.nanoTime() - t) / 1e9) + " tok/s");
            }
        }
    }
}
