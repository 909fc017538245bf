package io.safelora.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.contract.Json;
import io.safelora.lm.ChatTemplate.Message;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

class ChatTemplateTest {
    private static final List<Message> CHAT =
            List.of(new Message("user", "Hi"), new Message("assistant", "Yes."), new Message("user", "2+2?"));

    @TempDir
    Path dir;

    @Test
    void rendersTheFixturesAsTransformersDoes() throws IOException {
        Path model = Fixtures.model("llama");
        assertThat(ChatTemplate.load(model).render(CHAT, true))
                .isEqualTo(Fixtures.json(model.resolve("expected.json"))
                        .get("chat")
                        .asText());
    }

    @Test
    void rendersChatMlWithADefaultSystemTurnAndLineBreaksInItsStrings() throws IOException {
        String template = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
                + "{{ '<|im_start|>system\nBe brief.<|im_end|>\n' }}{% endif %}"
                + "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
                + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
        String user = "<|im_start|>user\nHi<|im_end|>\n";
        assertThat(render(template, List.of(new Message("user", "Hi")), true))
                .isEqualTo("<|im_start|>system\nBe brief.<|im_end|>\n" + user + "<|im_start|>assistant\n");
        assertThat(render(template, List.of(new Message("system", "S"), new Message("user", "Hi")), false))
                .isEqualTo("<|im_start|>system\nS<|im_end|>\n" + user);
    }

    @Test
    void trimsAndStripsBlocksAsTransformersDoes() throws IOException {
        String template = "{% for m in messages %}\n    {% if m.role == 'user' %}\nU: {{ m.content }}\n    {% else %}\n"
                + "A: {{ m.content }}\n    {% endif %}\n{% endfor %}\n{{- 'end' }}";
        assertThat(render(template, CHAT, false)).isEqualTo("U: Hi\nA: Yes.\nU: 2+2?\nend");
    }

    @Test
    void messagesAreDataEvenWhereTheyLookLikeTemplates() throws IOException {
        String template = "{% for m in messages %}{{ m['content'] }}{% endfor %}";
        String text = "{{ 1 + 1 }} {% raw %} -%} \n{%- x";
        assertThat(render(template, List.of(new Message("user", text)), false)).isEqualTo(text);
    }

    @Test
    void specialTokensComeFromTheTokenizerConfiguration() throws IOException {
        Files.writeString(
                dir.resolve("tokenizer_config.json"),
                Json.MAPPER.writeValueAsString(Map.of(
                        "bos_token",
                        Map.of("content", "<s>"),
                        "chat_template",
                        "{{ bos_token }}{{ messages[0].content }}")));
        assertThat(ChatTemplate.load(dir).render(CHAT, false)).isEqualTo("<s>Hi");
    }

    @Test
    @Timeout(60)
    void aTemplateThatRefusesFailsOrNeverEndsIsRefusedInOneLine() throws IOException {
        for (String template : List.of(
                "{{ raise_exception('only users talk') }}",
                "{% if %}",
                "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}{% for d in range(1000) %}"
                        + "x{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
                "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}{% for d in range(1000) %}"
                        + "{% endfor %}{% endfor %}{% endfor %}{% endfor %}")) {
            assertThatThrownBy(() -> render(template, CHAT, false))
                    .as(template)
                    .isInstanceOf(InvalidArtifactException.class)
                    .hasMessageContaining("chat template");
        }
        assertThatThrownBy(() -> render("{{ raise_exception('only users talk') }}", CHAT, false))
                .hasMessageContaining("only users talk");
        assertThat(ChatTemplate.load(Files.createDirectory(dir.resolve("none"))).isPresent())
                .isFalse();
    }

    private String render(String template, List<Message> messages, boolean addGenerationPrompt) throws IOException {
        Files.writeString(dir.resolve("chat_template.jinja"), template);
        return ChatTemplate.load(dir).render(messages, addGenerationPrompt);
    }
}
