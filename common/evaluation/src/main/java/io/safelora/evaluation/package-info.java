/**
 * Measures models. A {@link io.safelora.evaluation.Task} is a task file with a job's options; {@code Prompts} writes
 * what a model is asked, {@link io.safelora.evaluation.Evaluation} lets all models answer in one pass over their shared
 * weights, {@link io.safelora.evaluation.Judging} has the answers judged, and {@code Metric}s, a class each, turn
 * samples into scores.
 */
package io.safelora.evaluation;
