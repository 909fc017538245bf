package io.safelora.lm;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.TextNode;
import io.safelora.artifacts.Sha256;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * How a model reads and writes text. What lies beside an adapter comes first, as PEFT's users load it
 * ({@code AutoTokenizer.from_pretrained(adapter)}): the tokenizer and the chat template, each the model's where the
 * adapter has none.
 *
 * @param content the same for the same files
 * @param note which of them came with an adapter, for people; or null
 */
record Texts(Tokenizer tokenizer, ChatTemplate chatTemplate, List<String> content, String note)
        implements AutoCloseable {
    private static final String TOKENIZER = "tokenizer.json";
    private static final String CONFIG = "tokenizer_config.json";
    private static final String TEMPLATE = "chat_template.jinja";

    /** Those of a model directory. */
    static Texts of(Path directory) throws IOException {
        ChatTemplate template = ChatTemplate.load(directory);
        return new Texts(Tokenizer.load(directory), template, content(directory, directory), null);
    }

    /**
     * Those that an adapter was trained with.
     *
     * @return null if they are the model's
     */
    static Texts beside(Path adapter, Path model) throws IOException {
        boolean tokenizer = Files.exists(adapter.resolve(TOKENIZER));
        boolean template = template(adapter) != null;
        Path ofTokenizer = tokenizer ? adapter : model;
        Path ofTemplate = template ? adapter : model;
        List<String> content = content(ofTokenizer, ofTemplate);
        if (content.equals(content(model, model))) {
            return null;
        }
        ChatTemplate chat = ChatTemplate.load(ofTemplate);
        String what = tokenizer ? template ? "tokenizer and chat template" : "tokenizer" : "chat template";
        String note = what + " from the adapter's folder, " + adapter.getFileName();
        return new Texts(Tokenizer.load(ofTokenizer, model), chat, content, note);
    }

    private static List<String> content(Path ofTokenizer, Path ofTemplate) throws IOException {
        JsonNode config = Tokenizer.read(ofTokenizer, CONFIG);
        Path tokenizer = ofTokenizer.resolve(TOKENIZER);
        return List.of(
                Files.exists(tokenizer) ? Sha256.hex(tokenizer) : "",
                config.path("bos_token").toString() + config.path("eos_token"),
                String.valueOf(template(ofTemplate)));
    }

    /** Makes the texts of a model directory that was copied to {@code out} those that the adapter is used with. */
    static void write(Path model, Path adapter, Path out) throws IOException {
        boolean tokenizer = Files.exists(adapter.resolve(TOKENIZER));
        JsonNode ofAdapter = template(adapter);
        if (!tokenizer && ofAdapter == null) {
            return;
        }
        for (String file : tokenizer ? PeftAdapter.TEXTS : List.<String>of()) {
            Files.deleteIfExists(out.resolve(file));
            if (Files.exists(adapter.resolve(file))) {
                Files.copy(adapter.resolve(file), out.resolve(file));
            }
        }
        JsonNode template = ofAdapter != null ? ofAdapter : template(model);
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
        JsonNode inline = Tokenizer.read(directory, CONFIG).path("chat_template");
        return inline.isTextual() || inline.isArray() ? inline : null;
    }

    @Override
    public void close() {
        tokenizer.close();
    }
}
