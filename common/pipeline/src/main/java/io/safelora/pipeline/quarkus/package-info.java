/** The pipeline in a Quarkus application: its channels, its start and end, its health checks. */
package io.safelora.pipeline.quarkus;
