package io.safelora.pipeline;

import io.safelora.contract.JobEvent;

/**
 * One kind of work: it takes one type of event and answers with one, as a rule. A service is one or more stages of the
 * same name; its replicas share the work through the Kafka share group {@code safelora-<name>}.
 *
 * <p>A stage may be run again for the same event, and at the same time elsewhere. It stays correct by making all its
 * results through {@link Workspace#result}.
 *
 * @param <I> the event that is taken: a record of {@link io.safelora.contract.Topics#EVENT_TYPES}
 */
public interface Stage<I> {
    /**
     * The service's name: {@code alignment-analyzer}, {@code layer-selector}, {@code lora-trainer}, {@code evaluator}.
     */
    String name();

    /** The type of event that is taken; the topic follows from it. */
    Class<I> input();

    /**
     * Does the work.
     *
     * @return the event that tells of the result; null if there is nothing to tell, because {@link Workspace#send} told
     *     it or another task will
     * @throws io.safelora.contract.InvalidInputException if the input is wrong: the job fails at once, with this
     *     message
     * @throws Exception anything else: tried again, then the job fails
     */
    JobEvent run(I event, Workspace workspace) throws Exception;
}
