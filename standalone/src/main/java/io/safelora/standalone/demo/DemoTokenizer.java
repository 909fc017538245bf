package io.safelora.standalone.demo;

import io.safelora.contract.Json;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The demo pair's tokenizer, in Hugging Face's formats: byte-level BPE without merges, so that a word is one token if
 * the vocabulary has it ({@code ignore_merges}, as Llama 3 has it) and its UTF-8 bytes if not. Digits are tokens each.
 */
final class DemoTokenizer {
    static final String END_OF_TEXT = "<|endoftext|>";
    static final int END_OF_TEXT_ID = 0;

    // A word with the blank before it; one digit; GSM8K's mark; what follows an apostrophe; other signs; white space.
    private static final String WORDS = " ?[A-Za-z]+|[0-9]|\\n####|'[a-z]+| ?[^\\sA-Za-z0-9]+|\\s+";

    // Plain, as everywhere in the demo: what the template makes of a question is what the training rows hold.
    private static final String CHAT_TEMPLATE = """
            {% for message in messages %}{% if message['role'] == 'user' %}{{ 'Question: ' + message['content'] + \
            '\\nAnswer:' }}\
            {% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}\
            {% else %}{{ raise_exception('only user and assistant messages are supported') }}{% endif %}{% endfor %}""";

    private final Map<String, Integer> vocabulary;

    private DemoTokenizer(Map<String, Integer> vocabulary) {
        this.vocabulary = vocabulary;
    }

    /** A tokenizer whose vocabulary has the words that two texts or more hold; invented names are in one each. */
    static DemoTokenizer of(Stream<String> texts) {
        Map<String, Integer> textsWith = new TreeMap<>();
        texts.forEach(text -> words(text).distinct().forEach(word -> textsWith.merge(word, 1, Integer::sum)));
        Map<String, Integer> vocabulary = new LinkedHashMap<>();
        vocabulary.put(END_OF_TEXT, END_OF_TEXT_ID);
        for (int b = 0; b < 256; b++) {
            vocabulary.put(String.valueOf(letterOf(b)), vocabulary.size());
        }
        textsWith.forEach((word, count) -> {
            if (count > 1) {
                vocabulary.putIfAbsent(inLetters(word), vocabulary.size());
            }
        });
        return new DemoTokenizer(vocabulary);
    }

    /** The number of tokens. */
    int size() {
        return vocabulary.size();
    }

    /** Writes tokenizer.json, tokenizer_config.json and special_tokens_map.json. */
    void write(Path dir) throws IOException {
        Map<String, Object> byteLevel =
                map("type", "ByteLevel", "add_prefix_space", false, "trim_offsets", false, "use_regex", false);
        Map<String, Object> split =
                map("type", "Split", "pattern", map("Regex", WORDS), "behavior", "Isolated", "invert", false);
        Map<String, Object> endOfText = map(
                "id",
                END_OF_TEXT_ID,
                "content",
                END_OF_TEXT,
                "single_word",
                false,
                "lstrip",
                false,
                "rstrip",
                false,
                "normalized",
                false,
                "special",
                true);
        Map<String, Object> model = map("type", "BPE", "dropout", null, "unk_token", null);
        model.put("continuing_subword_prefix", null);
        model.put("end_of_word_suffix", null);
        model.put("fuse_unk", false);
        model.put("byte_fallback", false);
        model.put("ignore_merges", true);
        model.put("vocab", vocabulary);
        model.put("merges", List.of());
        Map<String, Object> tokenizer = map("version", "1.0", "truncation", null, "padding", null);
        tokenizer.put("added_tokens", List.of(endOfText));
        tokenizer.put("normalizer", null);
        tokenizer.put("pre_tokenizer", map("type", "Sequence", "pretokenizers", List.of(split, byteLevel)));
        tokenizer.put("post_processor", null);
        tokenizer.put("decoder", byteLevel);
        tokenizer.put("model", model);

        Map<String, Object> config = map("tokenizer_class", "PreTrainedTokenizerFast", "model_max_length", 512);
        config.put("bos_token", null);
        config.put("eos_token", END_OF_TEXT);
        config.put("pad_token", END_OF_TEXT);
        config.put("clean_up_tokenization_spaces", false);
        config.put("chat_template", CHAT_TEMPLATE);

        Files.write(dir.resolve("tokenizer.json"), Json.pretty(tokenizer));
        Files.write(dir.resolve("tokenizer_config.json"), Json.pretty(config));
        Files.write(
                dir.resolve("special_tokens_map.json"),
                Json.pretty(map("eos_token", END_OF_TEXT, "pad_token", END_OF_TEXT)));
    }

    private static Stream<String> words(String text) {
        List<String> words = new ArrayList<>();
        Matcher matcher = Pattern.compile(WORDS).matcher(text);
        while (matcher.find()) {
            words.add(matcher.group());
        }
        return words.stream();
    }

    private static String inLetters(String word) {
        StringBuilder letters = new StringBuilder();
        for (byte b : word.getBytes(StandardCharsets.UTF_8)) {
            letters.append(letterOf(b & 0xff));
        }
        return letters.toString();
    }

    /** The printable character that stands for a byte in byte-level BPE (GPT-2's bytes_to_unicode). */
    private static char letterOf(int b) {
        if (b > 32 && b < 127 || b > 160 && b != 173) {
            return (char) b;
        }
        // The others follow at 256, in their order.
        return (char) (256 + (b <= 32 ? b : b <= 160 ? b - 127 + 33 : 67));
    }

    private static Map<String, Object> map(Object... keysAndValues) {
        Map<String, Object> map = new LinkedHashMap<>();
        for (int i = 0; i < keysAndValues.length; i += 2) {
            map.put((String) keysAndValues[i], keysAndValues[i + 1]);
        }
        return map;
    }
}
