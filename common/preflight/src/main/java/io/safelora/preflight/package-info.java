/**
 * What can be said of a job before it runs: {@link io.safelora.preflight.JobInputs} says whether its inputs are right,
 * {@link io.safelora.preflight.Estimate} what it will cost.
 */
package io.safelora.preflight;
