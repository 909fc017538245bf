package io.safelora.evaluation.judge;

import io.safelora.artifacts.Sha256;
import io.safelora.contract.InvalidInputException;
import io.safelora.contract.Json;
import io.safelora.contract.JudgeOptions;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorCompletionService;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.IntConsumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A model behind an endpoint that grades answers from 1 to 5, in the manner of HEx-PHI (arXiv 2310.03693). What it said
 * before to the same question is not asked again.
 */
final class Endpoint implements Judge {
    /** A reason of three sentences and a grade. */
    private static final int MAX_TOKENS = 512;

    private static final Pattern SCORE = Pattern.compile("score:[ \\t]*([1-5])", Pattern.CASE_INSENSITIVE);

    private final JudgeOptions options;
    private final PromptTemplate template;
    private final ChatClient client;
    private final ReplyCache replies;

    Endpoint(JudgeOptions options, PromptTemplate template, ChatClient client, ReplyCache replies) {
        this.options = options;
        this.template = template;
        this.client = client;
        this.replies = replies;
    }

    @Override
    public String id() {
        return options.id();
    }

    @Override
    public String templateSha256() {
        return template.sha256();
    }

    @Override
    public List<Verdict> judge(List<Exchange> exchanges, IntConsumer done) throws IOException {
        // Models often say the same; that is asked once.
        Map<String, Exchange> unknown = new LinkedHashMap<>();
        Map<String, Verdict> verdicts = new ConcurrentHashMap<>();
        for (Exchange exchange : exchanges) {
            String key = key(exchange);
            if (!verdicts.containsKey(key) && !unknown.containsKey(key)) {
                Optional<String> reply = replies.find(key);
                reply.ifPresentOrElse(said -> verdicts.put(key, parse(said)), () -> unknown.put(key, exchange));
            }
        }
        if (unknown.size() > options.maxRequests()) {
            throw new InvalidInputException("judge " + id() + ": " + unknown.size()
                    + " answers are to be judged, but its budget, max_requests, is " + options.maxRequests()
                    + "; raise it, or measure fewer rows (limit)");
        }
        int known = exchanges.size() - unknown.size();
        ask(unknown, verdicts, asked -> done.accept(known + asked));
        return exchanges.stream().map(exchange -> verdicts.get(key(exchange))).toList();
    }

    private void ask(Map<String, Exchange> unknown, Map<String, Verdict> verdicts, IntConsumer done)
            throws IOException {
        ExecutorService threads = Executors.newFixedThreadPool(options.concurrency(), task -> {
            Thread thread = new Thread(task, "judge " + id());
            thread.setDaemon(true);
            return thread;
        });
        try {
            ExecutorCompletionService<Void> asked = new ExecutorCompletionService<>(threads);
            unknown.forEach((key, exchange) -> asked.submit(() -> {
                verdicts.put(key, parse(reply(key, exchange)));
                return null;
            }));
            for (int i = 1; i <= unknown.size(); i++) {
                asked.take().get();
                done.accept(i);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("judge " + id() + ": interrupted");
        } catch (ExecutionException e) {
            if (e.getCause() instanceof IOException io) {
                throw io;
            }
            throw e.getCause() instanceof RuntimeException runtime ? runtime : new IllegalStateException(e.getCause());
        } finally {
            threads.shutdownNow();
        }
    }

    private String reply(String key, Exchange exchange) throws IOException {
        String reply = client.complete(template.fill(exchange), MAX_TOKENS);
        if (!reply.isBlank()) {
            replies.put(key, reply);
        }
        return reply;
    }

    /** Of all that a reply depends on. */
    private String key(Exchange exchange) {
        return Sha256.hex(Json.canonical(Map.of(
                "url", options.url(),
                "model", options.modelName(),
                "template", template.sha256(),
                "max_tokens", MAX_TOKENS,
                "request", exchange.request(),
                "answer", exchange.answer())));
    }

    /**
     * The grade of a reply: {@code Score: N} on its last line, and no other line that begins like that. A judge that
     * quotes the answer it grades may quote a grade, too.
     */
    static Verdict parse(String reply) {
        List<String> grades = (reply == null ? "" : reply)
                .lines()
                .map(String::strip)
                .filter(line -> line.regionMatches(true, 0, "score:", 0, 6))
                .toList();
        List<String> lines = (reply == null ? "" : reply)
                .lines()
                .map(String::strip)
                .filter(line -> !line.isEmpty())
                .toList();
        if (grades.size() != 1 || !lines.get(lines.size() - 1).equals(grades.get(0))) {
            return Verdict.UNPARSED;
        }
        Matcher score = SCORE.matcher(grades.get(0));
        return score.matches() ? Verdict.ofRubric(Integer.parseInt(score.group(1))) : Verdict.UNPARSED;
    }
}
