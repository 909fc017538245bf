package io.safelora.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.contract.Json;
import io.safelora.lm.ChatTemplate.Message;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

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

    /** cases.json was written by jinja2's sandbox itself: make_cases.py beside it. */
    @Test
    void rendersWhatModelsTemplatesUse() throws IOException {
        JsonNode templates = Json.MAPPER.readTree(ChatTemplateTest.class.getResource("/chat-templates/cases.json"));
        for (JsonNode template : templates) {
            Files.writeString(dir.resolve("tokenizer_config.json"), template.toString());
            for (JsonNode chat : template.get("cases")) {
                List<Message> messages = new ArrayList<>();
                chat.get("messages")
                        .forEach(m -> messages.add(new Message(
                                m.get("role").asText(), m.get("content").asText())));
                boolean prompt = chat.get("add_generation_prompt").asBoolean();
                if (chat.has("error")) {
                    assertThatThrownBy(() -> ChatTemplate.load(dir).render(messages, prompt))
                            .isInstanceOf(InvalidArtifactException.class)
                            .hasMessageContaining(chat.get("error").asText());
                } else {
                    assertThat(ChatTemplate.load(dir).render(messages, prompt))
                            .as(template.get("name").asText())
                            .isEqualTo(chat.get("expected").asText());
                }
            }
        }
    }

    @Test
    void aLoopsConditionIsOutsideOfBracketsAndStrings() throws IOException {
        String loop =
                "{% for m in (messages if add_generation_prompt else []) if m.content != 'Hi if you can' %}{{ m.role }} {% endfor %}";
        assertThat(render(loop, CHAT, true)).isEqualTo("user assistant user ");
        assertThat(render(loop, CHAT, false)).isEmpty();
    }

    /** An expression, and what jinja2.sandbox.ImmutableSandboxedEnvironment, which transformers uses, makes of it. */
    static Stream<Arguments> pythonMethods() {
        return Stream.of(
                arguments("'  a b '.strip() ~ '|'", "a b|"),
                arguments("'xxaxx'.strip('x')", "a"),
                arguments("'\\n\\na\\n'.lstrip('\\n') ~ '|'", "a\n|"),
                arguments("'\\n\\na\\n'.rstrip('\\n') ~ '|'", "\n\na|"),
                arguments("'a</think>b</think>c'.split('</think>')[-1]", "c"),
                arguments("'a.b.c'.split('.')[1]", "b"),
                arguments("'a.b.c'.split('.', 1)[1]", "b.c"),
                arguments("' a  b c '.split()|length", "3"),
                arguments("' a  b c '.split(none, 1)[1] ~ '|'", "b c |"),
                arguments("'abc'.startswith('ab')", "True"),
                arguments("'abc'.endswith(('x', 'bc'))", "True"),
                arguments("'a|b|c'.replace('|', '.')", "a.b.c"),
                arguments("'abc'.removeprefix('a') ~ 'abc'.removesuffix('c')", "bcab"),
                arguments(
                        "'hello wORLD'.title() ~ 'hELLO w'.capitalize() ~ 'aB'.upper() ~ 'aB'.lower()",
                        "Hello WorldHello wABab"),
                arguments("', '.join(['a', 'b'])", "a, b"),
                arguments("'abcabc'.find('c') ~ '' ~ 'abcabc'.rfind('c') ~ '' ~ 'abcabc'.find('x')", "25-1"),
                arguments("'abcabc'.count('bc')", "2"),
                arguments("'12'.isdigit() and 'ab'.isalpha() and ' '.isspace() and not ''.isdigit()", "True"),
                arguments("'AB'.isupper() and 'ab'.islower() and not '1'.isupper()", "True"),
                arguments("{'a': 1, 'b': 2}.items()|list|length", "2"),
                arguments("{'a': 1}.get('b', 3)", "3"),
                arguments("'<think>' in 'x<think>y'", "True"),
                arguments("'a\\nb'.splitlines()[1]", "b"),
                arguments("'é'.upper()", "É"),
                arguments("'abc'[1:]", "bc"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("pythonMethods")
    void methodsArePythons(String expression, String expected) throws IOException {
        // transformers prints Python's True.
        assertThat(render("{{ " + expression + " }}", CHAT, false)).isEqualToIgnoringCase(expected);
    }

    /** What a stranger could write. */
    static Stream<Arguments> hostileTemplates() {
        StringBuilder doubling = new StringBuilder("{% macro m0() %}x{% endmacro %}");
        for (int i = 1; i < 60; i++) {
            doubling.append("{% macro m")
                    .append(i)
                    .append("() %}{% set a = m")
                    .append(i - 1)
                    .append("() %}{% set a = m")
                    .append(i - 1)
                    .append("() %}{% endmacro %}");
        }
        return Stream.of(
                arguments("macros that call each other", doubling + "{{ m59() }}"),
                arguments("a macro that calls itself", "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}"),
                arguments("a long string", "{{ 'x' * 2000000000 }}"),
                arguments(
                        "a string that doubles",
                        "{% set s = 'xxxxxxxxxx' %}" + "{% set s = s ~ s %}".repeat(40) + "{{ s }}"),
                arguments("a list that doubles", "{% set s = ['x'] %}" + "{% set s = [s, s] %}".repeat(60) + "{{ s }}"),
                arguments("a list that holds itself", "{% set s = [] %}{% set _ = s.append(s) %}{{ s }}"),
                arguments(
                        "a list that grows",
                        "{% set s = [] %}{% for i in range(1000) %}{% for j in range(1000) %}"
                                + "{% set _ = s.append('xxxxxxxxxxxxxxxxxxxxxxxx') %}{% endfor %}{% endfor %}{{ s }}"),
                arguments("deep blocks", "{% if true %}".repeat(10_000) + "x" + "{% endif %}".repeat(10_000)),
                arguments("deep parentheses", "{{ " + "(".repeat(50_000) + "1" + ")".repeat(50_000) + " }}"),
                arguments("Java's methods", "{{ 'x'.repeat(2000000000) }}"),
                arguments(
                        "Java's regular expressions",
                        "{{ ('a' * 60).matches('(a+)+b') }}{{ ('a' * 60).split('(a+)+b') }}"),
                arguments("Jinja's regular expressions", "{{ ('a' * 60) | regex_replace('(a+)+b', '') }}"),
                arguments("Java's format", "{{ '%2000000000d'.formatted(1) }}{{ '%2000000000d' | format(1) }}"),
                arguments("one text over and over", "{% set s = 'x' * 900000 %}{{ s.replace('x', s) }}"),
                arguments("half a million words", "{{ ('a ' * 490000).split() | length }}"),
                arguments("Java's formats", "{{ '%2000000000d' | format(1) }}"),
                arguments("a wide text", "{{ 'x' | center(2000000000) }}"),
                arguments("many digits", "{{ 1.5 | round(2000000000) }}"),
                arguments("Java's classes", "{{ ''.class.forName('java.lang.Runtime').getRuntime().exec('true') }}"),
                arguments("the class path", "{% include 'io/safelora/lm/families.json' %}"),
                arguments("a file", "{% from '/etc/passwd' import x %}{{ x }}"),
                arguments("a huge source", " ".repeat(300_000) + "{{ 1 }}"),
                arguments("blanks that are looked at again and again", " ".repeat(190_000) + "{% if %}"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("hostileTemplates")
    @Timeout(30)
    void aHostileTemplateEndsSoonAndSaysLittle(String name, String template) throws InterruptedException {
        try {
            // Some do no harm: what Java offers is nothing to a template.
            assertThat(render(template, CHAT, false)).hasSizeLessThan(1000);
        } catch (Exception e) {
            assertThat(e).isInstanceOf(InvalidArtifactException.class);
            assertThat(e.getMessage().lines()).hasSize(1);
            assertThat(e.getMessage()).contains("chat template").hasSizeLessThan(500);
        }
        // No thread is left that computes on.
        for (Thread thread : Thread.getAllStackTraces().keySet()) {
            if (thread.getName().equals("chat-template")) {
                thread.join(1000);
                assertThat(thread.isAlive()).isFalse();
            }
        }
    }

    private String render(String template, List<Message> messages, boolean addGenerationPrompt) throws IOException {
        Files.writeString(dir.resolve("chat_template.jinja"), template);
        return ChatTemplate.load(dir).render(messages, addGenerationPrompt);
    }
}
