/**
 * A real Kafka broker and a real S3 server inside this JVM, and clients that know nothing of the pipeline. Services'
 * tests run against them; the command line brings them at run time, for the demo and {@code serve}. No service depends
 * on them.
 */
package io.safelora.testkit;
