package io.safelora.lm;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.stream.IntStream;

/** Which sequences begin alike, so that their beginning is computed once. */
final class Prefixes {
    /** A shorter one is not worth its own attention. */
    private static final int MIN_LENGTH = 16;

    private Prefixes() {}

    /**
     * Sequences with one adapter and one prefix.
     *
     * @param length of the prefix; 0: none
     * @param members their numbers, ascending
     */
    record Group(String adapter, int length, List<Integer> members) {}

    /**
     * Groups all sequences; those of one adapter stand together.
     *
     * @param most what a sequence may give to a prefix: so many of its tokens
     */
    static List<Group> of(List<int[]> sequences, List<String> adapters, int[] most) {
        Comparator<Integer> byAdapter =
                Comparator.comparing((Integer i) -> adapters.get(i), Comparator.nullsFirst(Comparator.naturalOrder()));
        List<Integer> order = IntStream.range(0, sequences.size())
                .boxed()
                .sorted(byAdapter.thenComparing(sequences::get, Arrays::compare))
                .toList();
        List<Group> groups = new ArrayList<>();
        List<Integer> alone = new ArrayList<>();
        int begin = 0;
        while (begin < order.size()) {
            int first = order.get(begin);
            int length = most[first];
            int end = begin + 1;
            while (end < order.size() && Objects.equals(adapters.get(order.get(end)), adapters.get(first))) {
                int next = order.get(end);
                int common = Math.min(Math.min(length, most[next]), common(sequences.get(first), sequences.get(next)));
                if (common < MIN_LENGTH) {
                    break;
                }
                length = common;
                end++;
            }
            if (end - begin == 1) {
                alone.add(first);
            } else {
                groups.add(new Group(
                        adapters.get(first),
                        length,
                        order.subList(begin, end).stream().sorted().toList()));
            }
            boolean lastOfAdapter =
                    end == order.size() || !Objects.equals(adapters.get(order.get(end)), adapters.get(first));
            if (lastOfAdapter && !alone.isEmpty()) {
                groups.add(new Group(
                        adapters.get(first), 0, alone.stream().sorted().toList()));
                alone = new ArrayList<>();
            }
            begin = end;
        }
        return groups;
    }

    private static int common(int[] a, int[] b) {
        int mismatch = Arrays.mismatch(a, b);
        return mismatch < 0 ? a.length : mismatch;
    }
}
