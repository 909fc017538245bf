/**
 * The fourth service: measures the aligned, the fine-tuned and the repaired model side by side, and writes the report.
 */
package io.safelora.evaluator;
