package io.safelora.evaluation;

import io.safelora.contract.EvaluationTask.Task;
import io.safelora.contract.JobEvent.Score;
import io.safelora.evaluation.Evaluation.LocalTask;
import io.safelora.evaluation.Gsm8k.Problem;
import io.safelora.lm.CausalLm;
import io.safelora.lm.CausalLm.Continuation;
import io.safelora.lm.ChatTemplate.Conversation;
import io.safelora.lm.ChatTemplate.Message;
import io.safelora.lm.PromptCompletion;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;
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
     * @param adapters by the models' names: a loaded adapter's name, or null for the weights as they are
     * @param done called with the number of scored rows
     */
    static List<Score> of(CausalLm model, Map<String, String> adapters, LocalTask task, IntConsumer done)
            throws IOException {
        List<Problem> problems = Evaluation.limited(
                Evaluation.readProblems(task.data()), task.task().limit());
        boolean chat = task.task().applyChatTemplate();
        List<Continuation> texts = new ArrayList<>();
        for (Problem problem : problems) {
            PromptCompletion row = encoded(model, problem, chat);
            int[] prompt = row.prompt();
            int[] ids = IntStream.concat(IntStream.of(prompt), IntStream.of(row.completion()))
                    .limit(model.config().maxPositionEmbeddings())
                    .toArray();
            if (ids.length == prompt.length) {
                throw new IllegalArgumentException(task.data().getFileName() + ": the question \""
                        + problem.question().lines().findFirst().orElse("") + "\" fills the model's "
                        + model.config().maxPositionEmbeddings() + " positions; shorten it or take it out");
            }
            adapters.values().forEach(adapter -> texts.add(new Continuation(ids, prompt.length, adapter)));
        }
        List<double[]> logprobs = model.score(texts, done);
        List<Score> scores = new ArrayList<>();
        int at = 0;
        for (String name : adapters.keySet()) {
            double sum = 0;
            long tokens = 0;
            for (int i = at++; i < texts.size(); i += adapters.size()) {
                sum -= DoubleStream.of(logprobs.get(i)).sum();
                tokens += logprobs.get(i).length;
            }
            scores.add(new Score(name, Task.answer_loss.name(), METRIC, sum / tokens, problems.size(), false));
        }
        return scores;
    }

    /** As training has it. */
    private static PromptCompletion encoded(CausalLm model, Problem problem, boolean chat) {
        return chat
                ? PromptCompletion.of(
                        model,
                        Conversation.of(List.of(
                                new Message("user", problem.question()), new Message("assistant", problem.answer()))),
                        1)
                : PromptCompletion.of(
                        model.tokenizer(), "Question: " + problem.question() + "\nAnswer:", " " + problem.answer());
    }
}
