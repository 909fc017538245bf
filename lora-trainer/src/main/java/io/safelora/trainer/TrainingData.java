package io.safelora.trainer;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectReader;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.contract.Json;
import io.safelora.contract.TrainingOptions;
import io.safelora.lm.CausalLm;
import io.safelora.lm.ChatTemplate.Message;
import io.safelora.lm.Tokenizer;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Training rows as token ids. A row is a prompt and a completion that ends with the end token; the loss is on the completion. */
final class TrainingData {
    /** The label of a token that the loss does not look at, as in PyTorch. */
    static final int IGNORE = -100;

    /**
     * One row.
     *
     * @param ids prompt and completion, cut to max_length
     * @param labels ids where the loss looks, {@link #IGNORE} elsewhere
     */
    record Example(int[] ids, int[] labels) {
        /** How many tokens the loss looks at: the first is never predicted. */
        int labelled() {
            return (int) Arrays.stream(labels)
                    .skip(1)
                    .filter(label -> label != IGNORE)
                    .count();
        }
    }

    private static final ObjectReader ROW = Json.MAPPER.reader().with(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    private record Texts(String prompt, String completion) {}

    private TrainingData() {}

    /**
     * Reads a JSON Lines file.
     *
     * @throws InvalidArtifactException if a line is no row of the format; the message names the line
     */
    static List<Example> read(Path file, TrainingOptions options, CausalLm model) throws IOException {
        List<Example> examples = new ArrayList<>();
        try (BufferedReader lines = Files.newBufferedReader(file)) {
            int number = 0;
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                number++;
                if (!line.isBlank()) {
                    String where = file.getFileName() + ", line " + number;
                    examples.add(encode(texts(parse(line, where), options, model, where), options, model.tokenizer()));
                }
            }
        } catch (NoSuchFileException e) {
            throw new InvalidArtifactException(file + ": there is no such file; give a JSON Lines file", e);
        } catch (CharacterCodingException e) {
            throw new InvalidArtifactException(file.getFileName() + ": is not UTF-8 text", e);
        }
        if (examples.stream().noneMatch(e -> e.labelled() > 0)) {
            throw new InvalidArtifactException(file.getFileName() + ": "
                    + (examples.isEmpty()
                            ? "has no rows"
                            : "no row has an answer within max_length " + options.maxLength() + "; raise max_length"));
        }
        return examples;
    }

    private static JsonNode parse(String line, String where) {
        try {
            return ROW.readTree(line);
        } catch (JsonProcessingException e) {
            throw new InvalidArtifactException(
                    where + ": is no JSON: "
                            + e.getOriginalMessage().lines().findFirst().orElse(""),
                    e);
        }
    }

    private static Texts texts(JsonNode row, TrainingOptions options, CausalLm model, String where) {
        boolean chat = options.applyChatTemplate();
        return switch (options.dataFormat()) {
            case question_answer -> {
                String question = text(row, "question", where).strip();
                String answer = text(row, "answer", where).strip();
                yield chat
                        ? new Texts(model.chatTemplate().render(List.of(new Message("user", question)), true), answer)
                        : new Texts("Question: " + question + "\nAnswer:", " " + answer);
            }
            case prompt_completion -> {
                String prompt = text(row, "prompt", where);
                String completion = text(row, "completion", where);
                yield chat
                        ? new Texts(model.chatTemplate().render(List.of(new Message("user", prompt)), true), completion)
                        : new Texts(prompt, completion);
            }
            case messages -> {
                List<Message> messages = new ArrayList<>();
                for (JsonNode message : row.path("messages")) {
                    messages.add(new Message(text(message, "role", where), text(message, "content", where)));
                }
                if (!chat) {
                    throw new InvalidArtifactException(
                            "training.apply_chat_template: must be true for data_format messages");
                }
                if (messages.isEmpty()
                        || !messages.get(messages.size() - 1).role().equals("assistant")) {
                    throw new InvalidArtifactException(where + ": messages must end with one of role assistant");
                }
                yield new Texts(
                        model.chatTemplate().render(messages.subList(0, messages.size() - 1), true),
                        messages.get(messages.size() - 1).content());
            }
        };
    }

    private static String text(JsonNode row, String field, String where) {
        if (!row.path(field).isTextual()) {
            throw new InvalidArtifactException(where + ": has no text \"" + field + "\"; see training.data_format");
        }
        return row.path(field).asText();
    }

    private static Example encode(Texts texts, TrainingOptions options, Tokenizer tokenizer) {
        int[] prompt = tokenizer.encode(texts.prompt(), false);
        int[] completion = tokenizer.encode(texts.completion(), false);
        int[] ids = Arrays.copyOf(prompt, prompt.length + completion.length + 1);
        System.arraycopy(completion, 0, ids, prompt.length, completion.length);
        ids[ids.length - 1] = tokenizer.eosTokenId();
        int[] labels = ids.clone();
        Arrays.fill(labels, 0, prompt.length, IGNORE);
        int length = Math.min(ids.length, options.maxLength());
        return new Example(Arrays.copyOf(ids, length), Arrays.copyOf(labels, length));
    }
}
