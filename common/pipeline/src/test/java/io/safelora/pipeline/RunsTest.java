package io.safelora.pipeline;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.artifacts.store.StoreSettings;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Topics;
import io.safelora.pipeline.Runs.IdTakenException;
import io.safelora.pipeline.Runs.Run;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RunsTest {
    @TempDir
    Path dir;

    private ArtifactStore store;
    private Runs runs;
    private final List<String> replaced = new ArrayList<>();

    @BeforeEach
    void open() {
        store = new ArtifactStore(StoreSettings.localFiles(dir.resolve("cache")));
        runs = new Runs(store, dir.toUri() + "//");
    }

    @AfterEach
    void close() {
        store.close();
    }

    private static Event request(String sha256, String run, boolean replace) {
        return new Event("job", run, sha256, replace, Topics.of(JobRequest.class), null, Map.of());
    }

    private String claim(String sha256, String run, boolean replace) throws IOException {
        return runs.claim(request(sha256, run, replace), replaced::add);
    }

    @Test
    void anIdIsItsFirstDocuments() throws IOException {
        assertThat(runs.find("job")).isEmpty();
        assertThat(claim("a", "0-1", false)).isEqualTo("0-1");
        assertThat(runs.find("job")).contains(new Run("a", "0-1"));
        assertThat(dir.resolve("jobs/job.json")).exists();
        assertThat(claim("a", "0-1", false)).as("the same task again").isEqualTo("0-1");
        assertThat(claim("a", "0-2", false)).as("the same document again").isEqualTo("0-1");
        assertThatThrownBy(() -> claim("b", "0-3", false))
                .isInstanceOf(IdTakenException.class)
                .hasMessageContaining("stands for another document (run 0-1)");
        assertThat(replaced).isEmpty();
    }

    @Test
    void aReplacementTakesTheIdAndNoEarlierOneTakesItBack() throws IOException {
        claim("a", "0-1", false);
        assertThat(claim("b", "0-10", true)).isEqualTo("0-10");
        assertThat(replaced).containsExactly("0-1");
        assertThat(claim("b", "0-10", true)).as("the same task again").isEqualTo("0-10");
        assertThat(claim("b", "0-11", true)).as("the same document run again").isEqualTo("0-11");
        assertThatThrownBy(() -> claim("a", "0-9", true))
                .isInstanceOf(IdTakenException.class)
                .hasMessageContaining("a later request under the job id job (run 0-11)");
        assertThat(claim("c", "1-2", true)).as("of another partition").isEqualTo("1-2");
        assertThat(replaced).containsExactly("0-1", "0-10", "0-11");
    }

    @Test
    void aRunIsReplacedByALaterOneAlone() throws IOException {
        assertThat(runs.isReplaced(request("a", "0-1", false))).as("a free id").isFalse();
        claim("a", "0-1", false);
        assertThat(runs.isReplaced(request("a", "0-1", false))).isFalse();
        assertThat(runs.isReplaced(request("a", null, false)))
                .as("of an unknown run")
                .isFalse();
        claim("b", "0-2", true);
        assertThat(runs.isReplaced(request("a", "0-1", false))).isTrue();
        assertThat(runs.isReplaced(request("b", "0-2", false))).isFalse();
    }

    @Test
    void whatSomebodyElseWroteIsNamed() throws IOException {
        for (String foreign : List.of("{", "{\"run\": \"0-1\"}", "{\"request\": \"a\", \"run\": \"x\"}")) {
            store.put(dir.toUri() + "jobs/job.json", foreign.getBytes(UTF_8));
            assertThatThrownBy(() -> runs.find("job"))
                    .isInstanceOf(IOException.class)
                    .hasMessageContaining("jobs/job.json is not what this system wrote; delete it");
        }
    }
}
