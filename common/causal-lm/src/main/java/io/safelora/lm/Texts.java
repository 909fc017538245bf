package io.safelora.lm;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.TextNode;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * How a model reads and writes text.
 *
 * @param note which of them came with an adapter, for people; or null
 */
record Texts(Tokenizer tokenizer, ChatTemplate chatTemplate, String note) implements AutoCloseable {
    private static final String TOKENIZER = "tokenizer.json";
    private static final String CONFIG = "tokenizer_config.json";
    private static final String TEMPLATE = "chat_template.jinja";
    private static final String INLINE = "chat_template";

    /** Those of a model directory. */
    static Texts of(Path directory) throws IOException {
        ChatTemplate template = ChatTemplate.load(directory);
        return new Texts(Tokenizer.load(directory), template, null);
    }

    /**
     * Those that an adapter was trained with: the tokenizer and the chat template beside it, each the model's where the adapter has
     * none.
     *
     * @return null if the adapter has neither
     */
    static Texts beside(Path adapter, Path model) throws IOException {
        boolean tokenizer = Files.exists(adapter.resolve(TOKENIZER));
        boolean template = template(adapter) != null;
        if (!tokenizer && !template) {
            return null;
        }
        ChatTemplate chat = ChatTemplate.load(template ? adapter : model);
        String what = tokenizer ? template ? "tokenizer and chat template are" : "tokenizer is" : "chat template is";
        return new Texts(
                Tokenizer.load(tokenizer ? adapter : model, model),
                chat,
                "the " + what + " the adapter's, of " + adapter.getFileName());
    }

    /** Makes the texts of a model directory that was copied to {@code out} those of {@link #beside}. */
    static void write(Path model, Path adapter, Path out) throws IOException {
        JsonNode ofAdapter = template(adapter);
        JsonNode ofModel = template(model);
        if (Files.exists(adapter.resolve(TOKENIZER))) {
            for (String file : PeftAdapter.TEXTS) {
                if (!file.equals(TEMPLATE)) {
                    Files.deleteIfExists(out.resolve(file));
                    if (Files.exists(adapter.resolve(file))) {
                        Files.copy(adapter.resolve(file), out.resolve(file));
                    }
                }
            }
        } else if (ofAdapter == null) {
            return;
        }
        JsonNode template = ofAdapter != null ? ofAdapter : ofModel;
        // The file outranks what tokenizer_config.json says.
        if (template != null && template.isTextual()) {
            Files.writeString(out.resolve(TEMPLATE), template.asText());
        } else {
            Files.deleteIfExists(out.resolve(TEMPLATE));
        }
    }

    /** The chat template (a text, or a list of named ones), or null. */
    private static JsonNode template(Path directory) throws IOException {
        Path file = directory.resolve(TEMPLATE);
        if (Files.exists(file)) {
            return TextNode.valueOf(Files.readString(file));
        }
        JsonNode inline = Tokenizer.read(directory, CONFIG).path(INLINE);
        return inline.isTextual() || inline.isArray() ? inline : null;
    }

    @Override
    public void close() {
        tokenizer.close();
    }
}
