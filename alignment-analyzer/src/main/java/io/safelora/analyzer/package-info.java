/** The first service: looks at all that a job refers to, and compares its base with its aligned checkpoint. */
package io.safelora.analyzer;
