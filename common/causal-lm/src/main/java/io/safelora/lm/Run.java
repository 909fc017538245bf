package io.safelora.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.torch.Tensors;
import java.util.ArrayList;
import java.util.List;

/**
 * What decoder.py's {@code hidden} takes: tokens of several sequences, one after another without padding, those of one
 * adapter together, and of these those of one prefix together.
 */
final class Run {
    /**
     * New tokens of a sequence.
     *
     * @param total the length that the sequence has with them, or will have once all its tokens were run
     * @param past tokens in the cache already, at {@code slot}
     * @param adapter its name, or null
     * @param prefix keys and values of what precedes, {@code prefixLength} tokens; or null
     */
    record Part(int[] ids, int total, int past, int slot, String adapter, NDArray prefix, int prefixLength) {}

    final long[] ids;
    final long[] lens;
    private final List<Part> parts;
    private final List<NDArray> cache;
    private final boolean decode;
    private final boolean train;

    /**
     * @param cache where the keys and values go, or null
     * @param decode whether every part has one token and the parts fill the first slots of the cache
     */
    Run(List<Part> parts, NDArray cache, boolean decode) {
        this(parts, cache, decode, false);
    }

    private Run(List<Part> parts, NDArray cache, boolean decode, boolean train) {
        this.train = train;
        this.parts = parts;
        this.cache = cache == null ? List.of() : List.of(cache);
        this.decode = decode;
        lens = parts.stream().mapToLong(p -> p.ids.length).toArray();
        ids = parts.stream()
                .flatMapToInt(p -> java.util.Arrays.stream(p.ids))
                .asLongStream()
                .toArray();
    }

    /** One sequence after another, all new, without a cache. */
    static Run of(List<int[]> sequences, String adapter) {
        return new Run(parts(sequences, adapter), null, false);
    }

    /** The same, where a backward pass may follow. */
    static Run toTrain(List<int[]> sequences, String adapter) {
        return new Run(parts(sequences, adapter), null, false, true);
    }

    private static List<Part> parts(List<int[]> sequences, String adapter) {
        return sequences.stream()
                .map(ids -> new Part(ids, ids.length, 0, 0, adapter, null, 0))
                .toList();
    }

    /** What decoder.py calls an adapter. */
    static String name(String adapter) {
        return adapter == null ? "" : adapter;
    }

    /** The adapters of the parts, one after another. */
    List<String> adapters() {
        return parts.stream().map(part -> name(part.adapter)).toList();
    }

    /** The row of every part's last token. */
    long[] lastRows() {
        long[] rows = new long[lens.length];
        long end = 0;
        for (int i = 0; i < rows.length; i++) {
            end += lens[i];
            rows[i] = end - 1;
        }
        return rows;
    }

    /** The arguments of {@code hidden}, in its order. */
    Object[] arguments(NDManager step, double dropout) {
        int tokens = ids.length;
        long[] positions = new long[tokens];
        long[] totals = new long[tokens];
        List<String> adapters = new ArrayList<>();
        List<Long> spans = new ArrayList<>();
        List<NDArray> prefixes = new ArrayList<>();
        List<Long> sharers = new ArrayList<>();
        NDArray none = Tensors.of(step, new float[0], 0, 0, 0, 0, 0, 0);
        int at = 0;
        for (Part part : parts) {
            for (int t = 0; t < part.ids.length; t++) {
                totals[at] = part.total;
                positions[at++] = part.prefixLength + part.past + t;
            }
            add(adapters, spans, name(part.adapter), part.ids.length);
            add(prefixes, sharers, part.prefix == null ? none : part.prefix, part.ids.length);
        }
        boolean shared = parts.stream().anyMatch(p -> p.prefix != null);
        return new Object[] {
            Tensors.of(step, ids, tokens),
            Tensors.of(step, positions, tokens),
            Tensors.of(step, totals, tokens),
            adapters,
            longs(spans),
            dropout,
            lens,
            parts.stream().mapToLong(Part::past).toArray(),
            parts.stream().mapToLong(Part::slot).toArray(),
            shared ? prefixes : List.of(),
            shared ? longs(sharers) : new long[0],
            cache,
            decode,
            train
        };
    }

    /** Lengthens the last span, if it is of the same thing. */
    private static <T> void add(List<T> things, List<Long> spans, T thing, long tokens) {
        int last = things.size() - 1;
        if (last >= 0 && things.get(last).equals(thing)) {
            spans.set(last, spans.get(last) + tokens);
        } else {
            things.add(thing);
            spans.add(tokens);
        }
    }

    private static long[] longs(List<Long> values) {
        return values.stream().mapToLong(Long::longValue).toArray();
    }
}
