package io.safelora.pipeline;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.artifacts.store.StoreSettings;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.JobEvent.JobCancelled;
import io.safelora.contract.JobEvent.JobStatus;
import io.safelora.contract.JobEvent.TrainingStep;
import io.safelora.contract.Topics;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class WorkspaceTest {
    @TempDir
    Path dir;

    private final Sent sent = new Sent();
    private final Claim claim = new Claim();
    private final Metrics metrics = new Metrics(new SimpleMeterRegistry(), "stage");
    private ArtifactStore store;

    @BeforeEach
    void open() {
        store = new ArtifactStore(StoreSettings.localFiles(dir.resolve("cache")));
    }

    @AfterEach
    void close() {
        store.close();
    }

    private Workspace workspace(String job) throws IOException {
        Event event = new Event(
                job, "0-1", null, false, Topics.of(JobCancelled.class), new JobCancelled(null, null), Map.of());
        return new Workspace(event, "stage", Worker.config(dir), store, new Publisher(sent), metrics, claim);
    }

    @Test
    void aResultIsMadeOnceAndFoundByItsInputs() throws Exception {
        ArtifactRef first;
        try (Workspace workspace = workspace("a")) {
            assertThat(workspace.find("step", 1, Map.of("x", 1))).isEmpty();
            first = workspace.result("step", 1, Map.of("x", 1), output -> {
                assertThat(output).isEmptyDirectory();
                Files.writeString(output.resolve("file"), "made");
            });
            assertThat(first.uri()).startsWith(dir.resolve("artifacts").toUri() + "results/stage/");
        }
        try (Workspace workspace = workspace("b")) {
            assertThat(workspace.result("step", 1, Map.of("x", 1), output -> {
                        throw new AssertionError("made again");
                    }))
                    .isEqualTo(first);
            assertThat(metrics.reused.count()).isEqualTo(1);
            assertThat(workspace.find("step", 1, Map.of("x", 1))).contains(first);
            assertThat(workspace.find("step", 2, Map.of("x", 1))).isEmpty();
            assertThat(workspace.find("other", 1, Map.of("x", 1))).isEmpty();
            assertThat(workspace.find("step", 1, Map.of("x", 2))).isEmpty();
            assertThat(workspace.store().read(first, "file", 10))
                    .asString(UTF_8)
                    .isEqualTo("made");
        }
    }

    @Test
    void whatAKilledWorkerSavedIsFoundAndGoesWithTheResult() throws Exception {
        try (Workspace workspace = workspace("a")) {
            assertThatThrownBy(() -> workspace.result("step", 1, "inputs", (output, point) -> {
                        assertThat(point.load()).isEmpty();
                        point.save(Files.writeString(point.newFile(), "half"));
                        throw new IOException("killed");
                    }))
                    .hasMessage("killed");
        }
        try (Workspace workspace = workspace("a")) {
            workspace.result("step", 1, "inputs", (output, point) -> {
                assertThat(point.load().orElseThrow()).hasContent("half");
                assertThat(point.toString()).contains("/checkpoints/stage/");
                Files.writeString(output.resolve("file"), "whole");
            });
        }
        assertThat(dir.resolve("artifacts/checkpoints/stage")).isEmptyDirectory();
    }

    @Test
    void aClaimIsOneTasks() throws IOException {
        try (Workspace workspace = workspace("a")) {
            assertThat(workspace.claim("division", "part 1")).isTrue();
            assertThat(workspace.claim("division", "part 2")).isFalse();
            assertThat(workspace.claim("division", "part 1")).as("repeated").isTrue();
            assertThat(workspace.claim("another", "part 2")).isTrue();
        }
    }

    @Test
    void aStoppedTaskMakesNoResult() throws Exception {
        try (Workspace workspace = workspace("a")) {
            assertThatThrownBy(() ->
                            workspace.result("step", 1, "inputs", output -> claim.stop(TaskStopped.Why.CLAIM_LOST)))
                    .isInstanceOf(TaskStopped.class);
            assertThat(workspace.find("step", 1, "inputs")).isEmpty();
            assertThatThrownBy(() -> workspace.result("step", 1, "others", output -> {
                        throw new AssertionError("begun");
                    }))
                    .isInstanceOf(TaskStopped.class);
            assertThatThrownBy(workspace::checkCancelled).isInstanceOf(TaskStopped.class);
        }
    }

    @Test
    void progressIsToldOnceInAWhileWithTheTimeThatIsLeft() throws Exception {
        try (Workspace workspace = workspace("a")) {
            workspace.progress(0.5, "half was done by others");
            workspace.progress(0.6, "too soon");
        }
        try (Workspace workspace = workspace("b")) {
            workspace.progress(7, 12.5, "beyond the end", new TrainingStep(1, 2, 0.5, 1e-4, 100));
        }
        try (Workspace workspace = workspace("c")) {
            workspace.progress(-1, null, "before the beginning", null);
            Thread.sleep(2_050);
            workspace.progress(0, "begun");
            Thread.sleep(2_050);
            workspace.progress(0.5, "half");
        }
        assertThat(sent.statuses())
                .extracting(JobStatus::message)
                .containsExactly("half was done by others", "beyond the end", "before the beginning", "begun", "half");
        assertThat(sent.statuses()).extracting(JobStatus::progress).containsExactly(0.5, 1.0, 0.0, 0.0, 0.5);
        assertThat(sent.statuses().get(0).etaSeconds()).as("nothing done yet").isNull();
        assertThat(sent.statuses().get(1).etaSeconds()).isEqualTo(12.5);
        assertThat(sent.statuses().get(4).etaSeconds())
                .isCloseTo(4.1, within(3.0))
                .isGreaterThan(4.0);
        assertThat(sent.statuses().get(1).training().step()).isEqualTo(1);
    }

    @Test
    void eventsBetweenAreOfTheJobAndItsRun() throws IOException {
        try (Workspace workspace = workspace("a")) {
            workspace.send(new JobCancelled("x", null));
        }
        assertThat(sent.events(Topics.CONTROLS).get(0))
                .extracting(Event::jobId, Event::run)
                .containsExactly("a", "0-1");
    }

    @Test
    void itsFilesGoWithIt() throws IOException {
        Path scratch;
        try (Workspace workspace = workspace("a")) {
            scratch = workspace.scratch();
            assertThat(scratch).isDirectory().hasParent(dir.resolve("scratch"));
            Files.createDirectories(scratch.resolve("deep/er"));
            Files.writeString(scratch.resolve("deep/er/file"), "x");
            assertThat(workspace.metrics()).isSameAs(metrics.registry);
            assertThat(workspace.config().filesAllowed()).isTrue();
        }
        assertThat(scratch).doesNotExist();
    }
}
