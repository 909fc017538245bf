package io.safelora.evaluation;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.contract.InvalidInputException;
import io.safelora.contract.TaskFile.OutputType;
import io.safelora.evaluation.Evaluation.Listener;
import io.safelora.evaluation.Evaluation.Sample;
import io.safelora.evaluation.Prompts.TaskRow;
import io.safelora.evaluation.Task.Measure;
import io.safelora.lm.CausalLm;
import io.safelora.lm.ChatTemplate.Message;
import io.safelora.lm.Continuation;
import io.safelora.lm.ModelFiles;
import io.safelora.lm.PromptCompletion;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;

/** How likely given texts are to a model: targets to their end token, or the choices of a question. */
final class Likelihoods {
    /** By which a row's loss counts. */
    static final String TOKENS = "tokens";

    private Likelihoods() {}

    /**
     * Scores all models in one pass over the weights.
     *
     * @param adapters by the models' names: a loaded adapter's name, or null for the weights as they are; all with the
     *     same tokenizer and chat template
     * @param warnings what is wrong with the rows, or with a model, is added to these
     * @return model by model; none of a model that has a loss that is not finite
     */
    static List<Sample> samples(
            CausalLm model,
            Map<String, String> adapters,
            LocalTask local,
            List<TaskRow> rows,
            List<String> warnings,
            Listener listener) {
        ModelFiles files = model.files(adapters.values().iterator().next());
        List<List<PromptCompletion>> texts = encoded(files, local, rows, warnings);
        List<Continuation> continuations = new ArrayList<>();
        for (String adapter : adapters.values()) {
            for (List<PromptCompletion> ofRow : texts) {
                ofRow.forEach(text -> continuations.add(new Continuation(
                        concatenated(text.prompt(), text.completion()), text.prompt().length, adapter)));
            }
        }
        List<double[]> logprobs = model.score(
                continuations,
                finished -> listener.at(
                        (double) finished / continuations.size(),
                        ", " + finished * rows.size() / continuations.size() + " rows"));
        List<Sample> samples = new ArrayList<>();
        int at = 0;
        for (String name : adapters.keySet()) {
            List<Sample> ofModel = new ArrayList<>();
            double sum = 0;
            for (int row = 0; row < rows.size(); row++) {
                List<double[]> ofRow = logprobs.subList(at, at += texts.get(row).size());
                sum += ofRow.stream().mapToDouble(Likelihoods::sum).sum();
                ofModel.add(sample(name, local.task(), row, rows.get(row), ofRow));
            }
            if (Double.isFinite(sum)) {
                samples.addAll(ofModel);
            } else {
                warnings.add(local.task().name() + " of " + name + " is " + -sum
                        + ", which is not a score, and is left out: its weights or its activations are not finite");
            }
        }
        if (samples.isEmpty()) {
            throw new InvalidInputException(warnings.get(warnings.size() - 1));
        }
        return samples;
    }

    private static Sample sample(String model, Task task, int index, TaskRow row, List<double[]> logprobs) {
        Map<String, Double> values = new LinkedHashMap<>();
        double[] sums = logprobs.stream().mapToDouble(Likelihoods::sum).toArray();
        for (Measure measure : task.measures()) {
            if (measure.of() instanceof Metric.OfTokens metric) {
                values.put(measure.label(), metric.of(logprobs.get(0)));
                values.put(TOKENS, (double) logprobs.get(0).length);
            } else if (measure.of() instanceof Metric.OfChoice metric) {
                values.put(measure.label(), metric.of(sums, row.choices(), row.gold()));
            }
        }
        int likeliest = IntStream.range(0, sums.length)
                .reduce((best, i) -> sums[i] > sums[best] ? i : best)
                .getAsInt();
        return new Sample(
                model,
                task.name(),
                index,
                row.prompt().text(),
                row.category(),
                null,
                row.choices().isEmpty() ? "" : row.choices().get(likeliest),
                row.target(),
                Map.of(),
                Map.of(),
                Map.of(),
                values);
    }

    /**
     * By row its target, or its choices.
     *
     * @throws InvalidArtifactException if nothing is left of a row
     */
    private static List<List<PromptCompletion>> encoded(
            ModelFiles model, LocalTask local, List<TaskRow> rows, List<String> warnings) {
        Task task = local.task();
        int positions = model.config().maxPositionEmbeddings();
        boolean choice = task.outputType() == OutputType.multiple_choice;
        List<List<PromptCompletion>> all = new ArrayList<>();
        int cut = 0;
        for (int i = 0; i < rows.size(); i++) {
            List<PromptCompletion> texts = new ArrayList<>();
            boolean ofRow = false;
            for (PromptCompletion text : encoded(model, rows.get(i), task)) {
                int over = text.prompt().length + text.completion().length - positions;
                ofRow |= over > 0;
                int left = choice ? text.prompt().length - over : text.completion().length - over;
                if (text.completion().length == 0 || over > 0 && left < 1) {
                    throw new InvalidInputException(local.data().getFileName() + ", row " + (i + 1) + ": "
                            + (text.completion().length == 0
                                    ? "an answer has no tokens; give a text"
                                    : "the question \""
                                            + lastLine(rows.get(i).request()) + "\" fills the model's " + positions
                                            + " positions; shorten it or take it out"));
                }
                texts.add(
                        over <= 0
                                ? text
                                : choice
                                        // As lm-evaluation-harness does.
                                        ? new PromptCompletion(
                                                Arrays.copyOfRange(text.prompt(), over, text.prompt().length),
                                                text.completion(),
                                                null)
                                        : new PromptCompletion(
                                                text.prompt(), Arrays.copyOf(text.completion(), left), null));
            }
            cut += ofRow ? 1 : 0;
            all.add(texts);
        }
        if (cut > 0) {
            warnings.add(cut + " of " + rows.size() + (choice ? " questions" : " answers") + " in "
                    + local.data().getFileName() + " reach beyond the model's " + positions + " positions; "
                    + task.name() + (choice ? " is without their beginning" : " is over what fits"));
        }
        return all;
    }

    /** A row's texts as a model gets them, however long. */
    static List<PromptCompletion> encoded(ModelFiles model, TaskRow row, Task task) {
        if (task.outputType() == OutputType.loglikelihood) {
            return List.of(target(model, row, task));
        }
        List<PromptCompletion> choices = new ArrayList<>();
        String prompt = row.prompt().text(model, task);
        String context = prompt.stripTrailing();
        // Tokens begin with the blank before a word, so that a prompt's last ones belong to the answer.
        String blanks = prompt.substring(context.length())
                + (task.chat() ? "" : task.file().targetDelimiter());
        int[] ids = Prompt.encode(context, model, task);
        for (String choice : row.choices()) {
            int[] whole = Prompt.encode(context + blanks + choice, model, task);
            choices.add(new PromptCompletion(
                    ids, Arrays.copyOfRange(whole, Math.min(ids.length, whole.length), whole.length), null));
        }
        return choices;
    }

    /** As training has it. */
    private static PromptCompletion target(ModelFiles model, TaskRow row, Task task) {
        if (!task.chat()) {
            return PromptCompletion.of(
                    model.tokenizer(), row.prompt().text(), task.file().targetDelimiter() + row.target());
        }
        List<Message> turns = new ArrayList<>(row.prompt().messages(task.multiturn()));
        turns.add(new Message("assistant", row.target()));
        return PromptCompletion.of(model, Prompt.conversation(turns, task), turns.size() - 1);
    }

    private static double sum(double[] values) {
        return DoubleStream.of(values).sum();
    }

    private static int[] concatenated(int[] first, int[] second) {
        int[] all = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, all, first.length, second.length);
        return all;
    }

    private static String lastLine(String text) {
        String line = text.lines().reduce((before, last) -> last).orElse("");
        return line.length() > 80 ? line.substring(0, 80) + "..." : line;
    }
}
