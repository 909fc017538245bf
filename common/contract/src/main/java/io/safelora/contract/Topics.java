package io.safelora.contract;

import io.safelora.contract.JobEvent.AdapterProjected;
import io.safelora.contract.JobEvent.AdapterTrained;
import io.safelora.contract.JobEvent.AlignmentAnalyzed;
import io.safelora.contract.JobEvent.AlignmentPartRequested;
import io.safelora.contract.JobEvent.EvaluationCompleted;
import io.safelora.contract.JobEvent.JobCancelled;
import io.safelora.contract.JobEvent.JobStatus;
import io.safelora.contract.JobEvent.LayersSelected;
import java.util.List;
import java.util.Optional;

/** The Kafka topics, and the CloudEvents 1.0 that each carries. */
public final class Topics {
    public static final String JOBS = "safelora.jobs";
    public static final String ALIGNMENT_PARTS = "safelora.alignment-parts";
    public static final String ALIGNMENTS = "safelora.alignments";
    public static final String SELECTIONS = "safelora.selections";
    public static final String ADAPTERS = "safelora.adapters";
    public static final String EVALUATIONS = "safelora.evaluations";
    public static final String JOB_STATUS = "safelora.job-status";
    public static final String CONTROLS = "safelora.controls";
    public static final String DEAD_LETTERS = "safelora.dead-letters";

    /** All topics, in the order of the flow. */
    public static final List<String> ALL = List.of(
            JOBS, ALIGNMENT_PARTS, ALIGNMENTS, SELECTIONS, ADAPTERS, EVALUATIONS, JOB_STATUS, CONTROLS, DEAD_LETTERS);

    /**
     * An event type: what it is called, where it flows, and the record that is its data.
     *
     * @param type the CloudEvents type, with its version: {@code io.safelora.<noun>.<verb>.v1}
     */
    public record EventType(String type, String topic, Class<?> data) {}

    /** Every event type of the system. */
    public static final List<EventType> EVENT_TYPES = List.of(
            new EventType("io.safelora.job.requested.v1", JOBS, JobRequest.class),
            new EventType("io.safelora.alignment-part.requested.v1", ALIGNMENT_PARTS, AlignmentPartRequested.class),
            new EventType("io.safelora.alignment.analyzed.v1", ALIGNMENTS, AlignmentAnalyzed.class),
            new EventType("io.safelora.layers.selected.v1", SELECTIONS, LayersSelected.class),
            new EventType("io.safelora.adapter.trained.v1", ADAPTERS, AdapterTrained.class),
            new EventType("io.safelora.adapter.projected.v1", ADAPTERS, AdapterProjected.class),
            new EventType("io.safelora.evaluation.completed.v1", EVALUATIONS, EvaluationCompleted.class),
            new EventType("io.safelora.job.status.v1", JOB_STATUS, JobStatus.class),
            new EventType("io.safelora.job.cancelled.v1", CONTROLS, JobCancelled.class));

    private Topics() {}

    /** The event type whose data is {@code data}. */
    public static EventType of(Class<?> data) {
        return EVENT_TYPES.stream().filter(t -> t.data() == data).findFirst().orElseThrow();
    }

    /** The event type called {@code type}, if this version of the system knows it. */
    public static Optional<EventType> ofType(String type) {
        return EVENT_TYPES.stream().filter(t -> t.type().equals(type)).findFirst();
    }
}
