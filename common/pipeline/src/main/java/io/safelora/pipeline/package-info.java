/**
 * How a stage runs on Kafka: {@link io.safelora.pipeline.Pipeline} takes tasks from share groups and carries each
 * through, at least once and idempotently. {@link io.safelora.pipeline.Stage} is what a service writes, {@link
 * io.safelora.pipeline.Workspace} what it has at hand; {@link io.safelora.pipeline.JobClient} is the user's end.
 */
package io.safelora.pipeline;
