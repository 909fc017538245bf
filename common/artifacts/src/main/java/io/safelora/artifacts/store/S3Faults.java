package io.safelora.artifacts.store;

import io.safelora.artifacts.InvalidArtifactException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.ConnectException;
import java.net.SocketTimeoutException;
import java.net.UnknownHostException;
import java.util.Set;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.SSLException;
import software.amazon.awssdk.core.exception.AbortedException;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.services.s3.model.S3Exception;

/**
 * What the errors of S3 mean for people: one line with the URI, what is wrong, the remedy, the server and what it said.
 *
 * <p>A bucket or key that a job names, and access to it, are the job's affair ({@link InvalidArtifactException});
 * what a service writes goes to its own bucket, so there the same answers are the installation's, like all else
 * ({@link StoreUnavailableException}).
 *
 * @param server what messages call the S3 server: its URL, and the region that requests are signed for
 */
record S3Faults(String server) {
    private static final Set<String> UNKNOWN_KEY = Set.of("InvalidAccessKeyId", "UnrecognizedClientException");
    private static final Set<String> EXPIRED =
            Set.of("ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired", "RequestExpired");
    private static final Set<String> OTHER_REGION = Set.of(
            "PermanentRedirect",
            "TemporaryRedirect",
            "Redirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException");
    private static final Set<String> BAD_NAME = Set.of("InvalidBucketName", "InvalidObjectName", "KeyTooLongError");
    private static final Pattern REGION = Pattern.compile("<Region>([a-z0-9-]+)</Region>|expecting '([a-z0-9-]+)'");
    private static final int MAX_QUOTED = 300;

    /**
     * @param writing whether something was to be written or deleted
     * @return the exception to throw, where the job is not to blame
     * @throws InvalidArtifactException where it is
     */
    IOException of(ArtifactUri at, SdkException e, boolean writing) {
        if (e instanceof S3Exception answer) {
            return answered(at, answer, writing);
        }
        if (e instanceof AbortedException) {
            Thread.currentThread().interrupt();
            return (IOException) new InterruptedIOException("interrupted while S3 was asked for " + at).initCause(e);
        }
        return unanswered(at, e);
    }

    private IOException answered(ArtifactUri at, S3Exception e, boolean writing) {
        String code = code(e);
        int status = e.statusCode();
        if (EXPIRED.contains(code)) {
            return unavailable(
                    at,
                    "the S3 credentials have expired",
                    "renew them (AWS_SESSION_TOKEN, or the profile they come from)",
                    e);
        }
        if (UNKNOWN_KEY.contains(code)) {
            return unavailable(
                    at,
                    "the S3 server does not know the access key",
                    "check SAFELORA_S3_ACCESS_KEY (or AWS_ACCESS_KEY_ID), and that SAFELORA_S3_ENDPOINT is "
                            + "the server it belongs to",
                    e);
        }
        if (code.equals("SignatureDoesNotMatch")) {
            return unavailable(
                    at,
                    "the secret key is not the one of the access key",
                    "check SAFELORA_S3_SECRET_KEY (or AWS_SECRET_ACCESS_KEY)",
                    e);
        }
        if (code.equals("RequestTimeTooSkewed")) {
            return unavailable(
                    at, "the clocks of this machine and of the S3 server differ too much", "set them by NTP", e);
        }
        String region = otherRegion(e);
        if (OTHER_REGION.contains(code) || status == 301 || status == 307 || region != null && status == 400) {
            return unavailable(
                    at,
                    "the bucket is in another region" + (region == null ? " or at another endpoint" : ", " + region),
                    region == null
                            ? "set SAFELORA_S3_REGION and SAFELORA_S3_ENDPOINT to the bucket's"
                            : "set SAFELORA_S3_REGION=" + region + " (and SAFELORA_S3_ENDPOINT, if it names a region)",
                    e);
        }
        if (status >= 500 && status != 501
                || status == 429
                || code.equals("SlowDown")
                || code.equals("RequestTimeout")) {
            return unavailable(
                    at,
                    "the S3 server is overloaded or out of order",
                    "it is worth trying again; if it stays so, look at the server",
                    e);
        }
        if (code.equals("NoSuchBucket")) {
            return refused(
                    at,
                    writing,
                    "there is no bucket " + at.bucket(),
                    writing
                            ? "create it, or set SAFELORA_ARTIFACTS_URI"
                            : "check its name, and that SAFELORA_S3_ENDPOINT is the server that has it",
                    e);
        }
        if (status == 404) {
            return refused(at, writing, "there is no such object", "check bucket and key", e);
        }
        if (status == 401 || status == 403) {
            return refused(
                    at,
                    writing,
                    "access denied",
                    writing
                            ? "give this service's S3 credentials s3:PutObject and s3:DeleteObject on it"
                            : "give this service's S3 credentials s3:GetObject on it and s3:ListBucket on its bucket,"
                                    + " without which S3 says the same of an object that is not there",
                    e);
        }
        if (status == 412) {
            return refused(
                    at,
                    writing,
                    "changed while it was read",
                    "publish models under a new key instead of over an old one",
                    e);
        }
        if (BAD_NAME.contains(code)) {
            return refused(at, writing, "S3 has no such names", "check bucket and key", e);
        }
        return unavailable(at, "the S3 server refused the request", "look at what it said", e);
    }

    private IOException unanswered(ArtifactUri at, SdkException e) {
        if (hasCause(e, UnknownHostException.class)) {
            return unavailable(
                    at,
                    "the host of the S3 server is not known",
                    "check SAFELORA_S3_ENDPOINT and DNS; with SAFELORA_S3_PATH_STYLE=false the bucket is "
                            + "part of the host's name",
                    e);
        }
        if (hasCause(e, SSLException.class)) {
            return unavailable(
                    at,
                    "no TLS connection to the S3 server",
                    "a server without TLS needs http:// in SAFELORA_S3_ENDPOINT; a certificate of your own "
                            + "must be in the JVM's trust store (-Djavax.net.ssl.trustStore in JAVA_TOOL_OPTIONS)",
                    e);
        }
        if (hasCause(e, ConnectException.class)) {
            return unavailable(
                    at, "nothing answers at the S3 server's address", "check SAFELORA_S3_ENDPOINT and its port", e);
        }
        if (hasCause(e, SocketTimeoutException.class) || hasCause(e, TimeoutException.class)) {
            return unavailable(
                    at,
                    "the S3 server did not answer in time",
                    "check SAFELORA_S3_ENDPOINT, its scheme and the network",
                    e);
        }
        if (String.valueOf(e.getMessage()).startsWith("Unable to load credentials")) {
            return unavailable(
                    at,
                    "there are no S3 credentials",
                    "set SAFELORA_S3_ACCESS_KEY and SAFELORA_S3_SECRET_KEY, or AWS_ACCESS_KEY_ID and "
                            + "AWS_SECRET_ACCESS_KEY, or give this machine a role or profile",
                    null);
        }
        return unavailable(
                at, "the S3 server cannot be reached", "check SAFELORA_S3_ENDPOINT, its scheme and the network", e);
    }

    /** The server's error code; empty where it sent none, as in every answer to a HEAD request. */
    static String code(S3Exception e) {
        return e.awsErrorDetails() == null || e.awsErrorDetails().errorCode() == null
                ? ""
                : e.awsErrorDetails().errorCode();
    }

    private static String otherRegion(S3Exception e) {
        if (e.awsErrorDetails() == null) {
            return null;
        }
        if (e.awsErrorDetails().sdkHttpResponse() != null) {
            var named = e.awsErrorDetails().sdkHttpResponse().firstMatchingHeader("x-amz-bucket-region");
            if (named.isPresent()) {
                return named.get();
            }
        }
        String body = e.awsErrorDetails().rawResponse() == null
                ? ""
                : e.awsErrorDetails().rawResponse().asUtf8String();
        Matcher region = REGION.matcher(body);
        return region.find() ? (region.group(1) != null ? region.group(1) : region.group(2)) : null;
    }

    private static boolean hasCause(Throwable e, Class<? extends Throwable> type) {
        int depth = 0;
        for (Throwable cause = e; cause != null && depth < 20; cause = cause.getCause(), depth++) {
            if (type.isInstance(cause)) {
                return true;
            }
        }
        return false;
    }

    private IOException refused(ArtifactUri at, boolean writing, String what, String remedy, SdkException e) {
        if (writing) {
            return unavailable(at, what, remedy, e);
        }
        throw new InvalidArtifactException(line(at, what, remedy, e), e);
    }

    private StoreUnavailableException unavailable(ArtifactUri at, String what, String remedy, SdkException e) {
        return new StoreUnavailableException(line(at, what, remedy, e), e);
    }

    private String line(ArtifactUri at, String what, String remedy, SdkException e) {
        return at + ": " + what + "; " + remedy + " (" + server + (e == null ? "" : ": " + said(e)) + ")";
    }

    private static String said(SdkException e) {
        String words;
        if (e instanceof S3Exception answer) {
            String message = answer.awsErrorDetails() == null
                    ? null
                    : answer.awsErrorDetails().errorMessage();
            words = (answer.statusCode() + " " + code(answer) + (message == null ? "" : " " + message));
        } else {
            Throwable root = e;
            for (int depth = 0; root.getCause() != null && depth < 20; depth++) {
                root = root.getCause();
            }
            words = root.getMessage() == null ? root.toString() : root.getMessage();
        }
        String line = words.replaceAll("[\\s\\p{Cntrl}]+", " ").strip();
        return line.length() > MAX_QUOTED ? line.substring(0, MAX_QUOTED) + "..." : line;
    }
}
