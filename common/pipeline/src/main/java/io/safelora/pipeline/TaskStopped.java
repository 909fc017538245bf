package io.safelora.pipeline;

/** A running task ends here because its result is no longer wanted from this worker. */
final class TaskStopped extends RuntimeException {
    enum Why {
        /** The user cancelled the job. */
        CANCELLED,
        /** A later request under the job's id has replaced the run. */
        REPLACED,
        /** This process ends; another worker takes the task. */
        CLOSING,
        /** The lock could not be renewed: another worker may have the task already. */
        CLAIM_LOST
    }

    private final Why why;

    TaskStopped(Why why) {
        super(why.name(), null, false, false);
        this.why = why;
    }

    Why why() {
        return why;
    }
}
