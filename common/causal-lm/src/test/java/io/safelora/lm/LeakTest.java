package io.safelora.lm;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/**
 * Generations, and models that come and go, leave nothing behind in native memory: it is after all of them what it was
 * after the hundredth. More of them: {@code -Dleak.generations=10000 -Dleak.loads=1000}.
 */
class LeakTest {
    /** What malloc may keep back; a model left open, a tensor per call or a decoder per load are many times more. */
    private static final long SLACK_MB = 8;

    @TempDir
    Path dir;

    @Test
    @Timeout(600)
    @EnabledOnOs(OS.LINUX) // /proc tells what is resident
    void nativeMemoryEndsWhereTheHundredthLeftIt() throws Exception {
        Path report = dir.resolve("report");
        Process child = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        // A heap that is resident from the start: what grows is native.
                        "-Xms128m",
                        "-Xmx128m",
                        "-XX:+AlwaysPreTouch",
                        "-XX:+UseSerialGC",
                        "-XX:TieredStopAtLevel=1",
                        "-cp",
                        System.getProperty("java.class.path"),
                        LeakTest.class.getName(),
                        Fixtures.model("llama").toString(),
                        System.getProperty("leak.generations", "1000"),
                        System.getProperty("leak.loads", "300"),
                        report.toString())
                .inheritIO()
                .start();
        assertThat(child.waitFor(600, TimeUnit.SECONDS)).isTrue();
        assertThat(child.exitValue()).isZero();
        List<String> lines = Files.readAllLines(report);
        System.out.println("native memory, MB: " + String.join("; ", lines));
        for (String line : lines) {
            String[] figures = line.split(" ");
            assertThat(Long.parseLong(figures[2]) - Long.parseLong(figures[1]))
                    .as(line)
                    .isLessThanOrEqualTo(SLACK_MB);
        }
    }

    /** In a process of its own. Writes a line of each kind: name, MB after the hundredth, MB after the last. */
    public static void main(String[] args) throws Exception {
        Path directory = Path.of(args[0]);
        try (CausalLm model = CausalLm.load(directory, "cpu", "float32").forInference()) {
            List<int[]> prompts = List.of(new int[] {5, 6, 7, 8}, new int[] {9, 10});
            GenerationOptions options = new GenerationOptions(4, List.of("never said"), 2);
            repeat("generations", args[1], args[3], () -> model.generate(prompts, options, null, null));
        }
        repeat("loads", args[2], args[3], () -> {
            try (CausalLm model = CausalLm.load(directory, "cpu", "float32").forInference()) {
                model.lastLogits(new int[] {5, 6, 7}, null);
            }
        });
    }

    private interface Cycle {
        void run() throws IOException;
    }

    private static void repeat(String name, String times, String report, Cycle cycle) throws IOException {
        long atHundred = 0;
        for (int i = 1; i <= Integer.parseInt(times); i++) {
            cycle.run();
            if (i == 100) {
                atHundred = nativeMegabytes();
            }
        }
        String line = name + " " + atHundred + " " + nativeMegabytes() + "\n";
        Files.writeString(
                Path.of(report),
                line,
                java.nio.file.StandardOpenOption.CREATE,
                java.nio.file.StandardOpenOption.APPEND);
    }

    /** Resident anonymous memory without the heap and what the virtual machine keeps of classes and compiled code. */
    private static long nativeMegabytes() throws IOException {
        System.gc();
        long own = ManagementFactory.getMemoryPoolMXBeans().stream()
                .filter(pool -> pool.getType() == MemoryType.NON_HEAP)
                .mapToLong(pool -> pool.getUsage().getCommitted())
                .sum();
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("RssAnon")) {
                return (Long.parseLong(line.replaceAll("\\D", "")) * 1024 - own >> 20) - 128;
            }
        }
        throw new IOException("/proc/self/status has no RssAnon");
    }
}
