package io.safelora.testkit;

import io.smallrye.config.SmallRyeConfigBuilder;
import java.nio.file.Path;
import java.util.Map;

/** A service's configuration without Quarkus. */
public final class Settings {
    private Settings() {}

    /** What {@code properties} give, and its defaults. */
    public static <T> T of(Class<T> mapping, Map<String, String> properties) {
        return new SmallRyeConfigBuilder()
                .withMapping(mapping)
                .withDefaultValues(properties)
                .addDefaultInterceptors()
                .build()
                .getConfigMapping(mapping);
    }

    /**
     * Of a worker beside {@link EmbeddedS3} whose locks are short and whose topics have one partition.
     *
     * @param s3Endpoint the server's
     * @param artifactsUri where results lie
     * @param dir the worker's own files
     */
    public static <T> T ofWorker(Class<T> mapping, String s3Endpoint, String artifactsUri, Path dir) {
        return of(
                mapping,
                Map.of(
                        "safelora.artifacts-uri",
                        artifactsUri,
                        "safelora.s3.endpoint",
                        s3Endpoint,
                        "safelora.s3.access-key",
                        EmbeddedS3.ACCESS_KEY,
                        "safelora.s3.secret-key",
                        EmbeddedS3.SECRET_KEY,
                        "safelora.scratch-dir",
                        dir.resolve("scratch").toString(),
                        "safelora.cache-dir",
                        dir.resolve("cache").toString(),
                        "safelora.task.lock",
                        "PT3S",
                        "safelora.topics.partitions",
                        "1"));
    }
}
