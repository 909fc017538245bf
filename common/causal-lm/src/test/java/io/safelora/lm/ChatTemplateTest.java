package io.safelora.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.contract.Json;
import io.safelora.lm.ChatTemplate.Conversation;
import io.safelora.lm.ChatTemplate.Message;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
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
    void specialTokensComeFromTheTokenizersFiles() throws IOException {
        String template = "{{ bos_token }}{{ eos_token }}{{ sep_token }}{{ image_token }}{{ messages[0].content }}";
        Files.writeString(dir.resolve("chat_template.jinja"), template);
        Files.writeString(
                dir.resolve("tokenizer_config.json"),
                "{\"bos_token\": {\"content\": \"<s>\"}, \"sep_token\": null, \"image_token\": \"<i>\","
                        + " \"add_bos_token\": true}");
        Files.writeString(
                dir.resolve("special_tokens_map.json"),
                "{\"bos_token\": \"<b>\", \"eos_token\": {\"content\": \"</s>\"}}");
        assertThat(ChatTemplate.load(dir).render(CHAT, false)).isEqualTo("<b></s><i>Hi");
        // With the newer tokenizer_config.json, transformers does not look at the older file.
        Files.writeString(
                dir.resolve("tokenizer_config.json"), "{\"bos_token\": \"<s>\", \"added_tokens_decoder\": {}}");
        assertThat(ChatTemplate.load(dir).render(CHAT, false)).isEqualTo("<s>Hi");
    }

    @Test
    @Timeout(60)
    void aTemplateThatRefusesFailsOrNeverEndsIsRefusedInOneLine() throws IOException {
        for (String template : List.of(
                "{{ raise_exception('only users talk') }}",
                "{% if %}",
                "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}{% for d in"
                        + " range(1000) %}"
                        + "x{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
                "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}{% for d in"
                        + " range(1000) %}"
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

    /** Every key of a message, the tools and further variables reach the template, as in transformers. */
    @Test
    void aConversationReachesTheTemplateWhole() throws IOException {
        Files.writeString(
                dir.resolve("chat_template.jinja"),
                "{% for m in messages %}{{ m }}{% endfor %}{{ tools }}{{ enable_thinking }}{{ bos_token }}{{"
                        + " documents }}");
        assertThat(ChatTemplate.load(dir).render(conversation("""
                        {"messages": [{"role": "assistant", "content": null, "tool_calls": [{"name": "f"}], "weight": \
                        0.5}],
                         "tools": [{"n": 18446744073709551616}],
                         "kwargs": {"enable_thinking": false, "bos_token": "mine"}}"""), false))
                .isEqualTo("{'role': 'assistant', 'content': None, 'tool_calls': [{'name': 'f'}], 'weight': 0.5}"
                        + "[{'n': 18446744073709551616}]FalsemineNone");
    }

    @Test
    void aConversationWithToolsGetsTheTemplateForThem() throws IOException {
        Files.writeString(dir.resolve("tokenizer_config.json"), """
                {"chat_template": [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"},
                                   {"name": "rag", "template": "rag"}]}""");
        Conversation tools = conversation("{'messages': [{'role': 'user', 'content': 'x'}], 'tools': []}");
        assertThat(ChatTemplate.load(dir).render(CHAT, false)).isEqualTo("plain");
        assertThat(ChatTemplate.load(dir).render(tools, false)).isEqualTo("tools");
        // transformers 5 writes files, which come before tokenizer_config.json.
        Files.writeString(dir.resolve("chat_template.jinja"), "file");
        assertThat(ChatTemplate.load(dir).render(tools, false)).isEqualTo("file");
        Path more = Files.createDirectory(dir.resolve("additional_chat_templates"));
        Files.writeString(more.resolve("tool_use.jinja"), "file for tools");
        assertThat(ChatTemplate.load(dir).render(tools, false)).isEqualTo("file for tools");
        assertThat(ChatTemplate.load(dir).render(CHAT, false)).isEqualTo("file");
        Files.delete(dir.resolve("chat_template.jinja"));
        assertThatThrownBy(() -> ChatTemplate.load(dir).render(CHAT, false))
                .hasMessageContaining("[tool_use]")
                .hasMessageContaining("no default");
    }

    @Test
    void generationGivesThePlacesOfTheAssistantsWords() throws IOException {
        String marking = "{% for m in messages %}{% if m.role == 'assistant' %}"
                + "{%- generation -%} {{ m.content }} {%- endgeneration -%}{% else %}😀{% endif %}{% endfor %}";
        Files.writeString(dir.resolve("chat_template.jinja"), marking);
        ChatTemplate template = ChatTemplate.load(dir);
        ChatTemplate.Rendering rendering = template.rendering(Conversation.of(CHAT), false);
        assertThat(rendering.text()).isEqualTo("😀Yes.😀");
        assertThat(rendering.generated()).containsExactly(new ChatTemplate.Span(2, 6));
        assertThat(template.marksGeneration()).isTrue();

        Files.writeString(
                dir.resolve("chat_template.jinja"),
                "{% macro f() %}{% generation %}x{% endgeneration %}{% endmacro %}a{{ f() }}");
        ChatTemplate inMacro = ChatTemplate.load(dir);
        assertThat(inMacro.render(CHAT, false)).isEqualTo("ax");
        assertThatThrownBy(() -> inMacro.rendering(Conversation.of(CHAT), false))
                .hasMessageContaining("generation")
                .hasMessageContaining("macro");

        Files.writeString(dir.resolve("chat_template.jinja"), "{% if true %}a{% endif %}");
        assertThat(ChatTemplate.load(dir).marksGeneration()).isFalse();
    }

    @Test
    void lineBreaksOfAnySystemAreOne() throws IOException {
        String template = "{% for m in messages %}\r\n{{ m.content }}\r\n{% endfor %}\rend\r\n";
        assertThat(render(template, CHAT, false)).isEqualTo("Hi\nYes.\n2+2?\nend");
    }

    /** A clock that lets a rendering take longer than any machine should: only work is bounded, not time. */
    @Test
    void aSlowMachineFailsNoTemplate() throws IOException {
        Clock slow = new Clock() {
            @Override
            public Instant instant() {
                try {
                    Thread.sleep(1500);
                } catch (InterruptedException e) {
                    throw new AssertionError(e);
                }
                return Instant.parse("2024-07-05T16:03:09.25Z");
            }

            @Override
            public ZoneId getZone() {
                return ZoneOffset.UTC;
            }

            @Override
            public Clock withZone(ZoneId zone) {
                return this;
            }
        };
        // The format's fields by Python: datetime(2024, 7, 5, 16, 3, 9, 250000).strftime(...)
        Files.writeString(
                dir.resolve("chat_template.jinja"),
                "{{ strftime_now('%d %b %Y') }}|{{ strftime_now('%Y-%m-%d %H:%M:%S.%f %A %a %B %j %y %I%p %-d %e"
                        + " %c %x %%') }}");
        assertThat(ChatTemplate.load(dir)
                        .output(Conversation.of(CHAT), false, slow)
                        .text())
                .isEqualTo("05 Jul 2024|2024-07-05 16:03:09.250000 Friday Fri July 187 24 04PM 5  5 Fri Jul  5"
                        + " 16:03:09 2024"
                        + " 07/05/24 %");
    }

    @Test
    void aLongConversationRenders() throws IOException {
        String template = "{%- for m in messages %}{% set c = m.content | trim %}{% if '</think>' in c %}"
                + "{% set c = c.split('</think>')[-1].lstrip('\\n') %}{% endif %}"
                + "{{ '<' + m.role + '>' + c }}{% for n in messages[loop.index0:] if n.role == 'tool' %}x{%"
                + " endfor %}{% endfor %}";
        List<Message> chat = new ArrayList<>();
        for (int i = 0; i < 1000; i++) {
            chat.add(new Message("user", "x".repeat(1000)));
        }
        assertThat(render(template, chat, false)).hasSize(1000 * 1006);
    }

    @Test
    void aConversationWithoutMessagesIsRefused() throws IOException {
        Files.writeString(dir.resolve("chat_template.jinja"), "x");
        assertThatThrownBy(() -> ChatTemplate.load(dir).render(List.of(), false))
                .hasMessageContaining("without messages");
    }

    @Test
    void aLoopsConditionIsOutsideOfBracketsAndStrings() throws IOException {
        String loop = "{% for m in (messages if add_generation_prompt else []) if m.content != 'Hi if you can' %}{{"
                + " m.role }} {% endfor %}";
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
        assertThat(render("{{ " + expression + " }}", CHAT, false)).isEqualTo(expected);
    }

    private static final String NAMESPACE = "{% set ns = namespace(a=['x'], b=['x']) %}";

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
                arguments("a method of its own", "{{ ''.__class__.__mro__ }}"),
                arguments("lists in lists", "{{ " + "[".repeat(90_000) + "]".repeat(90_000) + " }}"),
                arguments(
                        "values in values",
                        NAMESPACE + "{% for i in range(30000) %}{% set ns.a = [ns.a] %}{% endfor %}{{ ns.a }}"),
                arguments(
                        "values in values compared",
                        NAMESPACE
                                + "{% for i in range(30000) %}{% set ns.a = {'a': ns.a} %}{% set ns.b = {'a': ns.b} %}"
                                + "{% endfor %}{{ ns.a == ns.b }}"),
                arguments(
                        "two to the 300 values",
                        NAMESPACE
                                + "{% for i in range(300) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}"
                                + "{% endfor %}{{ ns.a == ns.b }}{{ ns.a | tojson }}"),
                arguments(
                        "generators of generators",
                        NAMESPACE
                                + "{% for i in range(30000) %}{% set ns.a = ns.a | map('upper') %}{% endfor %}{{"
                                + " ns.a | list }}"),
                arguments("a namespace that holds itself", NAMESPACE + "{% set ns.a = ns %}{{ ns }}"),
                arguments(
                        "a macro deep in itself",
                        "{% macro f(x) %}{% if true %}{% for i in [1] %}{{ ((((f(x ~ 'a') | trim) | upper) |"
                                + " list) | join) }}"
                                + "{% endfor %}{% endif %}{% endmacro %}{{ f('') }}"),
                arguments("a sum of ninety thousand", "{{ 1" + "+1".repeat(90_000) + " }}"),
                arguments(
                        "that sum ever again",
                        "{% for i in range(100000) %}{% set x = 1" + "+1".repeat(80_000) + " %}{% endfor %}"),
                arguments(
                        "a search that compares each with each",
                        "{% set s = 'a' * 1000000 %}{% set t = 'a' * 500000 ~ 'b' %}{{ t in s }}{{ s.strip(t) |"
                                + " length }}"),
                arguments(
                        "many long texts at once",
                        NAMESPACE
                                + "{% for i in range(100000) %}{% set ns.a = [ns.a, ('\u0101' * 900000) ~ i]"
                                + " %}{% endfor %}"),
                arguments(
                        "many small values at once",
                        NAMESPACE + "{% for i in range(100000) %}{% for j in range(1000) %}{% set ns.a = {'a': ns.a} %}"
                                + "{% endfor %}{% endfor %}"),
                arguments("a wide number", "{{ '%999d' % 1 * 5000 }}{{ '%9999d' % 1 }}{{ 'x'.zfill(9000000) }}"),
                arguments("a wide indent", "{{ [[1]] | tojson(indent=3999999) }}"),
                arguments("a huge source", " ".repeat(300_000) + "{{ 1 }}"),
                arguments("blanks that are looked at again and again", " ".repeat(190_000) + "{% if %}"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("hostileTemplates")
    @Timeout(30)
    void aHostileTemplateEndsSoonAndSaysLittle(String name, String template) throws InterruptedException {
        List<Throwable> thrown = new ArrayList<>();
        // Half of the stack that a thread usually has.
        Thread thread = new Thread(null, () -> endsSoonAndSaysLittle(template), name, 512 * 1024);
        thread.setUncaughtExceptionHandler((t, e) -> thrown.add(e));
        thread.start();
        thread.join();
        assertThat(thrown).isEmpty();
    }

    private void endsSoonAndSaysLittle(String template) {
        try {
            // Some do no harm: what Java offers is nothing to a template.
            assertThat(render(template, CHAT, false)).hasSizeLessThan(1000);
        } catch (Exception e) {
            assertThat(e).isInstanceOf(InvalidArtifactException.class);
            assertThat(e.getMessage().lines()).hasSize(1);
            assertThat(e.getMessage()).contains("chat template").hasSizeLessThan(500);
        }
    }

    /** A conversation in JSON, for once with single quotes. */
    private static Conversation conversation(String json) throws IOException {
        JsonNode node = Json.MAPPER.readTree(json.replace('\'', '"'));
        List<ObjectNode> messages = new ArrayList<>();
        node.get("messages").forEach(m -> messages.add((ObjectNode) m));
        return new Conversation(messages, (ArrayNode) node.get("tools"), (ObjectNode) node.get("kwargs"));
    }

    private String render(String template, List<Message> messages, boolean addGenerationPrompt) throws IOException {
        Files.writeString(dir.resolve("chat_template.jinja"), template);
        return ChatTemplate.load(dir).render(messages, addGenerationPrompt);
    }
}
