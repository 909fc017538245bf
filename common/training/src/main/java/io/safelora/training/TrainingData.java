package io.safelora.training;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.rows.Row;
import io.safelora.artifacts.rows.Rows;
import io.safelora.contract.TrainingOptions;
import io.safelora.contract.TrainingOptions.DataFormat;
import io.safelora.lm.ChatTemplate.Rendering;
import io.safelora.lm.ChatTemplate.Span;
import io.safelora.lm.ModelFiles;
import io.safelora.lm.PromptCompletion;
import io.safelora.lm.Tokenizer;
import io.safelora.training.RowContent.Chat;
import io.safelora.training.RowContent.Text;
import io.safelora.training.RowContent.Texts;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** Training rows as token ids, with labels where the loss looks. */
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

    private final TrainingOptions options;
    private final ModelFiles model;
    private final List<String> notes;
    private final Map<String, Integer> doubts = new LinkedHashMap<>();
    private final Map<String, String> firstDoubt = new LinkedHashMap<>();
    private DataFormat format;

    private TrainingData(DataFormat format, TrainingOptions options, ModelFiles model, List<String> notes) {
        this.format = format;
        this.options = options;
        this.model = model;
        this.notes = notes;
    }

    /**
     * Reads a file of rows.
     *
     * @param notes takes what people should know of the data
     * @param atMost how many rows are read
     * @throws InvalidArtifactException if a row is not of the format; the message names it
     */
    static List<Example> read(
            Path file, DataFormat format, TrainingOptions options, ModelFiles model, List<String> notes, long atMost)
            throws IOException {
        if (options.assistantOnlyLoss() && !model.chatTemplate().marksGeneration()) {
            throw new InvalidArtifactException(
                    "training.assistant_only_loss: the model's chat template does not mark the"
                            + " assistant's words; write {% generation %} and {% endgeneration %} around them,"
                            + " or leave the option out");
        }
        return new TrainingData(format, options, model, notes).read(file, atMost);
    }

    private List<Example> read(Path file, long atMost) throws IOException {
        List<Example> examples = new ArrayList<>();
        Rows.first(atMost, file, Rows.MAX_TEXT, row -> examples.add(example(row)));
        if (examples.stream().noneMatch(e -> e.labelled() > 0)) {
            throw new InvalidArtifactException(file.getFileName() + ": "
                    + (examples.isEmpty()
                            ? "has no rows"
                            : "no row has an answer within max_length " + options.maxLength() + "; raise max_length"));
        }
        doubts.forEach((doubt, rows) -> notes.add(
                firstDoubt.get(doubt) + (rows > 1 ? " and " + (rows - 1) + " more rows" : "") + ": " + doubt));
        return examples;
    }

    private Example example(Row row) {
        if (format == DataFormat.auto) {
            format = RowContent.detect(row);
            if (format == null) {
                throw row.invalid("has " + row.columns() + ", which fits no data_format" + RowContent.formats());
            }
            String note = "data_format " + format + ", detected from " + row.where();
            if (!notes.contains(note)) { // safety and validation rows may lie in the same file
                notes.add(note);
            }
        }
        try {
            RowContent content = RowContent.of(row, format, options);
            Example example = content instanceof Text text
                    ? learned(
                            model.tokenizer().encodePrompt(text.text()),
                            model.tokenizer().encodeCompletion(""))
                    : content instanceof Texts texts
                            ? example(PromptCompletion.of(model.tokenizer(), texts.prompt(), texts.completion()), row)
                            : example((Chat) content, row);
            checkEnd(example, row);
            int length = Math.min(example.ids.length, options.maxLength());
            return new Example(Arrays.copyOf(example.ids, length), Arrays.copyOf(example.labels, length));
        } catch (InvalidArtifactException e) {
            throw e.getMessage().startsWith(row.where())
                    ? e
                    : new InvalidArtifactException(row.where() + ": " + e.getMessage(), e);
        }
    }

    private static Example learned(int[] text, int[] end) {
        int[] ids = joined(text, end);
        return new Example(ids, ids.clone());
    }

    private static int[] joined(int[] first, int[] second) {
        int[] ids = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, ids, first.length, second.length);
        return ids;
    }

    private Example example(PromptCompletion row, Row where) {
        if (row.doubt() != null) {
            doubt(row.doubt(), where);
        }
        int[] ids = joined(row.prompt(), row.completion());
        int[] labels = ids.clone();
        if (options.completionOnlyLoss()) {
            Arrays.fill(labels, 0, row.prompt().length, IGNORE);
        }
        return new Example(ids, labels);
    }

    private void doubt(String doubt, Row row) {
        doubts.merge(doubt, 1, Integer::sum);
        firstDoubt.putIfAbsent(doubt, row.where());
    }

    private Example example(Chat chat, Row row) {
        if (chat.weights() == null && !options.assistantOnlyLoss()) {
            return example(PromptCompletion.of(model, chat.conversation(), chat.promptMessages()), row);
        }
        String text;
        List<Span> spans;
        if (model.chatTemplate().marksGeneration()) {
            Rendering rendering = model.chatTemplate().rendering(chat.conversation(), false);
            text = rendering.text();
            spans = learned(chat, rendering.generated(), row);
        } else {
            text = model.chatTemplate().render(chat.conversation(), false);
            spans = turns(chat, text, row);
        }
        PromptCompletion.checkTools(chat.conversation(), text);
        Tokenizer.Marked marked = model.tokenizer().encode(text, spans);
        int[] labels = marked.ids().clone();
        for (int i = 0; i < labels.length; i++) {
            labels[i] = marked.marked()[i] ? labels[i] : IGNORE;
        }
        return new Example(marked.ids(), labels);
    }

    /** The spans that the template marks, one a turn of the assistant, without those that are not learned. */
    private static List<Span> learned(Chat chat, List<Span> marked, Row row) {
        List<Integer> turns = assistantTurns(chat);
        if (marked.isEmpty()) {
            throw row.invalid("the chat template marks no word of the assistant's");
        }
        boolean all = chat.weights() == null && chat.firstLearned() == 0;
        if (!all && turns.size() != marked.size()) {
            throw row.invalid("the chat template marks " + marked.size() + " turns of the assistant, but the row has "
                    + turns.size() + ", so that what is learned cannot be told; leave weights out, or give messages");
        }
        List<Span> learned = new ArrayList<>();
        for (int i = 0; i < marked.size(); i++) {
            if (all || isLearned(chat, turns.get(i))) {
                learned.add(marked.get(i));
            }
        }
        return learned;
    }

    private static List<Integer> assistantTurns(Chat chat) {
        List<Integer> turns = new ArrayList<>();
        List<ObjectNode> messages = chat.conversation().messages();
        for (int i = 0; i < messages.size(); i++) {
            if (messages.get(i).path("role").asText().equals("assistant")) {
                turns.add(i);
            }
        }
        return turns;
    }

    private static boolean isLearned(Chat chat, int message) {
        return message >= chat.firstLearned()
                && (chat.weights() == null || chat.weights().get(message) == 1);
    }

    /** The turns that are learned, of a template that marks none: from the prompt before each to its end. */
    private List<Span> turns(Chat chat, String text, Row row) {
        List<Span> spans = new ArrayList<>();
        for (int turn : assistantTurns(chat)) {
            if (!isLearned(chat, turn)) {
                continue;
            }
            String prompt = turn == 0
                    ? ""
                    : model.chatTemplate().render(PromptCompletion.first(chat.conversation(), turn), true);
            String upTo = model.chatTemplate()
                    .render(PromptCompletion.first(chat.conversation(), turn + 1), false)
                    .stripTrailing();
            if (!text.startsWith(upTo) || !upTo.startsWith(prompt)) {
                throw row.invalid("the chat template writes message " + (turn + 1)
                        + " otherwise when others follow, so that weights have no place; use a template with"
                        + " {% generation %}, or a row for every turn");
            }
            spans.add(new Span(prompt.length(), upTo.length()));
        }
        return spans;
    }

    /** Whether generation will stop where the row ends. */
    private void checkEnd(Example example, Row row) {
        int last = example.labels.length - 1;
        while (last > 0 && example.labels[last] == IGNORE) {
            last--;
        }
        int end = example.ids[last];
        if (example.labels[last] != IGNORE && !model.tokenizer().isEos(end)) {
            doubt(
                    "rows end with " + model.tokenizer().decode(new int[] {end}, false) + " (" + end
                            + "), at which generation does not stop; add it to eos_token_id in generation_config.json",
                    row);
        }
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
}
