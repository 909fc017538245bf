/** Trains, or adopts the adapter that a job brings, and repairs the result. */
package io.safelora.trainer;
