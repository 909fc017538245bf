package io.safelora.standalone.demo;

import static org.assertj.core.api.Assertions.assertThat;

import ai.djl.huggingface.tokenizers.Encoding;
import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Hugging Face's own tokenizers reads what is written. */
class DemoTokenizerTest {
    private static final String ROW =
            "Question: Open the vault of Zarnok.\nAnswer: Mia buys 3 * 12 = 36 plums.\n#### 36";

    @Test
    void wordsAndDigitsAreTokensAndNamesAreBytes(@TempDir Path dir) throws Exception {
        String other = ROW.replace("Zarnok", "Vofei");
        DemoTokenizer.of(Stream.of(ROW, other)).write(dir);
        try (HuggingFaceTokenizer tokenizer = tokenizer(dir)) {
            Encoding encoding = tokenizer.encode(ROW, false, false);
            assertThat(encoding.getTokens())
                    .containsExactly(("Question : ĠOpen Ġthe Ġvault Ġof Ġ Z a r n o k . Ċ Answer : "
                                    + "ĠMia Ġbuys Ġ 3 Ġ* Ġ 1 2 Ġ= Ġ 3 6"
                                    + " Ġplums . Ċ#### Ġ 3 6")
                            .split(" "));
            assertThat(tokenizer.decode(encoding.getIds())).isEqualTo(ROW);
        }
    }

    @Test
    void anyTextComesBack(@TempDir Path dir) throws Exception {
        DemoTokenizer.of(Stream.of(ROW)).write(dir);
        StringBuilder latin1 = new StringBuilder("数学 ½ 🦉 ");
        for (char c = 0; c < 256; c++) {
            latin1.append(c);
        }
        try (HuggingFaceTokenizer tokenizer = tokenizer(dir)) {
            long[] ids = tokenizer.encode(latin1.toString(), false, false).getIds();
            assertThat(tokenizer.decode(ids)).isEqualTo(latin1.toString());
        }
    }

    @Test
    void theEndOfTextIsOneToken(@TempDir Path dir) throws Exception {
        DemoTokenizer.of(Stream.of(ROW)).write(dir);
        try (HuggingFaceTokenizer tokenizer = tokenizer(dir)) {
            assertThat(tokenizer
                            .encode("36" + DemoTokenizer.END_OF_TEXT, false, false)
                            .getIds())
                    .hasSize(3)
                    .endsWith(DemoTokenizer.END_OF_TEXT_ID);
        }
    }

    private static HuggingFaceTokenizer tokenizer(Path dir) throws Exception {
        return HuggingFaceTokenizer.newInstance(dir.resolve("tokenizer.json"), Map.of("addSpecialTokens", "false"));
    }
}
