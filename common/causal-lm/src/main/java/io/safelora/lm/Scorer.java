package io.safelora.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.lm.CausalLm.Continuation;
import io.safelora.lm.Prefixes.Group;
import io.safelora.torch.Tensors;
import io.safelora.torch.TorchScript;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntConsumer;

/** Scores given continuations of many texts; what texts begin with alike is computed once per adapter. */
final class Scorer {
    private final CausalLm model;
    private final TorchScript decoder;
    private final List<Continuation> texts;
    private final double[][] scores;

    Scorer(CausalLm model, TorchScript decoder, List<Continuation> texts) {
        this.model = model;
        this.decoder = decoder;
        this.texts = texts;
        this.scores = new double[texts.size()][];
    }

    List<double[]> run(IntConsumer done) {
        int finished = 0;
        for (Group group : Prefixes.of(
                texts.stream().map(Continuation::ids).toList(),
                texts.stream().map(Continuation::adapter).toList(),
                // The token before the first that is scored must be run with it.
                texts.stream()
                        .mapToInt(t -> model.sharesPrefixes() ? t.from() - 1 : 0)
                        .toArray())) {
            try (NDManager owner = model.newManager()) {
                int[] first = texts.get(group.members().get(0)).ids();
                NDArray prefix = group.length() == 0
                        ? null
                        : model.prefix(owner, Arrays.copyOf(first, group.length()), group.adapter());
                List<Integer> batch = new ArrayList<>();
                int tokens = 0;
                for (int member : group.members()) {
                    int length = texts.get(member).ids().length - group.length();
                    if (!batch.isEmpty() && tokens + length > Generator.MAX_TOKENS_PER_STEP) {
                        step(batch, group, prefix);
                        finished += batch.size();
                        batch.clear();
                        tokens = 0;
                        if (done != null) {
                            done.accept(finished);
                        }
                    }
                    batch.add(member);
                    tokens += length;
                }
                step(batch, group, prefix);
                finished += batch.size();
                if (done != null) {
                    done.accept(finished);
                }
            }
        }
        return Arrays.asList(scores);
    }

    private void step(List<Integer> batch, Group group, NDArray prefix) {
        List<Run.Part> parts = new ArrayList<>();
        List<Long> rows = new ArrayList<>();
        List<Long> labels = new ArrayList<>();
        long begin = -group.length();
        for (int member : batch) {
            Continuation text = texts.get(member);
            int[] ids = text.ids();
            // The last token is only scored.
            int[] own = Arrays.copyOfRange(ids, group.length(), ids.length - 1);
            parts.add(new Run.Part(own, ids.length, 0, 0, group.adapter(), prefix, group.length()));
            for (int t = text.from(); t < ids.length; t++) {
                rows.add(begin + t - 1);
                labels.add((long) ids[t]);
            }
            begin += own.length;
        }
        try (NDManager step = model.newManager()) {
            float[] all = decoder.call(
                            step,
                            "logprobs",
                            model.hidden(step, new Run(parts, null, false)),
                            Tensors.of(step, CausalLm.longs(rows), rows.size()),
                            Tensors.of(step, CausalLm.longs(labels), labels.size()),
                            Run.name(group.adapter()))
                    .get(0)
                    .toFloatArray();
            int at = 0;
            for (int member : batch) {
                double[] ofText = new double
                        [texts.get(member).ids().length - texts.get(member).from()];
                for (int i = 0; i < ofText.length; i++) {
                    ofText[i] = all[at++];
                }
                scores[member] = ofText;
            }
        }
    }
}
