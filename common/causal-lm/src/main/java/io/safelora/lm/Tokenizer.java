package io.safelora.lm;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.safelora.artifacts.InvalidArtifactException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;

/** Hugging Face's own tokenizer (its Rust library), from a model directory's tokenizer.json. */
public final class Tokenizer implements AutoCloseable {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String FILE = "tokenizer.json";

    private final HuggingFaceTokenizer tokenizer;
    private final int[] eosTokenIds;
    private final int eosTokenId;

    private Tokenizer(HuggingFaceTokenizer tokenizer, int[] eosTokenIds, int eosTokenId) {
        this.tokenizer = tokenizer;
        this.eosTokenIds = eosTokenIds;
        this.eosTokenId = eosTokenId;
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
     * A tokenizer that may lie elsewhere than the model, whose generation_config.json and config.json name the end tokens.
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
                throw new InvalidArtifactException(
                        directory
                                + ": no end token is named; set eos_token_id in generation_config.json or eos_token in tokenizer_config.json");
            }
            return new Tokenizer(tokenizer, ends, ofTokenizer != null ? ofTokenizer : ends[0]);
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
            throw new InvalidArtifactException(file + ": is no JSON: " + e.getOriginalMessage(), e);
        }
    }

    /** The token ids of a text; with what the tokenizer puts around every text, if {@code addSpecialTokens}. */
    public int[] encode(String text, boolean addSpecialTokens) {
        return Arrays.stream(tokenizer.encode(text, addSpecialTokens, false).getIds())
                .mapToInt(Math::toIntExact)
                .toArray();
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

    boolean isEos(int id) {
        return Arrays.stream(eosTokenIds).anyMatch(eos -> eos == id);
    }

    /** The tokenizer's own end token, the one that training puts after an answer. */
    public int eosTokenId() {
        return eosTokenId;
    }

    @Override
    public void close() {
        tokenizer.close();
    }
}
