/** The first service: checks what a job refers to, and measures per module what alignment changed. */
package io.safelora.analyzer;
