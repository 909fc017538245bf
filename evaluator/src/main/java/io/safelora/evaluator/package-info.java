/** Measures the aligned, the fine-tuned and the repaired model, and writes the report. */
package io.safelora.evaluator;
