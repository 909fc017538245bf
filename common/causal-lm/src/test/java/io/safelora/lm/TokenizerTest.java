package io.safelora.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.safelora.artifacts.InvalidArtifactException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TokenizerTest {
    @TempDir
    Path dir;

    @Test
    void encodesAndDecodesSpecialTokensAndAnyText() throws Exception {
        try (Tokenizer tokenizer = Tokenizer.load(Fixtures.model("llama"))) {
            String text = "<|im_start|>é ∑ 42 😀\n";
            int[] ids = tokenizer.encode(text, false);
            assertThat(ids[0]).isEqualTo(1);
            assertThat(tokenizer.decode(ids, false)).isEqualTo(text);
            assertThat(tokenizer.decode(ids, true)).isEqualTo("é ∑ 42 😀\n");
            assertThat(tokenizer.decode(new int[0], true)).isEmpty();
            assertThat(tokenizer.encode("word ".repeat(5000), true)).hasSizeGreaterThan(5000);
        }
    }

    @Test
    void endTokensComeFromTheFirstFileThatNamesThem() throws Exception {
        Files.copy(Fixtures.model("llama").resolve("tokenizer.json"), dir.resolve("tokenizer.json"));
        assertThatThrownBy(() -> Tokenizer.load(dir)).hasMessageContaining("no end token");
        Files.writeString(dir.resolve("tokenizer_config.json"), "{\"eos_token\": {\"content\": \"<|im_end|>\"}}");
        assertEnds(2);
        Files.writeString(dir.resolve("config.json"), "{\"eos_token_id\": 0}");
        assertEnds(0);
        Files.writeString(dir.resolve("generation_config.json"), "{\"eos_token_id\": [0, 1]}");
        assertEnds(0, 1);
    }

    private void assertEnds(int... ids) throws Exception {
        try (Tokenizer tokenizer = Tokenizer.load(dir)) {
            assertThat(tokenizer.eosTokenIds()).containsExactly(ids);
            assertThat(tokenizer.eosTokenId()).isEqualTo(2);
        }
    }

    @Test
    void aMissingOrBrokenTokenizerIsRefusedByItsFile() throws Exception {
        assertThatThrownBy(() -> Tokenizer.load(dir))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining("has no tokenizer.json");
        Files.writeString(dir.resolve("tokenizer.json"), "{\"model\": 7}");
        assertThatThrownBy(() -> Tokenizer.load(dir))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining("tokenizer.json: cannot be read as a tokenizer");
    }

    /** Texts of 20 million characters end the process in the native library. */
    @Test
    void textsAreBounded() throws Exception {
        try (Tokenizer tokenizer = Tokenizer.load(Fixtures.model("llama"))) {
            String longest = "x".repeat(4 << 20);
            assertThat(tokenizer.encode(longest, false)).hasSizeGreaterThan(1000);
            assertThatThrownBy(() -> tokenizer.encode(longest + "x", false))
                    .isInstanceOf(InvalidArtifactException.class)
                    .hasMessageContaining("a text of 4194305 characters");
        }
    }
}
