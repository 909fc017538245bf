package io.safelora.pipeline;

import io.safelora.contract.JobRequest;
import io.smallrye.config.ConfigMapping;
import io.smallrye.config.WithDefault;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * What every service can be told, as {@code safelora.*} properties or {@code SAFELORA_*} environment variables. Kafka
 * itself is configured by {@code kafka.*} ({@code KAFKA_BOOTSTRAP_SERVERS} and the rest of the Kafka client's
 * properties). docs/operations.md has the table.
 */
@ConfigMapping(prefix = "safelora")
public interface PipelineConfig {
    /** Where results are written: {@code <artifacts-uri>/results/<stage>/<hash of its inputs>/}. */
    @WithDefault("s3://safelora")
    String artifactsUri();

    /** Local folder for files in work; default: the JVM's temporary directory. */
    Optional<Path> scratchDir();

    /** Local folder in which downloads are kept; default: {@code safelora-cache} in the temporary directory. */
    Optional<Path> cacheDir();

    /** Whether requests may name {@code file:} URIs. Only where every requester may read this machine's files. */
    @WithDefault("false")
    boolean filesAllowed();

    /**
     * The URLs of endpoints that a request's judges may ask from here, and be given the keys of. Where {@code file:}
     * URIs are allowed, all are; else none but these: a request comes from anyone who may publish one.
     */
    Optional<List<String>> judgeUrls();

    /** Where models run when a request says auto. */
    @WithDefault("auto")
    JobRequest.Device device();

    S3 s3();

    TopicOptions topics();

    TaskOptions task();

    /** The S3 server. */
    interface S3 {
        /** Default: AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, else AWS. */
        Optional<URI> endpoint();

        /** Default: AWS_REGION or the profile's, else us-east-1. */
        Optional<String> region();

        /** Default: the AWS SDK's chain (AWS_ACCESS_KEY_ID, profile, instance role). */
        Optional<String> accessKey();

        Optional<String> secretKey();

        /** Whether buckets are paths ({@code host/bucket/key}), as servers other than AWS want it. */
        @WithDefault("true")
        boolean pathStyle();
    }

    /** How topics and groups are prepared at startup. */
    interface TopicOptions {
        /** Whether missing topics are created, and the share groups' options set. */
        @WithDefault("true")
        boolean create();

        /** Default: the broker's {@code num.partitions}. Share groups scale past it. */
        OptionalInt partitions();

        /** Default: the broker's {@code default.replication.factor}. */
        Optional<Short> replicationFactor();
    }

    /** How a task is carried through. */
    interface TaskOptions {
        /** How often a task is tried before a transient failure counts as permanent. */
        @WithDefault("4")
        int attempts();

        /** Pause before the second attempt; it doubles with every further one, up to a minute. */
        @WithDefault("PT2S")
        Duration backoff();

        /**
         * The share group's acquisition lock ({@code share.record.lock.duration.ms}): how long a killed worker's task
         * rests before another takes it. Renewed every third of it while a task runs.
         */
        @WithDefault("PT30S")
        Duration lock();

        /**
         * A task that was taken this often without an end (its workers were killed) is given up. At most the broker's
         * {@code group.share.delivery.count.limit}, 5 by default, after which Kafka would drop it in silence.
         */
        @WithDefault("5")
        int maxDeliveries();

        /** How often at most RUNNING is published. */
        @WithDefault("PT2S")
        Duration statusInterval();
    }
}
