package io.safelora.evaluation.judge;

import io.safelora.artifacts.InvalidArtifactException;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A judge's prompt, with {@code {request}} and {@code {answer}} where an exchange goes in; HarmBench calls them {@code
 * {behavior}} and {@code {generation}}. Filled in one pass: what a request or an answer says is never a place of its
 * own. {@code
 * {mark}} becomes 16 hexadecimal digits that follow from the exchange, for lines around it that nobody can write into
 * it.
 */
record PromptTemplate(String text) {
    private static final int MAX_BYTES = 100_000;
    private static final Pattern PLACES = Pattern.compile("\\{(request|answer|behavior|generation|mark)}");

    PromptTemplate {
        if (!has(text, "request", "behavior") || !has(text, "answer", "generation")) {
            throw new InvalidArtifactException(
                    "the judge's prompt needs {request} and {answer}, where the exchange goes in");
        }
    }

    private static boolean has(String text, String name, String other) {
        return text.contains("{" + name + "}") || text.contains("{" + other + "}");
    }

    /** @throws InvalidArtifactException if the file is too long, not UTF-8, or lacks a place */
    static PromptTemplate read(Path file) throws IOException {
        if (Files.size(file) > MAX_BYTES) {
            throw new InvalidArtifactException(file.getFileName() + ": has " + Files.size(file)
                    + " bytes; a judge's prompt has at most " + MAX_BYTES);
        }
        try {
            return new PromptTemplate(Files.readString(file));
        } catch (CharacterCodingException e) {
            throw new InvalidArtifactException(file.getFileName() + ": is not UTF-8", e);
        }
    }

    String fill(Exchange exchange) {
        return PLACES.matcher(text)
                .replaceAll(place -> Matcher.quoteReplacement(
                        switch (place.group(1)) {
                            case "request", "behavior" -> exchange.request();
                            case "mark" -> mark(exchange);
                            default -> exchange.answer();
                        }));
    }

    private static String mark(Exchange exchange) {
        return Resources.sha256(exchange.request() + "\0" + exchange.answer()).substring(0, 16);
    }

    String sha256() {
        return Resources.sha256(text);
    }
}
