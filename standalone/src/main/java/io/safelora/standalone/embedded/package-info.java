/** The four services, a Kafka broker and an S3 server in one JVM. */
package io.safelora.standalone.embedded;
