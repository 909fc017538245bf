package io.safelora.pipeline;

import io.safelora.contract.Topics.EventType;
import java.util.Map;

/**
 * An event as a stage sees it.
 *
 * @param data a record of the event type's class
 * @param trace the W3C trace context headers (traceparent, tracestate) that its answers carry on
 */
record Event(String jobId, EventType type, Object data, Map<String, String> trace) {}
