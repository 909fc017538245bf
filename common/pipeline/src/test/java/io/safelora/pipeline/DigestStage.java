package io.safelora.pipeline;

import io.safelora.contract.ArtifactRef;
import io.safelora.contract.JobEvent;
import io.safelora.contract.JobEvent.AlignmentAnalyzed;
import io.safelora.contract.JobRequest;
import java.nio.file.Files;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;

/** A small stage that really computes: the SHA-256 of the file that the request's base names. */
class DigestStage implements Stage<JobRequest> {
    final AtomicInteger runs = new AtomicInteger();
    final AtomicInteger running = new AtomicInteger();
    final AtomicInteger mostRunning = new AtomicInteger();
    /** How long it takes, for the tests of locks. */
    volatile long millis;
    /** What the last run found that one before it had saved. */
    volatile String resumedFrom;
    /** Called at every attempt, for the tests of failures. */
    volatile Attempt onAttempt = n -> {};

    private final AtomicInteger attempts = new AtomicInteger();

    interface Attempt {
        void attempt(int n) throws Exception;
    }

    @Override
    public String name() {
        return "digest";
    }

    @Override
    public Class<JobRequest> input() {
        return JobRequest.class;
    }

    @Override
    public JobEvent run(JobRequest request, Workspace workspace) throws Exception {
        onAttempt.attempt(attempts.incrementAndGet());
        String digest = workspace.store().digest(request.base());
        ArtifactRef ref = workspace.result("digest", 1, Map.of("base", digest), (output, point) -> {
            runs.incrementAndGet();
            mostRunning.accumulateAndGet(running.incrementAndGet(), Math::max);
            try {
                long end = System.nanoTime() + millis * 1_000_000;
                resumedFrom =
                        point.load().isPresent() ? Files.readString(point.load().get()) : null;
                for (String saved : new String[] {"first", "second"}) {
                    Files.writeString(point.newFile(), saved);
                    point.save(point.newFile());
                }
                while (System.nanoTime() < end) {
                    workspace.checkCancelled();
                    workspace.progress(1 - (end - System.nanoTime()) / (millis * 1e6), "digesting");
                    Thread.sleep(20);
                }
                Files.writeString(output.resolve("digest.txt"), digest);
            } finally {
                running.decrementAndGet();
            }
        });
        return new AlignmentAnalyzed(request, ref);
    }
}
