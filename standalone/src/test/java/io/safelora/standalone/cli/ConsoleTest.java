package io.safelora.standalone.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ConsoleTest {
    private static final String WORDS = "step 12 of 100, loss 1.2345, learning rate 0.0002, 310 tokens/s 🙂🙂";

    @ParameterizedTest
    @ValueSource(ints = {1, 5, 10, 20, 24, 30, 40, 57, 79, 80, 100, 500})
    void aBarIsNoWiderThanTheTerminal(int width) {
        for (double share : new double[] {0, 0.37, 1}) {
            String line = Console.line("alignment-analyzer", share, WORDS, width);
            assertThat(line.codePointCount(0, line.length())).isLessThanOrEqualTo(width);
        }
    }

    @Test
    void aWideTerminalShowsAll() {
        assertThat(Console.line("train", 0.5, WORDS, 200))
                .startsWith("train              " + "█".repeat(15) + "░".repeat(15) + "  50%  step 12")
                .endsWith(WORDS);
        assertThat(Console.line("train", 0.5, WORDS, 60)).contains(" 50%").hasSize(60);
    }

    @Test
    void aTerminalGetsABarAndAFilePlainLines() {
        for (int columns : new int[] {40, 0}) {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            Console console = new Console(new PrintStream(bytes, true, StandardCharsets.UTF_8), () -> columns);
            console.progress("train", 0.5, WORDS);
            String shown = bytes.toString(StandardCharsets.UTF_8);
            assertThat(shown.contains("█")).isEqualTo(columns > 0);
            assertThat(shown).contains("50%").contains(columns > 0 ? "\r" : "310 tokens/s");
        }
    }
}
