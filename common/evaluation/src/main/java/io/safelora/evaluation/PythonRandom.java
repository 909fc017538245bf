package io.safelora.evaluation;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Python's {@code random.Random(seed).sample}, bit for bit: the Mersenne Twister (Matsumoto and Nishimura 1998) seeded
 * by an array, and CPython's choice of distinct indices. lm-evaluation-harness draws few-shot examples by it, so the
 * same prompts need the same numbers.
 */
final class PythonRandom {
    private static final int N = 624;
    private static final int M = 397;

    private final int[] state = new int[N];
    private int index = N;

    /** @param seed not negative, below 2^32 */
    PythonRandom(long seed) {
        state[0] = 19650218;
        for (int i = 1; i < N; i++) {
            state[i] = 1812433253 * (state[i - 1] ^ (state[i - 1] >>> 30)) + i;
        }
        int at = 1;
        for (int k = 0; k < N; k++) {
            state[at] = (state[at] ^ ((state[at - 1] ^ (state[at - 1] >>> 30)) * 1664525)) + (int) seed;
            if (++at == N) {
                state[0] = state[N - 1];
                at = 1;
            }
        }
        for (int k = 0; k < N - 1; k++) {
            state[at] = (state[at] ^ ((state[at - 1] ^ (state[at - 1] >>> 30)) * 1566083941)) - at;
            if (++at == N) {
                state[0] = state[N - 1];
                at = 1;
            }
        }
        state[0] = 0x80000000;
    }

    /** {@code sample(items, k)}: k of the items without repetition, in the order in which they are drawn. */
    <T> List<T> sample(List<T> items, int k) {
        int n = items.size();
        if (k > n) {
            throw new IllegalArgumentException("cannot draw " + k + " of " + n + " examples");
        }
        int setSize = 21;
        if (k > 5) {
            // CPython's 4 ** ceil(log(k * 3, 4))
            setSize += (int) Math.pow(4, Math.ceil(Math.log(k * 3.0) / Math.log(4)));
        }
        List<T> drawn = new ArrayList<>();
        if (n <= setSize) {
            List<T> pool = new ArrayList<>(items);
            for (int i = 0; i < k; i++) {
                int j = below(n - i);
                drawn.add(pool.get(j));
                pool.set(j, pool.get(n - i - 1));
            }
        } else {
            Set<Integer> seen = new HashSet<>();
            while (drawn.size() < k) {
                int j = below(n);
                if (seen.add(j)) {
                    drawn.add(items.get(j));
                }
            }
        }
        return drawn;
    }

    private int below(int n) {
        int bits = 32 - Integer.numberOfLeadingZeros(n);
        int r;
        do {
            r = next() >>> (32 - bits);
        } while (r < 0 || r >= n);
        return r;
    }

    private int next() {
        if (index == N) {
            for (int i = 0; i < N; i++) {
                int y = (state[i] & 0x80000000) | (state[(i + 1) % N] & 0x7fffffff);
                state[i] = state[(i + M) % N] ^ (y >>> 1) ^ ((y & 1) * 0x9908b0df);
            }
            index = 0;
        }
        int y = state[index++];
        y ^= y >>> 11;
        y ^= (y << 7) & 0x9d2c5680;
        y ^= (y << 15) & 0xefc60000;
        return y ^ (y >>> 18);
    }
}
