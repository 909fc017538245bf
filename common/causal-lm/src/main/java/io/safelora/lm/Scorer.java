package io.safelora.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.lm.Prefixes.Group;
import io.safelora.torch.Tensors;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntConsumer;

/** Scores given continuations of many texts; what texts begin with alike is computed once per adapter. */
final class Scorer {
    private final CausalLm model;
    private final Decoder decoder;
    private final KvCache cache;
    private final List<Continuation> texts;
    private final double[][] scores;

    Scorer(CausalLm model, List<Continuation> texts) {
        this.model = model;
        decoder = model.decoder();
        cache = model.cache();
        this.texts = texts;
        this.scores = new double[texts.size()][];
    }

    List<double[]> run(IntConsumer done) {
        for (Continuation text : texts) {
            model.check(text.ids(), text.adapter());
            if (text.from() < 1 || text.from() >= text.ids().length) {
                throw new IllegalArgumentException("a text of " + text.ids().length
                        + " tokens cannot be scored from token " + text.from() + " on");
            }
        }
        int finished = 0;
        for (Group group : Prefixes.of(
                texts.stream().map(Continuation::ids).toList(),
                texts.stream().map(Continuation::adapter).toList(),
                // The token before the first that is scored must be run with it.
                texts.stream()
                        .mapToInt(t -> cache.sharesPrefixes() ? t.from() - 1 : 0)
                        .toArray())) {
            try (NDManager owner = model.newManager()) {
                int[] first = texts.get(group.members().get(0)).ids();
                NDArray prefix = group.length() == 0
                        ? null
                        : cache.prefix(owner, Arrays.copyOf(first, group.length()), group.adapter());
                List<Integer> batch = new ArrayList<>();
                int tokens = 0;
                for (int member : group.members()) {
                    int length = texts.get(member).ids().length - group.length();
                    if (!batch.isEmpty() && tokens + length > KvCache.MAX_TOKENS_PER_STEP) {
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
        List<Batch.Part> parts = new ArrayList<>();
        List<Long> rows = new ArrayList<>();
        List<Long> labels = new ArrayList<>();
        long begin = -group.length();
        for (int member : batch) {
            Continuation text = texts.get(member);
            int[] ids = text.ids();
            // The last token is only scored.
            int[] own = Arrays.copyOfRange(ids, group.length(), ids.length - 1);
            parts.add(new Batch.Part(own, ids.length, 0, 0, group.adapter(), prefix, group.length()));
            for (int t = text.from(); t < ids.length; t++) {
                rows.add(begin + t - 1);
                labels.add((long) ids[t]);
            }
            begin += own.length;
        }
        try (NDManager step = model.newManager()) {
            NDArray hidden = decoder.hidden(step, Batch.prefill(parts, null).on(decoder, step, 0));
            float[] all = decoder.logprobs(
                            step, hidden, Tensors.of(step, rows), Tensors.of(step, labels), group.adapter())
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
