package io.safelora.training;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.rows.Row;
import io.safelora.artifacts.rows.Rows;
import io.safelora.contract.TrainingOptions;
import io.safelora.contract.TrainingOptions.DataFormat;
import io.safelora.lm.CausalLm;
import io.safelora.lm.ChatTemplate.Message;
import io.safelora.lm.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;

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

    private record Texts(String prompt, String completion) {}

    private TrainingData() {}

    /**
     * Reads a JSON Lines or Parquet file.
     *
     * @throws InvalidArtifactException if a row is none of the format; the message names it
     */
    static List<Example> read(Path file, DataFormat format, TrainingOptions options, CausalLm model)
            throws IOException {
        List<Example> examples = new ArrayList<>();
        Rows.read(
                file,
                Rows.MAX_TEXT,
                row -> examples.add(encode(texts(row, format, options, model), options, model.tokenizer())));
        if (examples.stream().noneMatch(e -> e.labelled() > 0)) {
            throw new InvalidArtifactException(file.getFileName() + ": "
                    + (examples.isEmpty()
                            ? "has no rows"
                            : "no row has an answer within max_length " + options.maxLength() + "; raise max_length"));
        }
        return examples;
    }

    /**
     * Training rows with safety rows between them at even distances: {@code ratio} safety rows per training row, drawn
     * without replacement by the seed, and all over again where there are too few.
     */
    static List<Example> mixed(List<Example> rows, List<Example> safety, double ratio, long seed) {
        int wanted = Math.toIntExact(Math.round(ratio * rows.size()));
        Random random = new Random(seed);
        List<Example> drawn = new ArrayList<>();
        while (drawn.size() < wanted) {
            List<Example> shuffled = new ArrayList<>(safety);
            Collections.shuffle(shuffled, random);
            drawn.addAll(shuffled.subList(0, Math.min(shuffled.size(), wanted - drawn.size())));
        }
        List<Example> mixed = new ArrayList<>();
        for (int i = 0; i < rows.size(); i++) {
            mixed.add(rows.get(i));
            int until = (int) ((long) wanted * (i + 1) / rows.size());
            mixed.addAll(drawn.subList((int) ((long) wanted * i / rows.size()), until));
        }
        return mixed;
    }

    private static Texts texts(Row row, DataFormat format, TrainingOptions options, CausalLm model) {
        boolean chat = options.applyChatTemplate();
        return switch (format) {
            case question_answer -> {
                String question = row.text("question").strip();
                String answer = row.text("answer").strip();
                yield chat
                        ? chat(List.of(new Message("user", question), new Message("assistant", answer)), model)
                        : new Texts("Question: " + question + "\nAnswer:", " " + answer);
            }
            case prompt_completion -> {
                String prompt = row.text("prompt");
                String completion = row.text("completion");
                yield chat
                        ? chat(List.of(new Message("user", prompt), new Message("assistant", completion)), model)
                        : new Texts(prompt, completion);
            }
            case messages -> {
                List<Message> messages = new ArrayList<>();
                for (JsonNode message : row.values().path("messages")) {
                    messages.add(new Message(
                            row.text(message.path("role"), "role"), row.text(message.path("content"), "content")));
                }
                if (!chat) {
                    throw new InvalidArtifactException(
                            "training.apply_chat_template: must be true for data_format messages");
                }
                if (messages.isEmpty()
                        || !messages.get(messages.size() - 1).role().equals("assistant")) {
                    throw row.invalid("messages must end with one of role assistant");
                }
                yield chat(messages, model);
            }
        };
    }

    /** The last message is the completion, as the template writes it: with its own end of turn, where it has one. */
    private static Texts chat(List<Message> messages, CausalLm model) {
        Message last = messages.get(messages.size() - 1);
        String prompt = model.chatTemplate().render(messages.subList(0, messages.size() - 1), true);
        String whole = model.chatTemplate().render(messages, false);
        return new Texts(
                prompt,
                whole.startsWith(prompt) ? whole.substring(prompt.length()).stripTrailing() : last.content());
    }

    private static Example encode(Texts texts, TrainingOptions options, Tokenizer tokenizer) {
        int[] prompt = tokenizer.encode(texts.prompt(), false);
        int[] completion = tokenizer.encode(texts.completion(), false);
        boolean ended = completion.length > 0
                && Arrays.stream(tokenizer.eosTokenIds()).anyMatch(id -> id == completion[completion.length - 1]);
        int[] ids = Arrays.copyOf(prompt, prompt.length + completion.length + (ended ? 0 : 1));
        System.arraycopy(completion, 0, ids, prompt.length, completion.length);
        if (!ended) {
            ids[ids.length - 1] = tokenizer.eosTokenId();
        }
        int[] labels = ids.clone();
        if (options.completionOnlyLoss()) {
            Arrays.fill(labels, 0, prompt.length, IGNORE);
        }
        int length = Math.min(ids.length, options.maxLength());
        return new Example(Arrays.copyOf(ids, length), Arrays.copyOf(labels, length));
    }
}
