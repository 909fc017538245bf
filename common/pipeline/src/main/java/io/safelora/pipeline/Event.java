package io.safelora.pipeline;

import io.safelora.contract.Topics.EventType;
import java.util.Map;

/**
 * An event as a stage sees it.
 *
 * @param run which run of the job's id it belongs to, as {@code JobStatus.run} says it; null if its sender did not say
 * @param requestSha256 the digest of the request it carries; null if it carries none
 * @param replace of a job request: whether it may take the id from another document or run
 * @param data a record of the event type's class
 * @param trace the W3C trace context headers (traceparent, tracestate) that its answers carry on
 */
record Event(
        String jobId,
        String run,
        String requestSha256,
        boolean replace,
        EventType type,
        Object data,
        Map<String, String> trace) {

    Event ofRun(String other) {
        return new Event(jobId, other, requestSha256, replace, type, data, trace);
    }
}
