package io.safelora.evaluation;

import io.safelora.contract.EvaluationTask;
import io.safelora.contract.EvaluationTask.Task;
import io.safelora.contract.InvalidInputException;
import io.safelora.evaluation.Evaluation.Listener;
import io.safelora.evaluation.Evaluation.LocalTask;
import io.safelora.evaluation.Gsm8k.Problem;
import io.safelora.evaluation.statistics.RowValues;
import io.safelora.lm.CausalLm;
import io.safelora.lm.CausalLm.Continuation;
import io.safelora.lm.ChatTemplate.Message;
import io.safelora.lm.ModelFiles;
import io.safelora.lm.PromptCompletion;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;

/**
 * The mean of -log p over the tokens of given answers and their end token, in nats: what fine-tuning minimises, on held-out
 * rows. It moves where hardly any question is solved, and so ranks what exact match cannot tell apart.
 */
final class AnswerLoss {
    static final String METRIC = "loss";

    private AnswerLoss() {}

    /**
     * Scores all models in one pass over the weights.
     *
     * @param adapters by the models' names: a loaded adapter's name, or null for the weights as they are; all with the same
     *     tokenizer and chat template
     * @param warnings what is wrong with the rows, or with a model, is added to these
     */
    static List<RowValues> of(
            CausalLm model, Map<String, String> adapters, LocalTask task, List<String> warnings, Listener listener)
            throws IOException {
        List<Problem> problems = Evaluation.limited(Evaluation.readProblems(task.data()), task.task());
        List<Continuation> texts = new ArrayList<>();
        ModelFiles files = model.files(adapters.values().iterator().next());
        int positions = model.config().maxPositionEmbeddings();
        int cut = 0;
        for (Problem problem : problems) {
            PromptCompletion row = encoded(files, problem, task.task());
            int[] prompt = row.prompt();
            int[] answer = row.completion();
            cut += prompt.length + answer.length > positions ? 1 : 0;
            int[] ids = IntStream.concat(IntStream.of(prompt), IntStream.of(answer))
                    .limit(positions)
                    .toArray();
            if (ids.length == prompt.length) {
                throw new InvalidInputException(task.data().getFileName() + ": the question \""
                        + problem.question().lines().findFirst().orElse("") + "\" fills the model's "
                        + model.config().maxPositionEmbeddings() + " positions; shorten it or take it out");
            }
            adapters.values().forEach(adapter -> texts.add(new Continuation(ids, prompt.length, adapter)));
        }
        if (cut > 0) {
            warnings.add(cut + " of " + problems.size() + " answers in "
                    + task.data().getFileName() + " reach beyond the model's " + positions
                    + " positions; answer_loss is over what fits");
        }
        List<double[]> logprobs = model.score(
                texts,
                finished -> listener.at((double) finished / texts.size(), ", " + finished / adapters.size() + " rows"));
        List<RowValues> scores = new ArrayList<>();
        int at = 0;
        for (String name : adapters.keySet()) {
            double[] sums = new double[problems.size()];
            double[] tokens = new double[problems.size()];
            for (int row = 0; row < sums.length; row++) {
                double[] logprob = logprobs.get(row * adapters.size() + at);
                sums[row] = -DoubleStream.of(logprob).sum();
                tokens[row] = logprob.length;
            }
            at++;
            double sum = DoubleStream.of(sums).sum();
            if (Double.isFinite(sum)) {
                scores.add(new RowValues(name, Task.answer_loss.name(), METRIC, null, false, false, sums, tokens));
            } else {
                warnings.add("answer_loss of " + name + " is " + sum
                        + ", which is not a score, and is left out: its weights or its activations are not finite");
            }
        }
        if (scores.isEmpty()) {
            throw new InvalidInputException(warnings.get(warnings.size() - 1));
        }
        return scores;
    }

    /** As training has it. */
    static PromptCompletion encoded(ModelFiles model, Problem problem, EvaluationTask task) {
        boolean chat = task.applyChatTemplate();
        Prompt prompt =
                Prompt.of(chat ? problem.question() : Gsm8k.question(problem)).withSystem(task.systemInstruction());
        if (!chat) {
            return PromptCompletion.of(model.tokenizer(), prompt.text(), " " + problem.answer());
        }
        List<Message> turns = new ArrayList<>(prompt.turns());
        turns.add(new Message("assistant", problem.answer()));
        return PromptCompletion.of(model, Prompt.conversation(turns, task), turns.size() - 1);
    }
}
