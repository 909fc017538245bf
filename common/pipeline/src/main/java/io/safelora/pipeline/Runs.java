package io.safelora.pipeline;

import com.fasterxml.jackson.core.JsonProcessingException;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.InvalidJobException;
import io.safelora.contract.Json;
import java.io.IOException;
import java.util.Optional;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What each job's id stands for: a small object per id in the artifact store, {@code <artifacts-uri>/jobs/<id>.json}.
 * The first stage writes it by a conditional put, so that of two documents under one id exactly one is the job. An id
 * stands for one document, and one run of it, until a request replaces that.
 */
final class Runs {
    private static final Logger LOG = LoggerFactory.getLogger(Runs.class);
    private static final int MAX_BYTES = 10_000;

    private final ArtifactStore store;
    private final String folder;

    /** @param request SHA-256 of the request as canonical JSON */
    record Run(String request, String run) {}

    /** The id is another document's already. */
    static final class IdTakenException extends InvalidJobException {
        IdTakenException(String message) {
            super(message);
        }
    }

    Runs(ArtifactStore store, String artifactsUri) {
        this.store = store;
        this.folder = artifactsUri.replaceAll("/+$", "") + "/jobs/";
    }

    /** What {@code jobId} stands for; empty if no valid request has come under it. */
    Optional<Run> find(String jobId) throws IOException {
        Optional<byte[]> found = store.find(uri(jobId), MAX_BYTES);
        if (found.isEmpty()) {
            return Optional.empty();
        }
        try {
            Run run = Json.MAPPER.readValue(found.get(), Run.class);
            if (run.request() != null && EventCodec.isRun(run.run())) {
                return Optional.of(run);
            }
        } catch (JsonProcessingException e) {
            LOG.debug("not JSON", e);
        }
        throw new IOException(uri(jobId) + " is not what this system wrote; delete it, and the id is free");
    }

    /** Whether a later request has replaced the run that {@code event} belongs to. */
    boolean isReplaced(Event event) throws IOException {
        return event.run() != null
                && find(event.jobId())
                        .filter(now -> !now.run().equals(event.run()))
                        .isPresent();
    }

    /**
     * Gives a request's id to its document, unless it has it already.
     *
     * @param request an event that carries a job request; its run is the one that it begins if the id is free
     * @param replaced told of the run that this one replaces, before it is replaced
     * @return the run that the request belongs to: of the same document under the same id the one that is there
     * @throws IdTakenException if the id stands for another document, and the request does not replace it, or a later
     *     one has replaced this one
     */
    String claim(Event request, Consumer<String> replaced) throws IOException {
        Run mine = new Run(request.requestSha256(), request.run());
        while (true) {
            Optional<Run> there = find(request.jobId());
            if (there.isEmpty()) {
                store.putIfAbsent(uri(request.jobId()), Json.canonical(mine));
                continue; // Who was first is what is there now.
            }
            Run now = there.get();
            if (now.run().equals(mine.run())
                    || !request.replace() && now.request().equals(mine.request())) {
                return now.run();
            }
            if (!request.replace()) {
                throw new IdTakenException("the job id " + request.jobId() + " stands for another document (run "
                        + now.run() + "); take another id, or replace that job with the header ce_replace: true");
            }
            if (isLater(now.run(), mine.run())) {
                throw new IdTakenException("a later request under the job id " + request.jobId() + " (run " + now.run()
                        + ") has replaced this one");
            }
            replaced.accept(now.run());
            store.put(uri(request.jobId()), Json.canonical(mine));
        }
    }

    /** Whether {@code run} began after {@code other}. All records of one key lie in one partition. */
    private static boolean isLater(String run, String other) {
        String[] one = run.split("-");
        String[] two = other.split("-");
        return one[0].equals(two[0]) && Long.parseLong(one[1]) > Long.parseLong(two[1]);
    }

    private String uri(String jobId) {
        return folder + jobId + ".json";
    }
}
