package io.safelora.pipeline;

import io.micrometer.core.instrument.MeterRegistry;
import io.safelora.artifacts.ResumePoint;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.artifacts.store.ContentAddress;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.TrainingStep;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/** What a stage has at hand while it works on one task. Used by the task's thread; progress may come from any. */
public final class Workspace implements AutoCloseable {
    private final Event event;
    private final String stage;
    private final PipelineConfig config;
    private final ArtifactStore store;
    private final Publisher publisher;
    private final Metrics metrics;
    private final Claim claim;
    private final Path scratch;
    private final long started = System.nanoTime();
    private long lastStatus;
    private Double begunAt;

    Workspace(
            Event event,
            String stage,
            PipelineConfig config,
            ArtifactStore store,
            Publisher publisher,
            Metrics metrics,
            Claim claim)
            throws IOException {
        this.event = event;
        this.stage = stage;
        this.config = config;
        this.store = store;
        this.publisher = publisher;
        this.metrics = metrics;
        this.claim = claim;
        this.scratch = config.scratchDir().isPresent()
                ? Files.createTempDirectory(
                        Files.createDirectories(config.scratchDir().get()), stage + "-")
                : Files.createTempDirectory("safelora-" + stage + "-");
    }

    /** Writes the files of a result. */
    public interface Body {
        /** @param output an empty local folder; what lies in it afterwards is the result */
        void write(Path output) throws Exception;
    }

    /** Writes the files of a result, and can go on where a killed process stopped. */
    public interface ResumableBody {
        /**
         * @param output an empty local folder; what lies in it afterwards is the result
         * @param checkpoint kept under the address of the same inputs until the result is there
         */
        void write(Path output, ResumePoint checkpoint) throws Exception;
    }

    /**
     * A result of this stage: the one in the store if these inputs gave one already, else made by {@code body} and
     * uploaded.
     *
     * <p>It lies at {@code <artifacts-uri>/results/<stage>/<SHA-256 of stage, step, version and inputs>/}, and its
     * manifest is written last by a conditional put: of two workers at once, both get the first one's.
     *
     * @param step what is made, for a stage that makes several things: {@code train}
     * @param version raised whenever the same inputs give another result than before
     * @param inputs all that the result depends on, in a form whose JSON is the same whenever they are: options of the
     *     request, digests of models and data
     * @return the result's manifest
     */
    public ArtifactRef result(String step, int version, Object inputs, Body body) throws Exception {
        return result(step, version, inputs, (output, checkpoint) -> body.write(output));
    }

    /** The same for a body that works for long: what it saves, the next worker of the same inputs finds. */
    public ArtifactRef result(String step, int version, Object inputs, ResumableBody body) throws Exception {
        checkCancelled();
        String address = address(step, version, inputs);
        String uri = below("results") + address;
        Optional<ArtifactRef> there = store.findManifest(uri);
        if (there.isPresent()) {
            metrics.reused.increment();
            return there.get();
        }
        Path output = Files.createTempDirectory(scratch, step + "-");
        StoredResumePoint checkpoint = new StoredResumePoint(below("checkpoints") + address);
        body.write(output, checkpoint);
        checkCancelled();
        ArtifactRef result = store.upload(output, uri);
        checkpoint.delete();
        return result;
    }

    /**
     * One object in the store: written whole or not at all, so that a worker killed meanwhile leaves the one before.
     */
    private final class StoredResumePoint implements ResumePoint {
        private final String uri;

        StoredResumePoint(String uri) {
            this.uri = uri;
        }

        @Override
        public Optional<Path> load() throws IOException {
            Path file = scratch.resolve("checkpoint");
            return store.copy(uri, file) ? Optional.of(file) : Optional.empty();
        }

        @Override
        public Path newFile() {
            return scratch.resolve("checkpoint.new");
        }

        @Override
        public void save(Path file) throws IOException {
            store.put(uri, file);
        }

        void delete() throws IOException {
            store.delete(uri);
        }

        @Override
        public String toString() {
            return uri;
        }
    }

    /** The manifest that {@link #result} gave for these inputs, to this or another task; empty if there is none yet. */
    public Optional<ArtifactRef> find(String step, int version, Object inputs) throws IOException {
        return store.findManifest(below("results") + address(step, version, inputs));
    }

    private String address(String step, int version, Object inputs) {
        return ContentAddress.of(Map.of("stage", stage, "step", step, "version", version, "inputs", inputs));
    }

    private String below(String folder) {
        return config.artifactsUri().replaceAll("/+$", "") + "/" + folder + "/" + stage + "/";
    }

    /**
     * Of several tasks that find the same thing done, lets one go on, and that one again whenever it is repeated.
     * (Where the S3 server lets two conditional puts win, both go on.)
     *
     * @param what the thing, fit for a file name
     * @param who the task, the same whenever it is repeated
     */
    public boolean claim(String what, String who) throws IOException {
        String uri = below("claims") + what;
        byte[] me = who.getBytes(StandardCharsets.UTF_8);
        return store.putIfAbsent(uri, me) || Arrays.equals(store.get(uri, 1000), me);
    }

    /**
     * Publishes an event before the task's end, for tasks that make others. It is published again if the task is
     * repeated.
     */
    public void send(JobEvent data) {
        publisher.publish(event, stage, data);
    }

    /**
     * Tells the world how far the task is; published at most every two seconds.
     *
     * @param fraction share of the stage's work that is done, in [0, 1]
     * @param message what is being done, for people
     */
    public void progress(double fraction, String message) {
        double done = Math.min(1, Math.max(0, fraction));
        if (begunAt == null) {
            begunAt = done;
        }
        // A task may begin with a part of the stage's work done by others.
        double own = done - begunAt;
        double elapsed = (System.nanoTime() - started) / 1e9;
        progress(done, own < 0.01 ? null : elapsed / own * (1 - done), message, null);
    }

    /**
     * The same for who knows better than the clock.
     *
     * @param etaSeconds until the stage ends, or null
     * @param training the figures of a training, or null
     */
    public void progress(double fraction, Double etaSeconds, String message, TrainingStep training) {
        long now = System.nanoTime();
        synchronized (this) {
            if (lastStatus != 0
                    && now - lastStatus < config.task().statusInterval().toNanos()) {
                return;
            }
            lastStatus = now;
        }
        publisher.running(event, stage, Math.min(1, Math.max(0, fraction)), etaSeconds, message, training);
    }

    /** Call it often: it ends the task, by an exception, when the job was cancelled or another worker has the task. */
    public void checkCancelled() {
        claim.check();
    }

    public String jobId() {
        return event.jobId();
    }

    /** A local folder of this task, removed after it. */
    public Path scratch() {
        return scratch;
    }

    public ArtifactStore store() {
        return store;
    }

    public PipelineConfig config() {
        return config;
    }

    /** Whether a request's judge may be asked at this URL, and be given its key. */
    public boolean mayAsk(String url) {
        return config.filesAllowed()
                || config.judgeUrls().stream().flatMap(List::stream).anyMatch(allowed -> allowed.strip()
                        .equals(url));
    }

    /** For metrics of the stage's own; names start with {@code safelora.} and are listed in docs/operations.md. */
    public MeterRegistry metrics() {
        return metrics.registry;
    }

    @Override
    public void close() {
        try (Stream<Path> files = Files.walk(scratch)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(file);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
