package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** Follows docs/recipes/add-a-metric.md: the class that stands there, and the line that makes it known. */
class AddAMetricTest {
    private static final Path RECIPE = Path.of("../../docs/recipes/add-a-metric.md");

    // The recipe's example.
    /** Whether an answer begins with the target: 1 or 0. */
    record BeginsWith() implements Metric.OfAnswer {
        @Override
        public boolean higherIsBetter() {
            return true;
        }

        @Override
        public double of(String answer, String target) {
            return answer.strip().startsWith(target) ? 1 : 0;
        }
    }
    // End.

    @Test
    void theClassOfTheRecipeCounts() {
        Metric.OfAnswer metric = new BeginsWith();
        assertThat(metric.of(" Paris, of course", "Paris")).isEqualTo(1);
        assertThat(metric.of("It is Paris", "Paris")).isZero();
    }

    @Test
    void theRecipeShowsThatClass() throws Exception {
        String source = Files.readString(Path.of("src/test/java/io/safelora/evaluation/AddAMetricTest.java"));
        String shown = source.substring(
                        source.indexOf("// The recipe's example.\n") + "// The recipe's example.\n".length(),
                        source.indexOf("    // End."))
                .stripTrailing()
                .stripIndent()
                .strip();
        assertThat(Files.readString(RECIPE)).contains(shown);
    }

    @Test
    void everyMetricOfTheDocsIsThere() throws Exception {
        String docs = Files.readString(Path.of("../../docs/evaluation.md"));
        assertThat(Metric.ALL.keySet()).allSatisfy(name -> assertThat(docs).contains("`" + name + "`"));
    }
}
