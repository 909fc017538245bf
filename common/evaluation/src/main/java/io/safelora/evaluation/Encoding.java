package io.safelora.evaluation;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.contract.InvalidInputException;
import io.safelora.evaluation.Prompts.TaskRow;
import io.safelora.evaluation.Task.Measure;
import io.safelora.lm.ModelFiles;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** A task's prompts as tokens, and what a reader of the scores should know of them. */
final class Encoding {
    private Encoding() {}

    /**
     * Encodes. A prompt that leaves no room for the answer loses its beginning, as in lm-evaluation-harness; when every
     * one loses a part of its own question, nothing is left to measure. A request that is judged is never cut: it would
     * be another.
     *
     * @param warnings what is wrong with the rows is added to these
     * @return by row; (prompt tokens)
     */
    static List<int[]> of(ModelFiles model, LocalTask local, List<TaskRow> rows, List<String> warnings) {
        Task task = local.task();
        boolean cuts = task.judges().isEmpty();
        int positions = model.config().maxPositionEmbeddings();
        int room = positions - task.maxNewTokens();
        if (room < 1) {
            throw new InvalidInputException("max_new_tokens is " + task.maxNewTokens()
                    + ", but the model's max_position_embeddings is " + positions + "; leave room for the prompt");
        }
        List<int[]> encoded = new ArrayList<>();
        int cut = 0;
        int cutQuestions = 0;
        for (int row = 0; row < rows.size(); row++) {
            Prompt prompt = rows.get(row).prompt();
            int[] ids = prompt.encode(model, task);
            if (ids.length > room) {
                cut++;
                if (cuts) {
                    ids = Arrays.copyOfRange(ids, ids.length - room, ids.length);
                    cutQuestions += question(prompt, model, task).length > room ? 1 : 0;
                } else if (ids.length >= positions) {
                    throw new InvalidArtifactException(local.data().getFileName() + ", row " + (row + 1) + ": has "
                            + ids.length + " tokens, but the model's max_position_embeddings is " + positions
                            + "; shorten it or take it out");
                }
            }
            encoded.add(ids);
        }
        warnOfTargets(local, rows, warnings);
        String prompts = cut + " of " + rows.size() + " " + task.name() + " prompts";
        String limits = "max_position_embeddings (" + positions + ") and max_new_tokens (" + task.maxNewTokens() + ")";
        if (cutQuestions == rows.size()) {
            throw new InvalidInputException("not one of the " + rows.size() + " questions in "
                    + local.data().getFileName() + " fits into the " + room + " tokens that " + limits
                    + " leave; use a smaller max_new_tokens, or another model");
        }
        if (cut > 0 && cuts) {
            warnings.add(prompts + " were longer than the " + room + " tokens that " + limits
                    + " leave, and lost their beginning"
                    + (cutQuestions > 0
                            ? ", " + cutQuestions
                                    + " of them a part of their own question, so that the score says little"
                            : "")
                    + "; use a smaller num_fewshot or max_new_tokens");
        } else if (cut > 0) {
            warnings.add(prompts + " leave fewer than max_new_tokens (" + task.maxNewTokens()
                    + ") tokens for the answer, because max_position_embeddings is " + positions);
        }
        return encoded;
    }

    /** A target that the task's own filters do not take from itself is one that no answer can be. */
    private static void warnOfTargets(LocalTask local, List<TaskRow> rows, List<String> warnings) {
        Task task = local.task();
        long lost = task.filters().isEmpty()
                ? 0
                : rows.stream().filter(row -> !canBeRight(task, row.target())).count();
        if (lost > 0) {
            warnings.add(lost + " of " + rows.size() + " right answers in "
                    + local.data().getFileName() + " are none that the filters of " + task.name()
                    + " take from a text that says just that, so those rows count as wrong");
        }
    }

    static boolean canBeRight(Task task, String target) {
        for (Measure measure : task.measures()) {
            if (measure.of() instanceof Metric.OfAnswer metric
                    && metric.of(task.filtered(measure, target), target) == 1) {
                return true;
            }
        }
        return false;
    }

    /** The question alone, without the token that a text begins with, which a cut prompt has lost. */
    private static int[] question(Prompt prompt, ModelFiles model, Task task) {
        return task.chat()
                ? prompt.question().encode(model, task)
                : model.tokenizer().encode(prompt.question().text(), false);
    }
}
