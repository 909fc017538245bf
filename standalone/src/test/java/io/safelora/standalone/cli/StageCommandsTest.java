package io.safelora.standalone.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.contract.Json;
import io.safelora.lm.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The commands for single stages as a script sees them: exit status, stdout, stderr. */
class StageCommandsTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");
    private static final String PROMPT = "Tom has 3 pens and buys 4. How many?";

    @TempDir
    Path dir;

    @Test
    void generateRendersThePromptByTheModelsChatTemplate() throws IOException {
        Path model = copy(DEMO.resolve("aligned"), "model");
        Files.writeString(
                model.resolve("chat_template.jinja"),
                "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if "
                        + "add_generation_prompt %}<assistant>{% endif %}");
        assertThat(promptText(model)).isEqualTo(PROMPT);
        assertThat(promptText(model, "--apply-chat-template")).isEqualTo("<user>" + PROMPT + "<assistant>");
        assertThat(promptText(model, "--apply-chat-template", "--system", "Be brief."))
                .isEqualTo("<system>Be brief.<user>" + PROMPT + "<assistant>");
    }

    @Test
    void aSystemTurnNeedsATemplateThatTakesIt() {
        Ran without = Ran.of("generate", "--model", "none", "--prompt", PROMPT, "--system", "Be brief.");
        assertThat(without.exit()).isEqualTo(2);
        assertThat(without.out()).isEmpty();
        assertThat(without.err().lines())
                .singleElement()
                .asString()
                .contains("--system needs --apply-chat-template", "safelora generate --help");
        // The demo's template refuses system turns.
        Ran refused = Ran.of(
                "generate",
                "--model",
                DEMO.resolve("aligned").toString(),
                "--device",
                "cpu",
                "--prompt",
                PROMPT,
                "--apply-chat-template",
                "--system",
                "Be brief.");
        assertThat(refused.exit()).isEqualTo(1);
        assertThat(refused.out()).isEmpty();
        assertThat(refused.err().lines())
                .last()
                .asString()
                .contains("safelora generate: ", "only user and assistant messages are supported");
    }

    @Test
    void analyzeAndProjectWarnOfABaseThatIsNoAncestor() throws IOException {
        Path base = copy(DEMO.resolve("base"), "base");
        ObjectNode config =
                (ObjectNode) Json.MAPPER.readTree(base.resolve("config.json").toFile());
        Files.write(base.resolve("config.json"), Json.pretty(config.put("model_type", "mistral")));
        String aligned = DEMO.resolve("aligned").toString();
        Path json = dir.resolve("alignment.json");
        Ran analyzed = Ran.of("analyze", "--base", base.toString(), "--aligned", aligned, "--out", json.toString());
        assertThat(analyzed.exit()).isZero();
        String warning = Json.MAPPER.readTree(json.toFile()).get("warning").asText();
        assertThat(warning).contains("model_type is \"mistral\" in base and \"llama\" in aligned");
        assertThat(analyzed.err()).contains("warning: " + warning);

        Ran projected = Ran.of(
                "project",
                "--base",
                base.toString(),
                "--aligned",
                aligned,
                "--fine-tuned",
                DEMO.resolve("base").toString(),
                "--out",
                dir.resolve("out").toString());
        assertThat(projected.exit()).isZero();
        assertThat(projected.err()).contains("warning: " + warning);

        Ran own = Ran.of(
                "analyze", "--base", DEMO.resolve("base").toString(), "--aligned", aligned, "--out", json.toString());
        assertThat(own.err()).doesNotContain("warning");
        assertThat(Json.MAPPER.readTree(json.toFile()).has("warning")).isFalse();
    }

    /** The text of the prompt's tokens. */
    private String promptText(Path model, String... options) throws IOException {
        String[] always = {
            "generate",
            "--model",
            model.toString(),
            "--device",
            "cpu",
            "--prompt",
            PROMPT,
            "--max-new-tokens",
            "2",
            "--json"
        };
        Ran ran = Ran.of(Stream.concat(Stream.of(always), Stream.of(options)).toArray(String[]::new));
        assertThat(ran.exit()).as(ran.err()).isZero();
        JsonNode result = Json.MAPPER.readTree(ran.out());
        assertThat(result.get("ids")).isNotEmpty();
        int[] prompt = Json.MAPPER.convertValue(result.get("prompt_ids"), int[].class);
        try (Tokenizer tokenizer = Tokenizer.load(model)) {
            return tokenizer.decode(prompt, false);
        }
    }

    private Path copy(Path from, String name) throws IOException {
        Path to = Files.createDirectories(dir.resolve(name));
        try (Stream<Path> files = Files.list(from)) {
            for (Path file : files.toList()) {
                Files.copy(file, to.resolve(file.getFileName()));
            }
        }
        return to;
    }
}
