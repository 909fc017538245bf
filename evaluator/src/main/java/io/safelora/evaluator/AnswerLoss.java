package io.safelora.evaluator;

import io.safelora.contract.EvaluationTask.Task;
import io.safelora.contract.JobEvent.Score;
import io.safelora.evaluator.Evaluation.LocalTask;
import io.safelora.evaluator.Gsm8k.Problem;
import io.safelora.lm.CausalLm;
import io.safelora.lm.CausalLm.Continuation;
import io.safelora.lm.ChatTemplate.Message;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The mean of -log p over the tokens of given answers and their end token, in nats: what fine-tuning minimises, on held-out
 * rows. It moves where hardly any question is solved, and so ranks what exact match cannot tell apart.
 */
final class AnswerLoss {
    static final String METRIC = "loss";

    private AnswerLoss() {}

    /**
     * @param name what scores call the model
     * @param adapter a loaded adapter's name, or null
     */
    static Score of(CausalLm model, String name, String adapter, LocalTask task) throws IOException {
        List<Problem> problems = Evaluation.limited(
                Evaluation.readProblems(task.data()), task.task().limit());
        List<Continuation> texts = new ArrayList<>();
        for (Problem problem : problems) {
            int[] prompt = prompt(model, problem, task.task().applyChatTemplate());
            int[] answer = answer(model, problem, task.task().applyChatTemplate());
            int[] ids = IntStream.concat(IntStream.of(prompt), IntStream.of(answer))
                    .limit(model.config().maxPositionEmbeddings())
                    .toArray();
            if (ids.length > prompt.length) {
                texts.add(new Continuation(ids, prompt.length, adapter));
            }
        }
        double sum = 0;
        long tokens = 0;
        for (double[] logprobs : model.score(texts, null)) {
            for (double logprob : logprobs) {
                sum -= logprob;
                tokens++;
            }
        }
        if (tokens == 0) {
            throw new IllegalArgumentException(
                    "answer_loss: no answer is within the model's max_position_embeddings; shorten the questions");
        }
        return new Score(name, Task.answer_loss.name(), METRIC, sum / tokens, problems.size(), false);
    }

    private static int[] prompt(CausalLm model, Problem problem, boolean chat) {
        return chat
                ? model.tokenizer()
                        .encode(
                                model.chatTemplate().render(List.of(new Message("user", problem.question())), true),
                                false)
                : model.tokenizer().encode("Question: " + problem.question() + "\nAnswer:", true);
    }

    private static int[] answer(CausalLm model, Problem problem, boolean chat) {
        String text = chat ? problem.answer() : " " + problem.answer();
        List<Integer> ids = new ArrayList<>();
        IntStream.of(model.tokenizer().encode(text, false)).forEach(ids::add);
        ids.add(model.tokenizer().eosTokenId());
        return ids.stream().mapToInt(Integer::intValue).toArray();
    }
}
