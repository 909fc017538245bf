import io.safelora.lm.CausalLm;
import io.safelora.lm.GenerationOptions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Whether native memory stays flat: so many generations and loads of a tiny model, with the anonymous resident memory now and then.
 * The heap must be fixed (-Xms = -Xmx), so that what grows is native:
 *   java -Xms128m -Xmx128m -XX:+UseSerialGC -cp CLASSPATH Soak.java MODEL 10000 1000
 */
public class Soak {
    public static void main(String[] args) throws Exception {
        Path dir = Path.of(args[0]);
        int generations = Integer.parseInt(args[1]);
        int loads = Integer.parseInt(args[2]);
        try (CausalLm model = CausalLm.load(dir, "cpu", "float32").forInference()) {
            List<int[]> prompts = List.of(new int[] {5, 6, 7, 8}, new int[] {9, 10});
            for (int i = 1; i <= generations; i++) {
                model.generate(prompts, new GenerationOptions(4, List.of("never said"), 2), null, null);
                report("generation", i, generations);
            }
        }
        for (int i = 1; i <= loads; i++) {
            try (CausalLm model = CausalLm.load(dir, "cpu", "float32").forInference()) {
                model.lastLogits(new int[] {5, 6, 7}, null);
            }
            report("load", i, loads);
        }
    }

    private static void report(String what, int i, int of) throws Exception {
        if (i != 100 && i % Math.max(100, of / 10) != 0) {
            return;
        }
        System.gc();
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("RssAnon")) {
                System.out.println(what + " " + i + ": " + Long.parseLong(line.replaceAll("\\D", "")) / 1024 + " MB");
            }
        }
    }
}
