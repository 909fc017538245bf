package io.safelora.evaluation.statistics;

import java.util.Arrays;
import java.util.Random;

/**
 * A task's rows in two halves: by one the best of many models is chosen, of the other its scores are reported. Of the
 * rows that chose it, a winner's scores would flatter it.
 *
 * @param choosing in ascending order; one row fewer than reporting where the rows are odd
 * @param reporting in ascending order
 */
public record Halves(int[] choosing, int[] reporting) {
    /**
     * By the seed alone: every model has the same halves, and so have two tasks of as many rows, such as harmful
     * requests and their harmless twins.
     */
    public static Halves of(int rows, long seed) {
        int[] order = new int[rows];
        Arrays.setAll(order, i -> i);
        Random random = new Random(seed);
        for (int i = rows - 1; i > 0; i--) {
            int j = random.nextInt(i + 1);
            int swapped = order[i];
            order[i] = order[j];
            order[j] = swapped;
        }
        int[] choosing = Arrays.copyOf(order, rows / 2);
        int[] reporting = Arrays.copyOfRange(order, rows / 2, rows);
        Arrays.sort(choosing);
        Arrays.sort(reporting);
        return new Halves(choosing, reporting);
    }
}
