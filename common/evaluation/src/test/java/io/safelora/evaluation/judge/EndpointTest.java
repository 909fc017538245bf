package io.safelora.evaluation.judge;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.safelora.contract.InvalidInputException;
import io.safelora.contract.Json;
import io.safelora.contract.JudgeOptions;
import io.safelora.evaluation.judge.Judges.Access;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A judge behind an endpoint, with a real server that behaves in every bad way. */
class EndpointTest {
    private static final String KEY = "sk-very-secret-0123456789";
    private static final List<Exchange> ONE = List.of(new Exchange("a request", "an answer"));

    @TempDir
    Path dir;

    private HttpServer server;
    private final List<JsonNode> asked = new CopyOnWriteArrayList<>();
    private final AtomicInteger requests = new AtomicInteger();

    /** What the server does with the n-th request, counted from 1. */
    private interface Behaviour {
        void answer(int n, HttpExchange http) throws IOException;
    }

    /** Replies by what is asked; null: {@link #behaviour} answers. */
    private volatile Function<JsonNode, String> grader;

    private volatile Behaviour behaviour = (n, http) -> reply(http, "It refuses.\nScore: 1");

    @BeforeEach
    void start() throws IOException {
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/v1/chat/completions", http -> {
            JsonNode body = Json.MAPPER.readTree(http.getRequestBody());
            asked.add(body);
            int n = requests.incrementAndGet();
            if (grader != null) {
                reply(http, grader.apply(body));
            } else {
                behaviour.answer(n, http);
            }
        });
        server.createContext("/v1/models", http -> send(http, 200, "{\"data\": []}"));
        server.createContext("/elsewhere", http -> reply(http, "Score: 5"));
        server.start();
    }

    @AfterEach
    void stop() {
        server.stop(0);
    }

    private static void reply(HttpExchange http, String content) throws IOException {
        send(
                http,
                200,
                Json.MAPPER.writeValueAsString(Map.of(
                        "choices", List.of(Map.of("message", Map.of("role", "assistant", "content", content))))));
    }

    private static void send(HttpExchange http, int status, String body) throws IOException {
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        http.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
        http.getResponseBody().write(bytes);
        http.close();
    }

    private String url() {
        return "http://localhost:" + server.getAddress().getPort() + "/v1";
    }

    private JudgeOptions options(Map<String, ?> more) {
        Map<String, Object> fields = new HashMap<>(Map.of(
                "id", "rubric", "type", "endpoint", "url", url(), "model_name", "big", "api_key_env", "TEST_API_KEY"));
        fields.putAll(more);
        return Json.MAPPER.convertValue(fields, JudgeOptions.class);
    }

    private Endpoint endpoint(Map<String, ?> more, ReplyCache replies) {
        JudgeOptions options = options(more);
        return new Endpoint(
                options,
                new PromptTemplate(Resources.text("rubric.txt")),
                new ChatClient(options, KEY, Duration.ofMillis(5)),
                replies);
    }

    private Verdict judged(Map<String, ?> more) throws IOException {
        return endpoint(more, ReplyCache.NONE).judge(ONE, done -> {}).get(0);
    }

    @Test
    void asksWithTheRubricAndReadsTheGrade() throws IOException {
        List<String> keys = new CopyOnWriteArrayList<>();
        behaviour = (n, http) -> {
            keys.add(http.getRequestHeaders().getFirst("Authorization"));
            reply(http, "It helps in part.\n\nscore:  4 \n");
        };
        Endpoint judge = endpoint(Map.of(), ReplyCache.NONE);
        Verdict verdict = judge.verdicts(ONE, done -> {}).get(0);
        assertThat(verdict.score()).isEqualTo(4);
        assertThat(verdict.harmful()).isFalse();
        assertThat(verdict.refused()).isNull();
        assertThat(verdict.templateSha256()).isEqualTo(Resources.sha256(Resources.text("rubric.txt")));
        assertThat(keys).containsExactly("Bearer " + KEY);
        assertThat(asked.get(0).get("model").asText()).isEqualTo("big");
        assertThat(asked.get(0).get("temperature").asDouble()).isZero();
        assertThat(asked.get(0).at("/messages/0/content").asText())
                .containsPattern("--- request [0-9a-f]{16}\na request\n--- answer [0-9a-f]{16}\nan "
                        + "answer\n--- end [0-9a-f]{16}\n");
    }

    @Test
    void gradesComeBackInTheOrderAsked() throws IOException {
        grader = body -> {
            Matcher number = Pattern.compile("answer (\\d+)\n")
                    .matcher(body.at("/messages/0/content").asText());
            return "Score: " + (number.find() ? 1 + Integer.parseInt(number.group(1)) % 5 : 0);
        };
        List<Exchange> many = IntStream.range(0, 40)
                .mapToObj(i -> new Exchange("q", "answer " + i))
                .toList();
        List<Integer> done = new ArrayList<>();
        assertThat(endpoint(Map.of("concurrency", 8), ReplyCache.NONE).judge(many, done::add))
                .extracting(Verdict::score)
                .isEqualTo(IntStream.range(0, 40).mapToObj(i -> 1 + i % 5).toList());
        assertThat(done).isEqualTo(IntStream.rangeClosed(1, 40).boxed().toList());
        assertThat(requests).hasValue(40);
    }

    @ParameterizedTest
    @ValueSource(ints = {408, 429, 500, 502, 503, 504})
    void aPassingFailureIsAskedAgain(int status) throws IOException {
        behaviour = (n, http) -> {
            if (n < 3) {
                send(http, status, "busy");
            } else {
                reply(http, "Score: 5");
            }
        };
        assertThat(judged(Map.of()).score()).isEqualTo(5);
        assertThat(requests).hasValue(3);
    }

    /** Pauses are 5 ms where no server asks for more. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void retryAfterIsHonoured(boolean asDate) throws IOException {
        behaviour = (n, http) -> {
            ZonedDateTime then = ZonedDateTime.now(ZoneOffset.UTC).plusSeconds(2);
            http.getResponseHeaders()
                    .set("Retry-After", asDate ? then.format(DateTimeFormatter.RFC_1123_DATE_TIME) : "1");
            if (n == 1) {
                send(http, 429, "");
            } else {
                reply(http, "Score: 2");
            }
        };
        long began = System.nanoTime();
        assertThat(judged(Map.of()).score()).isEqualTo(2);
        assertThat((System.nanoTime() - began) / 1e9).isGreaterThan(0.5);
    }

    @Test
    void whoAsksToWaitForHoursIsUnavailable() {
        behaviour = (n, http) -> {
            http.getResponseHeaders().set("Retry-After", "86400");
            send(http, 429, "");
        };
        assertThatThrownBy(() -> judged(Map.of()))
                .isInstanceOf(JudgeUnavailableException.class)
                .hasMessage("judge rubric (" + url()
                        + "): answers HTTP 429, and asks to wait 86400 s; see that it "
                        + "runs and can be reached from here");
        assertThat(requests).hasValue(1);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "401 | HTTP 401, it refuses the key",
                "404 | HTTP 404, there is no such API or model",
                "400 | HTTP 400, it refuses the request",
                "302 | HTTP 302, redirects are not followed"
            })
    void aRefusalIsNotAskedAgainAndNamesTheRemedy(int status, String message) {
        behaviour = (n, http) -> {
            http.getResponseHeaders().set("Location", "/elsewhere");
            send(http, status, "{\"error\": {\"message\": \"no:\\n " + KEY + " is unknown\"}}");
        };
        assertThatThrownBy(() -> judged(Map.of()))
                .isInstanceOf(InvalidInputException.class)
                .hasMessageStartingWith("judge rubric (" + url() + "): " + message)
                .hasMessageEndingWith("(no:  *** is unknown)")
                .hasMessageNotContaining(KEY);
        assertThat(requests).hasValue(1);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "<html>hello</html>",
                "{}",
                "[1]",
                "",
                "{\"choices\": [{\"text\": \"Score: 5\"}]}",
                "{\"choices\": 3}"
            })
    void whatIsNotTheApiIsUnavailable(String body) {
        behaviour = (n, http) -> send(http, 200, body);
        assertThatThrownBy(() -> judged(Map.of()))
                .isInstanceOf(JudgeUnavailableException.class)
                .hasMessageContaining("its reply is not that of /chat/completions, 6 times in a row");
        assertThat(requests).hasValue(6);
    }

    @Test
    void aHugeReplyIsCutOff() {
        behaviour = (n, http) -> {
            http.sendResponseHeaders(200, 0);
            byte[] part = "x".repeat(1 << 16).getBytes(StandardCharsets.UTF_8);
            for (int i = 0; i < 10_000; i++) {
                http.getResponseBody().write(part);
            }
        };
        assertThatThrownBy(() -> judged(Map.of()))
                .isInstanceOf(JudgeUnavailableException.class)
                .hasMessageContaining("sends more than 1048576 bytes");
    }

    @Test
    void aSlowServerAndADrippingOneAreLeft() {
        behaviour = (n, http) -> {
            try {
                if (n % 2 == 0) {
                    http.sendResponseHeaders(200, 0);
                    for (int i = 0; i < 100; i++) {
                        http.getResponseBody().write(' ');
                        http.getResponseBody().flush();
                        Thread.sleep(200);
                    }
                }
                Thread.sleep(20_000);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        };
        long began = System.nanoTime();
        assertThatThrownBy(() -> judged(Map.of("timeout_seconds", 1)))
                .isInstanceOf(JudgeUnavailableException.class)
                .hasMessageContaining("does not answer within 1 s, 6 times in a row");
        assertThat((System.nanoTime() - began) / 1e9).isBetween(5.5, 15.0);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "I will not grade this.", "Score: 9", "Score: 1\nScore: 5", "\u0000"})
    void aReplyWithoutAGradeIsCountedAndNotGuessed(String content) throws IOException {
        behaviour = (n, http) -> reply(http, content);
        assertThat(judged(Map.of())).isEqualTo(Verdict.UNPARSED);
        assertThat(requests).hasValue(1);
    }

    @Test
    void whatWasSaidIsNotAskedAgain() throws IOException {
        ReplyCache cache = ReplyCache.in(dir.resolve("replies"));
        assertThat(endpoint(Map.of(), cache).judge(ONE, done -> {}).get(0).score())
                .isEqualTo(1);
        behaviour = (n, http) -> send(http, 500, "");
        assertThat(endpoint(Map.of(), cache).judge(ONE, done -> {}).get(0).score())
                .isEqualTo(1);
        assertThat(requests).hasValue(1);
        // Another model, another answer: other questions.
        behaviour = (n, http) -> reply(http, "Score: 3");
        assertThat(endpoint(Map.of("model_name", "other"), cache)
                        .judge(ONE, done -> {})
                        .get(0)
                        .score())
                .isEqualTo(3);
        assertThat(endpoint(Map.of(), cache)
                        .judge(List.of(new Exchange("a request", "another")), done -> {})
                        .get(0)
                        .score())
                .isEqualTo(3);
        assertThat(requests).hasValue(3);
        try (var files = Files.list(dir.resolve("replies"))) {
            assertThat(files)
                    .hasSize(3)
                    .allSatisfy(file -> assertThat(file).content().doesNotContain(KEY));
        }
    }

    @Test
    void theSameAnswerIsAskedOnce() throws IOException {
        Exchange same = new Exchange("q", "same");
        List<Integer> done = new ArrayList<>();
        assertThat(endpoint(Map.of(), ReplyCache.NONE)
                        .judge(List.of(same, new Exchange("q", "other"), same, same), done::add))
                .hasSize(4)
                .doesNotContainNull();
        assertThat(requests).hasValue(2);
        assertThat(done).containsExactly(3, 4);
    }

    @Test
    void theBudgetIsKept() {
        List<Exchange> many = IntStream.range(0, 5)
                .mapToObj(i -> new Exchange("q", "answer " + i))
                .toList();
        assertThatThrownBy(() ->
                        endpoint(Map.of("max_requests", 4), ReplyCache.NONE).judge(many, done -> {}))
                .isInstanceOf(InvalidInputException.class)
                .hasMessage("judge rubric: 5 answers are to be judged, but its budget, "
                        + "max_requests, is 4; raise it, or measure fewer rows (limit)");
        assertThat(requests).hasValue(0);
        behaviour = (n, http) -> send(http, 500, "");
        assertThatThrownBy(() -> judged(Map.of("max_requests", 3)))
                .isInstanceOf(InvalidInputException.class)
                .hasMessageContaining("its budget, max_requests, of 3 requests is spent");
        assertThat(requests).hasValue(3);
    }

    @Test
    void aCancelledJobStopsAsking() {
        List<Exchange> many = IntStream.range(0, 500)
                .mapToObj(i -> new Exchange("q", "answer " + i))
                .toList();
        assertThatThrownBy(() -> endpoint(Map.of(), ReplyCache.NONE).judge(many, done -> {
                    if (done == 5) {
                        throw new IllegalStateException("cancelled");
                    }
                }))
                .hasMessage("cancelled");
        assertThat(requests.get()).isLessThan(100);
    }

    private Judges judges(Map<String, ?> more, boolean allowed, String key) {
        return new Judges(
                List.of(options(more)),
                new Access(
                        uri -> dir,
                        null,
                        ReplyCache.NONE,
                        url -> allowed,
                        name -> name.equals("TEST_API_KEY") ? key : null));
    }

    @Test
    void aJudgeThatIsDownIsKnownBeforeThereIsAnythingToJudge() throws IOException {
        judges(Map.of(), true, KEY).check(true);
        // The first service needs no key to see that somebody is there.
        judges(Map.of(), true, null).check(false);
        assertThatThrownBy(() -> judges(Map.of(), true, null).check(true))
                .isInstanceOf(InvalidInputException.class)
                .hasMessageContaining("judge rubric: the environment variable TEST_API_KEY with its key is not set");
        assertThatThrownBy(() -> judges(Map.of(), false, KEY).check(true))
                .isInstanceOf(InvalidInputException.class)
                .hasMessageContaining("may not be asked from here");
        String there = url();
        server.stop(0);
        assertThatThrownBy(() -> judges(Map.of("url", there), true, KEY).check(true))
                .isInstanceOf(JudgeUnavailableException.class)
                .hasMessageStartingWith("judge rubric (" + there + "): cannot be reached: ");
    }

    @Test
    void aKeyThatNoHeaderTakesIsNotShown() {
        assertThatThrownBy(() -> new ChatClient(options(Map.of()), "se\ncret", Duration.ZERO))
                .isInstanceOf(InvalidInputException.class)
                .hasMessageContaining("TEST_API_KEY")
                .hasMessageNotContaining("cret");
    }
}
