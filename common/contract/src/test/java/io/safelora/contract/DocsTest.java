package io.safelora.contract;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** docs/ is what the records say; {@code -Ddocs.update=true} writes it. */
class DocsTest {
    private static final Path DOCS = Path.of("../../docs");

    @Test
    void docsAreUpToDate() throws IOException {
        Map<String, String> expected = Docs.files();
        if (Boolean.getBoolean("docs.update")) {
            Files.createDirectories(DOCS.resolve("schemas"));
            for (Map.Entry<String, String> file : expected.entrySet()) {
                Files.writeString(DOCS.resolve(file.getKey()), file.getValue());
            }
        }
        for (Map.Entry<String, String> file : expected.entrySet()) {
            Path path = DOCS.resolve(file.getKey());
            assertThat(Files.exists(path) ? Files.readString(path) : "")
                    .as("docs/%s is stale; run: %s", file.getKey(), Docs.UPDATE)
                    .isEqualTo(file.getValue());
        }
        try (Stream<Path> schemas = Files.list(DOCS.resolve("schemas"))) {
            assertThat(schemas.map(path -> "schemas/" + path.getFileName()))
                    .as("no schema of an event that is gone")
                    .isSubsetOf(new TreeSet<>(expected.keySet()));
        }
    }

    @Test
    void examplesAreJobs() {
        Docs.EXAMPLES.values().forEach(JobDocument::parse);
    }
}
