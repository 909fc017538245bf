package io.safelora.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.torch.Tensors;
import io.safelora.torch.TorchScript;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Tokens that run through the layers together: of several sequences, one after another without padding, those of one
 * adapter together, and of these those of one prefix together.
 */
final class Batch {
    /**
     * New tokens of a sequence.
     *
     * @param total the length that the sequence has with them, or will have once all its tokens were run
     * @param past tokens in the cache already, at {@code slot}
     * @param adapter its name, or null
     * @param prefix keys and values of what precedes, {@code prefixLength} tokens; or null
     */
    record Part(int[] ids, int total, int past, int slot, String adapter, NDArray prefix, int prefixLength) {}

    private final List<Part> parts;
    private final List<NDArray> cache;
    private final boolean decode;
    private final boolean train;

    private Batch(List<Part> parts, NDArray cache, boolean decode, boolean train) {
        this.parts = parts;
        this.cache = cache == null ? List.of() : List.of(cache);
        this.decode = decode;
        this.train = train;
    }

    /** Parts of sequences; their keys and values go into the cache, if it is not null. */
    static Batch prefill(List<Part> parts, NDArray cache) {
        return new Batch(parts, cache, false, false);
    }

    /** One token of every sequence, which together fill the first slots of the cache. */
    static Batch decodeStep(List<Part> parts, NDArray cache) {
        return new Batch(parts, cache, true, false);
    }

    /** One sequence after another, all new, without a cache. */
    static Batch of(List<int[]> sequences, String adapter) {
        return new Batch(parts(sequences, adapter), null, false, false);
    }

    /** The same, where a backward pass may follow. */
    static Batch toTrain(List<int[]> sequences, String adapter) {
        return new Batch(parts(sequences, adapter), null, false, true);
    }

    private static List<Part> parts(List<int[]> sequences, String adapter) {
        return sequences.stream()
                .map(ids -> new Part(ids, ids.length, 0, 0, adapter, null, 0))
                .toList();
    }

    /** The adapters of the parts, one after another; null where there is none. */
    List<String> adapters() {
        return parts.stream().map(Part::adapter).toList();
    }

    /** The row of every part's last token. */
    long[] lastRows() {
        long[] rows = new long[parts.size()];
        long end = 0;
        for (int i = 0; i < rows.length; i++) {
            end += parts.get(i).ids.length;
            rows[i] = end - 1;
        }
        return rows;
    }

    /**
     * What the decoder's layers are told of these tokens.
     *
     * @param owner keeps the result
     * @param dropout the probability that an element of an adapter's input is dropped
     */
    TorchScript.Value on(Decoder decoder, NDManager owner, double dropout) {
        int tokens = parts.stream().mapToInt(part -> part.ids.length).sum();
        long[] ids = new long[tokens];
        long[] positions = new long[tokens];
        long[] totals = new long[tokens];
        Runs<String> adapters = new Runs<>();
        Runs<NDArray> prefixes = new Runs<>();
        NDArray none = Tensors.of(owner, new float[0], 0, 0, 0, 0, 0, 0);
        int at = 0;
        for (Part part : parts) {
            for (int t = 0; t < part.ids.length; t++) {
                ids[at] = part.ids[t];
                totals[at] = part.total;
                positions[at++] = part.prefixLength + part.past + t;
            }
            adapters.add(Decoder.name(part.adapter), part.ids.length);
            prefixes.add(part.prefix == null ? none : part.prefix, part.ids.length);
        }
        boolean shared = parts.stream().anyMatch(p -> p.prefix != null);
        return decoder.batch(
                owner,
                new Decoder.Tokens(
                        Tensors.of(owner, ids, tokens),
                        Tensors.of(owner, positions, tokens),
                        Tensors.of(owner, totals, tokens)),
                new Decoder.Spans(adapters.things, adapters.lengths(), dropout),
                new Decoder.Sequences(
                        parts.stream().mapToLong(p -> p.ids.length).toArray(),
                        parts.stream().mapToLong(Part::past).toArray(),
                        parts.stream().mapToLong(Part::slot).toArray()),
                shared ? new Decoder.SharedPrefixes(prefixes.things, prefixes.lengths()) : Decoder.SharedPrefixes.NONE,
                cache,
                decode,
                train);
    }

    /**
     * Things, one after another, each with the number of tokens that it is for; neighbours that are the same are one.
     */
    private static final class Runs<T> {
        private final List<T> things = new ArrayList<>();
        private long[] lengths = new long[8];

        void add(T thing, long tokens) {
            int last = things.size() - 1;
            if (last < 0 || !same(things.get(last), thing)) {
                things.add(thing);
                last++;
                if (last == lengths.length) {
                    lengths = Arrays.copyOf(lengths, 2 * last);
                }
            }
            lengths[last] += tokens;
        }

        /** Tensors are told apart by what they are: their equals compares all elements. */
        private static boolean same(Object one, Object other) {
            return one == other || one instanceof String && one.equals(other);
        }

        long[] lengths() {
            return Arrays.copyOf(lengths, things.size());
        }
    }
}
