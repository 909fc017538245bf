package io.safelora.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.contract.Json;
import io.safelora.contract.TrainingOptions;
import io.safelora.lm.CausalLm;
import io.safelora.training.TrainingData.Example;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Each format of rows: ids, labels and loss are those of transformers (src/test/resources/rows/make.py). */
class TrainingDataTest {
    private static final Path MODEL = OracleTest.FIXTURES.resolve("model");

    @TempDir
    Path dir;

    static Iterator<JsonNode> cases() throws IOException {
        return Json.MAPPER
                .readTree(Path.of("src/test/resources/rows/cases.json").toFile())
                .elements();
    }

    private Path model(String template, JsonNode postProcessor, int eosTokenId) throws IOException {
        Path model = Files.createDirectory(dir.resolve("model"));
        try (var files = Files.list(MODEL)) {
            for (Path file : files.toList()) {
                Files.copy(file, model.resolve(file.getFileName()));
            }
        }
        Files.writeString(model.resolve("chat_template.jinja"), template);
        Files.writeString(model.resolve("generation_config.json"), "{\"eos_token_id\": " + eosTokenId + "}");
        Path file = model.resolve("tokenizer.json");
        ObjectNode tokenizer = (ObjectNode) Json.MAPPER.readTree(file.toFile());
        if (postProcessor.isObject()) {
            tokenizer.set("post_processor", postProcessor);
        }
        Json.MAPPER.writeValue(file.toFile(), tokenizer);
        return model;
    }

    private static int[] ints(JsonNode list) {
        return Json.MAPPER.convertValue(list, int[].class);
    }

    @ParameterizedTest
    @MethodSource("cases")
    void idsLabelsAndLossAreThoseOfTransformers(JsonNode expected) throws IOException {
        Path model = model(
                expected.get("template").asText(),
                expected.get("post_processor"),
                expected.get("eos_token_id").asInt());
        Path rows = Files.writeString(dir.resolve("rows.jsonl"), expected.get("row") + "\n");
        TrainingOptions options = TestOptions.json(
                ((ObjectNode) expected.get("options")).put("max_steps", 1).toString());
        List<String> notes = new ArrayList<>();
        try (CausalLm lm = CausalLm.load(model, "cpu", "float32")) {
            Example example = TrainingData.read(rows, options.dataFormat(), options, lm.files(), notes, Long.MAX_VALUE)
                    .get(0);
            assertThat(example.ids()).isEqualTo(ints(expected.get("ids")));
            assertThat(example.labels()).isEqualTo(ints(expected.get("labels")));
        }
        double loss = FineTuning.run(
                        TestOptions.of(model, rows, options, null, "float32"), dir.resolve("out"), progress -> {})
                .last()
                .loss();
        assertThat(loss).isCloseTo(expected.get("loss").asDouble(), within(1e-4));
        String name = expected.get("name").asText();
        List<String> doubts = notes.subList(1, notes.size());
        if (name.contains("model's end token") || name.contains("not of the model")) {
            assertThat(doubts)
                    .containsExactly(
                            "rows.jsonl, line 1: rows end with <|im_end|> (2), at which generation does not stop;"
                                    + " add it to eos_token_id in generation_config.json");
        } else if (name.startsWith("a thought")) {
            assertThat(doubts)
                    .singleElement()
                    .asString()
                    .startsWith("rows.jsonl, line 1: the chat template ends a prompt with \"<think>\\n\"");
        } else {
            assertThat(doubts).isEmpty();
        }
    }

    private static final String CHAT = "\"apply_chat_template\": true";

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{'prompt': 'p', 'completion': 'c'} | 'data_format': 'question_answer' | line 1: data_format"
                        + " question_answer needs 'question' and 'answer', but the row has 'prompt',"
                        + " 'completion'; data_format prompt_completion fits it",
                "{'conversations': []} | 'data_format': 'messages' | line 1: data_format messages needs"
                        + " 'messages', but the row has 'conversations'; data_format sharegpt fits it",
                "{'instruction': 'i', 'output': 'o'} | 'data_format': 'text' | data_format alpaca fits it",
                "{'goal': 'g'} | | has 'goal', which fits no data_format; data_format is one of auto, question_answer",
                "{'goal': 'g'} | 'data_format': 'text' | line 1: data_format text needs 'text', but the row has"
                        + " 'goal'; data_format is one of",
                "{'question': 1, 'answer': 'a'} | | line 1: 'question' must be text, not a number",
                "{'messages': [{'role': 'user', 'content': 'u'}, {'role': 'assistant', 'content': 'a'}]} | |"
                        + " holds a conversation; set training.apply_chat_template",
                "{'messages': [{'role': 'user', 'content': 'u'}]} | CHAT | must end with a message of the assistant",
                "{'messages': ['x']} | CHAT | message 1: must be an object, not a text",
                "{'messages': [{'content': 'u'}]} | CHAT | message 1: role must be text, not nothing",
                "{'messages': [{'role': 'user'}, {'role': 'assistant', 'content': 'a'}]} | CHAT | message 1:"
                        + " content must be text or a list of text parts, not nothing",
                "{'messages': [{'role': 'user', 'content': [{'type': 'image'}]}, {'role': 'assistant',"
                        + " 'content': 'a'}]} | CHAT | message 1: content has a part of type 'image'; only text"
                        + " is trained",
                "{'messages': [{'role': 'user', 'content': 'u', 'weight': 1}, {'role': 'assistant', 'content':"
                        + " 'a'}]} | CHAT | only messages of the assistant have weight 1",
                "{'messages': [{'role': 'user', 'content': 'u'}, {'role': 'assistant', 'content': 'a', 'weight':"
                        + " 0.5}]} | CHAT | the weight of a message must be 0 or 1, not 0.5",
                "{'messages': [{'role': 'user', 'content': 'u'}, {'role': 'assistant', 'content': 'a'}],"
                        + " 'tools': [{'name': 'count'}]} | CHAT | tools: the chat template does not write 'count'",
                "{'messages': [{'role': 'user', 'content': 'u'}, {'role': 'assistant', 'content': 'a',"
                        + " 'tool_calls': [{'function': {'name': 'count'}}]}]} | CHAT | tool_calls of message 2:"
                        + " the chat template does not write 'count'",
                "{'messages': [{'role': 'user', 'content': 'u'}, {'role': 'assistant', 'content': 'a'}],"
                        + " 'tools': 'x'} | CHAT | 'tools' is not JSON",
                "{'prompt': [], 'completion': 'c'} | CHAT | must be two texts, or two lists of messages",
                "{'instruction': 'i', 'output': 'o', 'history': [['a', 'b']]} | | 'history' is not part of"
                        + " data_format alpaca",
                "{'messages': [{'role': 'user', 'content': 'u'}, {'role': 'assistant', 'content': 'a'}]} | CHAT,"
                        + " 'assistant_only_loss': true | training.assistant_only_loss: the model's chat"
                        + " template does not mark",
            })
    void rowsThatDoNotFitAreNamed(String row, String options, String message) throws IOException {
        Path rows = Files.writeString(dir.resolve("rows.jsonl"), row.replace('\'', '"') + "\n");
        String json = options == null ? "" : options.replace("CHAT", CHAT).replace('\'', '"');
        assertThatThrownBy(() -> read(MODEL, rows, "{" + json + "}"))
                .isInstanceOf(InvalidArtifactException.class)
                .message()
                .contains(
                        message.replace("model's", "model~s").replace('\'', '"').replace('~', '\''))
                .doesNotContain("\n");
    }

    private static List<String> read(Path model, Path rows, String json) throws IOException {
        List<String> notes = new ArrayList<>();
        TrainingOptions options = TestOptions.json(json);
        try (CausalLm lm = CausalLm.load(model, "cpu", "float32")) {
            TrainingData.read(rows, options.dataFormat(), options, lm.files(), notes, Long.MAX_VALUE);
        }
        return notes;
    }

    @Test
    void historyThatTheTemplateRewritesIsRefusedByLine() throws IOException {
        // The last message is written otherwise than one that others follow.
        Path model = model(
                "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content if loop.last else m.content[:1]"
                        + " }}<|im_end|>\n"
                        + "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
                Json.MAPPER.nullNode(), 2);
        Path rows = Files.writeString(
                dir.resolve("rows.jsonl"),
                "\n{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}, {\"role\": \"assistant\","
                        + " \"content\": \"a\"}]}\n");
        assertThatThrownBy(() -> read(model, rows, "{" + CHAT + "}"))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageStartingWith("rows.jsonl, line 2: the chat template writes the messages before the answer");
    }

    @Test
    void answersThatTheTemplateCutsAreSaidByLine() throws IOException {
        Path model = model(
                "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content.split('</think>')[-1] }}<|im_end|>\n"
                        + "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
                Json.MAPPER.nullNode(), 2);
        String row = "{\"messages\": [{\"role\": \"user\", \"content\": \"u\"}, {\"role\": \"assistant\","
                + " \"content\": \"%sa\"}]}\n";
        Path rows = Files.writeString(
                dir.resolve("rows.jsonl"),
                row.formatted("") + row.formatted("<think>t</think>") + row.formatted("<think></think>"));
        assertThat(read(model, rows, "{" + CHAT + "}"))
                .containsExactly(
                        "data_format messages, detected from rows.jsonl, line 1",
                        "rows.jsonl, line 2 and 1 more rows: the chat template leaves out or alters part of the"
                                + " answer; the"
                                + " loss is on what it writes");
    }

    @Test
    void aTextTooLongForTheTokenizerIsNamed() throws IOException {
        Path rows = Files.writeString(
                dir.resolve("rows.jsonl"), "{\"question\": \"" + "x".repeat(5 << 20) + "\", \"answer\": \"a\"}\n");
        assertThatThrownBy(() -> read(MODEL, rows, "{}"))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessage("rows.jsonl, line 1: a text of 5242898 characters; at most 4194304 are tokenized;"
                        + " shorten or split it");
    }

    @Test
    void csvIsTheSameRows() throws IOException {
        Path rows = Files.writeString(dir.resolve("rows.csv"), ",question,answer\n0,\"q, 1\",a\n");
        assertThat(read(MODEL, rows, "{}"))
                .containsExactly("data_format question_answer, detected from rows.csv, line 2");
    }

    @Test
    void theExampleRowsOfTheDocumentationAreWhatTheySay() throws IOException {
        Matcher examples = Pattern.compile("(?m)^\\| `(\\w+)` \\| `(\\{.*?})` \\|")
                .matcher(Files.readString(Path.of("../../docs/job.md")));
        Set<String> formats = new TreeSet<>();
        while (examples.find()) {
            formats.add(examples.group(1));
            Path rows = Files.writeString(dir.resolve("rows.jsonl"), examples.group(2));
            assertThat(read(MODEL, rows, "{" + CHAT + "}"))
                    .containsExactly("data_format " + examples.group(1) + ", detected from rows.jsonl, line 1");
        }
        assertThat(formats)
                .containsExactly("alpaca", "messages", "prompt_completion", "question_answer", "sharegpt", "text");
    }
}
