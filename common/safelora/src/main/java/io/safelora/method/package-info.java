/**
 * The method: what alignment changed in a model's weights, and how updates that fine-tuning made are repaired by it.
 *
 * <p>A module's V = W_aligned - W_base is a {@link io.safelora.method.Delta}, of a {@link io.safelora.method.CheckpointPair}; it is read in
 * rows and not kept. {@link io.safelora.method.AlignmentAnalysis} describes it. {@link io.safelora.method.ProjectorKernel} projects
 * updates by it: C B for an adapter, C dW for a checkpoint ({@link io.safelora.method.FineTuned}), which gives a {@link
 * io.safelora.method.ModuleMeasure} per module. A {@link io.safelora.method.Strategy} chooses modules by these measures ({@link
 * io.safelora.method.Selection}), and a {@link io.safelora.method.Repair} changes their updates. {@link io.safelora.method.Repairing} does
 * all of it in order, for the command line and the services; {@link io.safelora.method.Sweep} says which repairs a sweep tries.
 *
 * <p>Sources: SafeLoRA (Hsu et al., NeurIPS 2024, arXiv 2405.16833); each repair names its own.
 */
package io.safelora.method;
