package io.safelora.pipeline;

/** A worker's hold on one record of a share group. */
final class Claim {
    private volatile TaskStopped.Why stop;

    /** Asks the task to end; the first reason stays. */
    synchronized void stop(TaskStopped.Why why) {
        if (stop == null) {
            stop = why;
        }
    }

    void check() {
        if (stop != null) {
            throw new TaskStopped(stop);
        }
    }
}
