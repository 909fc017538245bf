import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.management.OperatingSystemMXBean;
import io.safelora.lm.CausalLm;
import io.safelora.lm.Continuation;
import io.safelora.lm.GenerationOptions;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * One measurement of this project's engine, as transformers_baseline.py measures transformers: generate, score or
 * single.
 */
public class EngineBenchmark {
    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        String mode = args[0];
        Path model = Path.of(args[1]);
        String dtype = args[2];
        int questions = Integer.parseInt(args[5]);
        int newTokens = Integer.parseInt(args[6]);
        int batch = Integer.parseInt(args[7]);
        StringBuilder shots = new StringBuilder();
        for (JsonNode row : rows(args[3], 5)) {
            shots.append(question(row)).append(" ").append(row.get("answer").asText()).append("\n\n");
        }
        Map<String, Object> result = new LinkedHashMap<>();
        try (CausalLm lm = CausalLm.load(model, "cpu", dtype).forInference()) {
            List<int[]> prompts = new ArrayList<>();
            List<Continuation> answers = new ArrayList<>();
            for (JsonNode row : rows(args[4], questions)) {
                int[] prompt = lm.tokenizer().encode(shots + question(row), true);
                int[] answer = lm.tokenizer().encode(" " + row.get("answer").asText(), false);
                int[] both = Arrays.copyOf(prompt, prompt.length + answer.length);
                System.arraycopy(answer, 0, both, prompt.length, answer.length);
                prompts.add(prompt);
                answers.add(new Continuation(both, prompt.length, null));
            }
            // Once before the clock runs: libraries load, kernels are chosen, Java compiles.
            lm.generate(prompts.subList(0, 1), GenerationOptions.greedy(4), null, null);
            long began = System.nanoTime();
            long cpu = cpu();
            switch (mode) {
                case "generate" -> result.put(
                        "ids",
                        lm.generate(
                                prompts, new GenerationOptions(newTokens, List.of("Question:"), batch), null, null));
                case "score" -> result.put(
                        "sums", lm.score(answers, null).stream().map(s -> Arrays.stream(s).sum()).toList());
                case "single" -> {
                    // The prompt is short: what is measured is decoding.
                    List<int[]> one = List.of(lm.tokenizer().encode("Once upon a time", true));
                    lm.generate(one, GenerationOptions.greedy(8), null, null);
                    began = System.nanoTime();
                    cpu = cpu();
                    result.put("ids", lm.generate(one, GenerationOptions.greedy(newTokens), null, null));
                }
                case "logits" -> {
                    List<float[]> all = new ArrayList<>();
                    // Each question alone: behind the same examples, all would be wrong alike.
                    for (JsonNode row : rows(args[4], questions)) {
                        int[] question = lm.tokenizer().encode(question(row), true);
                        all.add(lm.lastLogits(question, null));
                    }
                    result.put("logits", all);
                }
                default -> throw new IllegalArgumentException(mode);
            }
            result.put("seconds", (System.nanoTime() - began) / 1e9);
            result.put("cpu_seconds", (cpu() - cpu) / 1e9);
        }
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM")) {
                result.put("peak_mb", Integer.parseInt(line.replaceAll("\\D", "")) / 1024);
            }
        }
        JSON.writeValue(Path.of(args[8]).toFile(), result);
    }

    private static String question(JsonNode row) {
        return "Question: " + row.get("question").asText() + "\nAnswer:";
    }

    /** What all threads have computed, in ns: comparable on a busy machine, where the clock is not. */
    static long cpu() {
        return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    static List<JsonNode> rows(String file, int n) throws Exception {
        List<JsonNode> rows = new ArrayList<>();
        for (String line : Files.readAllLines(Path.of(file)).subList(0, n)) {
            rows.add(JSON.readTree(line));
        }
        return rows;
    }
}
