package io.safelora.lm;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;

public final class Tokenizer {
    private final HuggingFaceTokenizer hf;

    private Tokenizer(HuggingFaceTokenizer hf) {
        this.hf = hf;
    }

    public static Tokenizer load(Path d) throws IOException {
        return new Tokenizer(HuggingFaceTokenizer.newInstance(
                d.resolve("tokenizer.json"), Map.of("truncation", "false", "padding", "false")));
    }

    public int[] encode(String text, boolean special) {
        return Arrays.stream(hf.encode(text, special, false).getIds())
                .mapToInt(i -> (int) i)
                .toArray();
    }

    public String decode(int[] ids, boolean skip) {
        return hf.decode(Arrays.stream(ids).asLongStream().toArray(), skip);
    }

    public int[] eosTokenIds() {
        return new int[] {2};
    }
}
