package io.safelora.lm;

import ai.djl.huggingface.tokenizers.Encoding;
import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import ai.djl.huggingface.tokenizers.jni.CharSpan;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.lm.ChatTemplate.Span;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Hugging Face's own tokenizer (its Rust library), from a model directory's tokenizer.json. */
public final class Tokenizer implements AutoCloseable {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String FILE = "tokenizer.json";

    /**
     * Longest text in chars: more than any model's context. The native library ends the process on texts of ten times
     * that.
     */
    private static final int MAX_TEXT = 4 << 20;

    /** Ids with a mark each. */
    public record Marked(int[] ids, boolean[] marked) {}

    private final HuggingFaceTokenizer tokenizer;
    private final Set<Integer> specialTokenIds;
    private final int[] eosTokenIds;
    private final int eosTokenId;
    private final int[] before;
    private final int after;

    private Tokenizer(HuggingFaceTokenizer tokenizer, Set<Integer> specialTokenIds, int[] eosTokenIds, int eosTokenId) {
        this.tokenizer = tokenizer;
        this.specialTokenIds = specialTokenIds;
        this.eosTokenIds = eosTokenIds;
        this.eosTokenId = eosTokenId;
        // What the tokenizer puts around every text, seen on one that is itself no special token.
        int[] bare = encode("a", false);
        int[] whole = encode("a", true);
        int at = Math.max(Collections.indexOfSubList(list(whole), list(bare)), 0);
        before = Arrays.copyOf(whole, at);
        after = whole.length - at - bare.length;
    }

    private static List<Integer> list(int[] ids) {
        return Arrays.stream(ids).boxed().toList();
    }

    /**
     * Loads a model directory's tokenizer.
     *
     * @throws InvalidArtifactException if tokenizer.json is missing or broken, or no file names an end token
     */
    public static Tokenizer load(Path directory) throws IOException {
        return load(directory, directory);
    }

    /**
     * A tokenizer that may lie elsewhere than the model, whose generation_config.json and config.json name the end
     * tokens.
     *
     * @throws InvalidArtifactException as {@link #load(Path)}
     */
    static Tokenizer load(Path directory, Path model) throws IOException {
        Path file = directory.resolve(FILE);
        if (!Files.exists(file)) {
            throw new InvalidArtifactException(directory + ": has no " + FILE
                    + "; save the model with a fast tokenizer (AutoTokenizer.save_pretrained)");
        }
        HuggingFaceTokenizer tokenizer;
        try {
            tokenizer = HuggingFaceTokenizer.newInstance(file, Map.of("truncation", "false", "padding", "false"));
        } catch (RuntimeException e) {
            throw new InvalidArtifactException(file + ": cannot be read as a tokenizer: " + e.getMessage(), e);
        }
        try {
            JsonNode config = read(directory, "tokenizer_config.json");
            JsonNode eos = config.path("eos_token"); // a string, or an object with its content
            String token = eos.path("content").asText(eos.asText(""));
            Integer ofTokenizer = null;
            if (!token.isEmpty()) {
                long[] ids = tokenizer.encode(token, false, false).getIds();
                ofTokenizer = ids.length == 1 ? (int) ids[0] : null;
            }
            JsonNode ofModel = read(model, "generation_config.json").path("eos_token_id");
            if (ofModel.isMissingNode() || ofModel.isNull()) {
                ofModel = read(model, "config.json").path("eos_token_id");
            }
            int[] ends = ofModel.isInt()
                    ? new int[] {ofModel.asInt()}
                    : ofModel.isArray() && !ofModel.isEmpty()
                            ? JSON.convertValue(ofModel, int[].class)
                            : ofTokenizer != null ? new int[] {ofTokenizer} : null;
            if (ends == null) {
                throw new InvalidArtifactException(directory
                        + ": no end token is named; set eos_token_id in generation_config.json or"
                        + " eos_token in tokenizer_config.json");
            }
            return new Tokenizer(tokenizer, special(file), ends, ofTokenizer != null ? ofTokenizer : ends[0]);
        } catch (IOException | RuntimeException e) {
            tokenizer.close();
            throw e;
        }
    }

    static JsonNode read(Path directory, String name) throws IOException {
        Path file = directory.resolve(name);
        if (!Files.exists(file)) {
            return JSON.missingNode();
        }
        try {
            return JSON.readTree(file.toFile());
        } catch (com.fasterxml.jackson.core.JsonProcessingException e) {
            throw new InvalidArtifactException(file + ": is not valid JSON: " + e.getOriginalMessage(), e);
        }
    }

    /** The ids of tokens such as {@code <s>} and {@code <|im_end|>}, which stand for no text. */
    private static Set<Integer> special(Path file) throws IOException {
        Set<Integer> ids = new HashSet<>();
        try (JsonParser json = JSON.createParser(file.toFile())) {
            json.nextToken();
            while (json.nextToken() == JsonToken.FIELD_NAME) {
                boolean added = json.currentName().equals("added_tokens");
                json.nextToken();
                if (added) {
                    JsonNode tokens = JSON.readTree(json);
                    tokens.forEach(token -> {
                        if (token.path("special").asBoolean()) {
                            ids.add(token.path("id").asInt());
                        }
                    });
                } else {
                    json.skipChildren();
                }
            }
        }
        return ids;
    }

    /**
     * The token ids of a text; with what the tokenizer puts around every text, if {@code addSpecialTokens}.
     *
     * @throws InvalidArtifactException if the text is too long to be tokenized
     */
    public int[] encode(String text, boolean addSpecialTokens) {
        return ids(encoding(text, addSpecialTokens));
    }

    private Encoding encoding(String text, boolean addSpecialTokens) {
        if (text.length() > MAX_TEXT) {
            throw new InvalidArtifactException("a text of " + text.length() + " characters; at most " + MAX_TEXT
                    + " are tokenized; shorten or split it");
        }
        return tokenizer.encode(text, addSpecialTokens, false);
    }

    private static int[] ids(Encoding encoding) {
        return Arrays.stream(encoding.getIds()).mapToInt(Math::toIntExact).toArray();
    }

    /**
     * A text that the model goes on from: with what the tokenizer puts before every text, such as a BOS, once, also
     * where the text says it itself; without what it puts behind.
     */
    public int[] encodePrompt(String text) {
        int[] ids = encode(text, true);
        boolean twice = before.length > 0
                && ids.length >= 2 * before.length
                && Arrays.equals(ids, before.length, 2 * before.length, before, 0, before.length);
        return Arrays.copyOfRange(ids, twice ? before.length : 0, ids.length - after);
    }

    /**
     * What follows a prompt, to its end: with the tokenizer's end token, unless the text ends with a special token, the
     * end of turn that a chat template writes, or an end token itself.
     */
    public int[] encodeCompletion(String text) {
        int[] ids = encode(text, false);
        if (ids.length > 0 && isEnd(ids[ids.length - 1])) {
            return ids;
        }
        ids = Arrays.copyOf(ids, ids.length + 1);
        ids[ids.length - 1] = eosTokenId;
        return ids;
    }

    private boolean isEnd(int id) {
        return id == eosTokenId || isEos(id) || specialTokenIds.contains(id);
    }

    /** A text that has its special tokens in it, and which of its tokens hold characters of {@code spans}. */
    public Marked encode(String text, List<Span> spans) {
        Encoding encoding = encoding(text, false);
        CharSpan[] places = encoding.getCharTokenSpans();
        boolean[] marked = new boolean[places.length];
        for (Span span : spans) {
            // The library counts code points.
            int begin = text.codePointCount(0, span.begin());
            int end = begin + text.codePointCount(span.begin(), span.end());
            for (int i = 0; i < places.length; i++) {
                marked[i] |= places[i] != null && places[i].getStart() < end && places[i].getEnd() > begin;
            }
        }
        return new Marked(ids(encoding), marked);
    }

    /** The text of token ids; without special tokens such as the end token, if {@code skipSpecialTokens}. */
    public String decode(int[] ids, boolean skipSpecialTokens) {
        return ids.length == 0
                ? ""
                : tokenizer.decode(Arrays.stream(ids).asLongStream().toArray(), skipSpecialTokens);
    }

    /** The tokens that end an answer: generation_config.json's, else config.json's, else the tokenizer's. */
    public int[] eosTokenIds() {
        return eosTokenIds.clone();
    }

    /** Whether generation ends with this token. */
    public boolean isEos(int id) {
        return Arrays.stream(eosTokenIds).anyMatch(eos -> eos == id);
    }

    /** The tokenizer's own end token, the one that training puts after an answer that has none. */
    public int eosTokenId() {
        return eosTokenId;
    }

    @Override
    public void close() {
        tokenizer.close();
    }
}
