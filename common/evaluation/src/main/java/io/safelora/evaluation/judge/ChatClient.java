package io.safelora.evaluation.judge;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.contract.InvalidInputException;
import io.safelora.contract.Json;
import io.safelora.contract.JudgeOptions;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpClient.Redirect;
import java.net.http.HttpClient.Version;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Asks an OpenAI-compatible chat endpoint, again where that may help: after 408, 429, 5xx, a lost connection, no answer
 * in time or one that is not the API's. Follows no redirect: whoever answers must be whom the job named. Safe for many
 * threads.
 *
 * <p>The key goes into the Authorization header and nowhere else; what a server says is shown without it.
 */
final class ChatClient {
    /** First and further requests for one reply. */
    private static final int ATTEMPTS = 6;

    private static final Duration MAX_PAUSE = Duration.ofMinutes(5);
    private static final Set<Integer> PASSING = Set.of(408, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529);

    private final String judge;
    private final String base;
    private final String model;
    private final String apiKey;
    private final Duration timeout;
    private final Duration firstPause;
    private final int budget;
    private final AtomicInteger spent = new AtomicInteger();
    private final HttpClient http;

    /**
     * @param apiKey null for none
     * @param firstPause before the second request; each further one is twice as long
     */
    ChatClient(JudgeOptions options, String apiKey, Duration firstPause) {
        judge = "judge " + options.id() + " (" + options.url() + ")";
        base = options.url().replaceAll("/+$", "");
        model = options.modelName();
        this.apiKey = apiKey;
        if (apiKey != null && !apiKey.matches("[\\x21-\\x7e]+")) {
            // The HTTP client's own message would show it.
            throw new InvalidInputException(judge + ": the key in " + options.apiKeyEnv()
                    + " has blanks or other characters that no header takes, or none at all");
        }
        timeout = Duration.ofSeconds(options.timeoutSeconds());
        this.firstPause = firstPause;
        budget = options.maxRequests();
        Duration connect = Duration.ofSeconds(Math.min(10, options.timeoutSeconds()));
        http = HttpClient.newBuilder()
                .version(Version.HTTP_1_1)
                .followRedirects(Redirect.NEVER)
                .connectTimeout(connect)
                .build();
    }

    /** A passing failure: what happened, and how long the server asks to wait, if it does. */
    private record Failure(String what, Duration retryAfter) {}

    /**
     * The text of the first choice; empty if the model said none.
     *
     * @throws JudgeUnavailableException if it cannot be had now
     * @throws InvalidInputException if the endpoint refuses the request, or the budget is spent
     */
    String complete(String prompt, int maxTokens) throws IOException {
        ObjectNode body = Json.MAPPER.createObjectNode().put("model", model);
        body.putArray("messages").addObject().put("role", "user").put("content", prompt);
        body.put("temperature", 0).put("max_tokens", maxTokens);
        HttpRequest request = request("/chat/completions")
                .header("Content-Type", "application/json")
                .POST(BodyPublishers.ofByteArray(Json.MAPPER.writeValueAsBytes(body)))
                .build();
        for (int attempt = 1; ; attempt++) {
            if (spent.incrementAndGet() > budget) {
                throw new InvalidInputException(judge + ": its budget, max_requests, of " + budget
                        + " requests is spent; raise it, or measure fewer rows (limit). Replies so far are kept");
            }
            Failure failure;
            try {
                HttpResponse<byte[]> response = send(request);
                if (response.statusCode() == 200) {
                    String content = content(response.body());
                    if (content != null) {
                        return content;
                    }
                    failure = new Failure("its reply is not that of /chat/completions", null);
                } else {
                    failure = failure(response);
                }
            } catch (JudgeUnavailableException e) {
                failure = new Failure(e.getMessage(), null);
            }
            Duration pause = pause(attempt, failure);
            if (attempt == ATTEMPTS || pause.compareTo(MAX_PAUSE) > 0) {
                throw new JudgeUnavailableException(judge + ": " + failure.what()
                        + (attempt < ATTEMPTS
                                ? ", and asks to wait " + pause.toSeconds() + " s"
                                : ", " + ATTEMPTS + " times in a row")
                        + "; see that it runs and can be reached from here");
            }
            sleep(pause);
        }
    }

    /**
     * Asks for the list of models, which costs nothing.
     *
     * @throws JudgeUnavailableException if nobody answers, or says that it cannot
     * @throws InvalidInputException if the key is refused
     */
    void probe() throws IOException {
        Failure failure = null;
        for (int attempt = 1; attempt <= 2; attempt++) {
            try {
                HttpResponse<byte[]> response = send(request("/models").GET().build());
                int status = response.statusCode();
                boolean refused = status == 401 || status == 403;
                if (refused && apiKey != null || status >= 300 && status < 400) {
                    failure(response);
                }
                if (status < 500) {
                    return; // A server without that list says 404, one that wants a key that only the evaluator has
                    // 401.
                }
                failure = new Failure("answers HTTP " + status, null);
            } catch (JudgeUnavailableException e) {
                failure = new Failure(e.getMessage(), null);
            }
            if (attempt == 1) {
                sleep(firstPause);
            }
        }
        throw new JudgeUnavailableException(
                judge + ": " + failure.what() + "; see that it runs and can be reached from here");
    }

    private HttpRequest.Builder request(String path) {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(base + path));
        if (apiKey != null) {
            request.header("Authorization", "Bearer " + apiKey);
        }
        return request.header("Accept", "application/json");
    }

    /** @throws JudgeUnavailableException with what happened, if there is no response */
    private HttpResponse<byte[]> send(HttpRequest request) throws IOException {
        // HttpRequest.timeout ends with the headers; a body may drip for ever.
        CompletableFuture<HttpResponse<byte[]>> response =
                http.sendAsync(request, headers -> new BoundedBody(ReplyCache.MAX_BYTES));
        try {
            return response.get(timeout.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            response.cancel(true);
            throw new JudgeUnavailableException("does not answer within " + timeout.toSeconds() + " s");
        } catch (InterruptedException e) {
            response.cancel(true);
            Thread.currentThread().interrupt();
            throw new InterruptedIOException(judge + ": interrupted");
        } catch (ExecutionException e) {
            if (e.getCause() instanceof BoundedBody.TooLongException) {
                throw new JudgeUnavailableException("sends more than " + ReplyCache.MAX_BYTES + " bytes");
            }
            throw new JudgeUnavailableException("cannot be reached: " + shown(String.valueOf(e.getCause())));
        }
    }

    /**
     * What is wrong with a response that is not 200.
     *
     * @throws InvalidInputException if asking again does not help
     */
    private Failure failure(HttpResponse<byte[]> response) {
        int status = response.statusCode();
        if (PASSING.contains(status)) {
            return new Failure("answers HTTP " + status, retryAfter(response));
        }
        String remedy =
                switch (status) {
                    case 401, 403 ->
                        apiKey == null
                                ? "it wants a key; name its environment variable by api_key_env"
                                : "it refuses the key";
                    case 404 -> "there is no such API or model; check url and model_name";
                    default ->
                        status >= 300 && status < 400
                                ? "redirects are not followed; give the final url"
                                : "it refuses the request";
                };
        throw new InvalidInputException(judge + ": HTTP " + status + ", " + remedy + said(response.body()));
    }

    /** What the API's error object says. */
    private String said(byte[] body) {
        try {
            JsonNode error = Json.MAPPER.readTree(body).path("error");
            String message =
                    error.isTextual() ? error.asText() : error.path("message").asText();
            return message.isBlank() ? "" : " (" + shown(message) + ")";
        } catch (IOException e) {
            return "";
        }
    }

    /** A stranger's text in one short line, without the key. */
    private String shown(String text) {
        String line = (apiKey == null ? text : text.replace(apiKey, "***")).replaceAll("\\p{Cntrl}+", " ");
        return line.length() <= 200 ? line : line.substring(0, 200) + "...";
    }

    /** Null if the body is not the API's. */
    private static String content(byte[] body) {
        try {
            JsonNode message =
                    Json.MAPPER.readTree(body).path("choices").path(0).path("message");
            return message.isObject() ? message.path("content").asText("") : null;
        } catch (IOException e) {
            return null;
        }
    }

    private static Duration retryAfter(HttpResponse<byte[]> response) {
        String value = response.headers().firstValue("Retry-After").orElse("").strip();
        try {
            if (value.matches("\\d{1,9}")) {
                return Duration.ofSeconds(Long.parseLong(value));
            }
            return value.isEmpty()
                    ? null
                    : Duration.between(
                            ZonedDateTime.now(), ZonedDateTime.parse(value, DateTimeFormatter.RFC_1123_DATE_TIME));
        } catch (DateTimeException e) {
            return null;
        }
    }

    private Duration pause(int attempt, Failure failure) {
        if (failure.retryAfter() != null) {
            return failure.retryAfter().isNegative() ? Duration.ZERO : failure.retryAfter();
        }
        long doubled = firstPause.toMillis() << (attempt - 1);
        // Many that failed at once are not to ask at once again.
        return Duration.ofMillis((long) (doubled * ThreadLocalRandom.current().nextDouble(0.5, 1.5)));
    }

    private void sleep(Duration pause) throws IOException {
        try {
            Thread.sleep(pause.toMillis());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException(judge + ": interrupted");
        }
    }
}
