package io.safelora.evaluation;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.contract.EvaluationTask;
import io.safelora.contract.EvaluationTask.Task;
import io.safelora.contract.InvalidInputException;
import io.safelora.evaluation.Evaluation.LocalTask;
import io.safelora.evaluation.Evaluation.TaskRow;
import io.safelora.lm.ModelFiles;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** A task's prompts as tokens, and what a reader of the scores should know of them. */
final class Encoding {
    private Encoding() {}

    /**
     * Encodes. A GSM8K prompt that leaves no room for the answer loses its beginning, as in lm-evaluation-harness; when every
     * one loses a part of its own question, nothing is left to measure.
     *
     * @param warnings what is wrong with the rows is added to these
     * @return by row; (prompt tokens)
     */
    static List<int[]> of(ModelFiles model, LocalTask local, List<TaskRow> rows, List<String> warnings) {
        EvaluationTask task = local.task();
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
                if (task.task() == Task.gsm8k) {
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
        if (task.task() == Task.gsm8k) {
            warnOfAnswers(local, rows, warnings);
        }
        String prompts = cut + " of " + rows.size() + " " + task.task() + " prompts";
        String limits = "max_position_embeddings (" + positions + ") and max_new_tokens (" + task.maxNewTokens() + ")";
        if (cutQuestions == rows.size()) {
            throw new InvalidInputException("not one of the " + rows.size() + " questions in "
                    + local.data().getFileName() + " fits into the " + room + " tokens that " + limits
                    + " leave; use a smaller max_new_tokens, or another model");
        }
        if (cut > 0 && task.task() == Task.gsm8k) {
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

    private static void warnOfAnswers(LocalTask local, List<TaskRow> rows, List<String> warnings) {
        long unsolved =
                rows.stream().filter(row -> !Gsm8k.isNumber(row.target())).count();
        if (unsolved > 0) {
            warnings.add(
                    unsolved + " of " + rows.size() + " answers in "
                            + local.data().getFileName()
                            + " are not numbers and do not end in \"#### n\"; gsm8k's filters look for a number, so those rows count as wrong");
        }
    }

    /** The question alone, without the token that a text begins with, which a cut prompt has lost. */
    private static int[] question(Prompt prompt, ModelFiles model, EvaluationTask task) {
        return task.applyChatTemplate()
                ? prompt.question().encode(model, task)
                : model.tokenizer().encode(prompt.question().text(), false);
    }
}
