package io.safelora.method;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.safetensors.SafetensorsFile;
import io.safelora.contract.Json;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * Whether the aligned model was trained from the base. If not, V = W_aligned - W_base is the difference of two
 * trainings, and says nothing of alignment; the arithmetic goes through all the same, so the result must say it.
 */
final class Ancestry {
    /**
     * |V|_F / |W_base|_F from which on weights count as unrelated. For independent weights it is sqrt(1 + |W_aligned|^2
     * / |W_base|^2), which is above 1 whatever their norms, and 1.41 where these are equal: two random models of one
     * shape had 1.37 to 1.47 in each of 21 modules. The hardest fine-tuning at hand, the demo's pair of 0.7 million
     * parameters, has 0.19 to 0.33; large models were not measured. At 0.5 two weights of equal norm still have the
     * cosine 0.875. A sibling (Llama 3 for Llama 3.1) can lie below.
     */
    private static final double UNRELATED = 0.5;

    /** The share of base's tokens that may have another id: fine-tuning renames a few that were reserved. */
    private static final double RENAMED = 0.01;

    private static final String TOKENIZER = "tokenizer.json";
    private static final int MAX_TOKENIZER = 100_000_000;

    private Ancestry() {}

    /**
     * One line, or nothing if all looks well.
     *
     * @param relative |V|_F / |W_base|_F of modules; null where it is undefined
     */
    static Optional<String> warning(Checkpoint base, Checkpoint aligned, List<Double> relative) {
        List<String> signs = new ArrayList<>();
        String before = modelType(base);
        String after = modelType(aligned);
        if (!before.isEmpty() && !after.isEmpty() && !before.equals(after)) {
            signs.add("model_type is " + SafetensorsFile.quoted(before) + " in base and "
                    + SafetensorsFile.quoted(after) + " in aligned");
        }
        double renamed = renamed(base, aligned);
        if (renamed > RENAMED) {
            signs.add(String.format(
                    Locale.ROOT,
                    "%.0f %% of base's tokens have another id, or none, in aligned's %s",
                    100 * renamed,
                    TOKENIZER));
        }
        double[] sorted = relative.stream()
                .filter(Objects::nonNull)
                .mapToDouble(Double::doubleValue)
                .sorted()
                .toArray();
        if (sorted.length > 0 && sorted[sorted.length / 2] > UNRELATED) {
            signs.add(String.format(
                    Locale.ROOT,
                    "the weights differ by %.2f times base's norm (median; unrelated weights: 1.4,"
                            + " fine-tuning: far below %.1f)",
                    sorted[sorted.length / 2],
                    UNRELATED));
        }
        return signs.isEmpty()
                ? Optional.empty()
                : Optional.of("base is probably not what aligned was trained from: " + String.join("; ", signs)
                        + "; then V is not what alignment changed, and projecting onto it means nothing:"
                        + " give aligned's own base");
    }

    private static String modelType(Checkpoint checkpoint) {
        try {
            return checkpoint.config().path("model_type").asText();
        } catch (InvalidArtifactException e) {
            return ""; // weights alone can be compared, too
        } catch (IOException e) {
            throw unreadable(checkpoint, e);
        }
    }

    /**
     * The share of base's tokens that aligned's tokenizer does not have under the same id; 0 where a tokenizer cannot
     * be read.
     */
    private static double renamed(Checkpoint base, Checkpoint aligned) {
        try {
            Optional<byte[]> before = base.file(TOKENIZER, MAX_TOKENIZER);
            Optional<byte[]> after = aligned.file(TOKENIZER, MAX_TOKENIZER);
            if (before.isEmpty() || after.isEmpty() || Arrays.equals(before.get(), after.get())) {
                return 0;
            }
            Map<String, Integer> old = vocabulary(before.get());
            Map<String, Integer> now = vocabulary(after.get());
            if (old.isEmpty() || now.isEmpty()) {
                return 0;
            }
            long other = old.entrySet().stream()
                    .filter(token -> !token.getValue().equals(now.get(token.getKey())))
                    .count();
            return (double) other / old.size();
        } catch (InvalidArtifactException e) {
            return 0;
        } catch (IOException e) {
            throw unreadable(base, e);
        }
    }

    /**
     * The ids of model.vocab: an object of ids (BPE, WordPiece), or an array of (token, score) (Unigram); empty if it
     * is neither.
     */
    private static Map<String, Integer> vocabulary(byte[] tokenizer) {
        Map<String, Integer> ids = new HashMap<>();
        try (JsonParser json = Json.MAPPER.createParser(tokenizer)) {
            if (enter(json, "model") && enter(json, "vocab")) {
                JsonNode vocabulary = json.readValueAsTree();
                vocabulary
                        .properties()
                        .forEach(id -> ids.put(id.getKey(), id.getValue().asInt(-1)));
                for (int id = 0; vocabulary.isArray() && id < vocabulary.size(); id++) {
                    ids.put(vocabulary.path(id).path(0).asText(), id);
                }
            }
        } catch (IOException e) {
            return Map.of(); // not JSON: whoever loads the tokenizer says so
        }
        return ids;
    }

    /** Moves to the value of a field of the object that comes next. */
    private static boolean enter(JsonParser json, String field) throws IOException {
        if (json.currentToken() == null) {
            json.nextToken();
        }
        while (json.nextToken() == JsonToken.FIELD_NAME) {
            boolean found = json.currentName().equals(field);
            json.nextToken();
            if (found) {
                return true;
            }
            json.skipChildren();
        }
        return false;
    }

    private static UncheckedIOException unreadable(Checkpoint checkpoint, IOException e) {
        return new UncheckedIOException(checkpoint.name() + ": cannot be read: " + e.getMessage(), e);
    }
}
