package io.safelora.method;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;

/** What repairs do with a LoRA update s B A; whatever they do, PEFT loads what comes out of it. */
final class LoraUpdates {
    private LoraUpdates() {}

    static LoraModule withB(LoraModule m, float[] b) {
        return new LoraModule(m.name(), m.r(), m.in(), m.out(), m.a(), b, m.scale(), m.dtype());
    }

    /** (1 - share) x + share y */
    static float[] mix(float[] x, float[] y, double share) {
        float[] z = new float[x.length];
        for (int i = 0; i < z.length; i++) {
            z[i] = share == 1 ? y[i] : (float) ((1 - share) * x[i] + share * y[i]);
        }
        return z;
    }

    /**
     * x s B A + y s B' A' as one update of rank r + k: B of it is [x B, y B'], A is A over A'.
     *
     * @param b B' (out, k), row by row
     * @param a A' (k, in), row by row
     * @throws InvalidArtifactException if the adapter's scale s is 0, so that y is not finite
     */
    static LoraModule sum(LoraModule m, double x, int k, float[] b, float[] a, double y) {
        if (!Double.isFinite(y)) {
            throw new InvalidArtifactException("adapter_config.json: lora_alpha is 0, so that nothing can be added to "
                    + m.name() + "; give the adapter a scale");
        }
        int r = m.r() + k;
        float[] joinedB = new float[m.out() * r];
        for (int row = 0; row < m.out(); row++) {
            for (int i = 0; i < m.r(); i++) {
                joinedB[row * r + i] = (float) (x * m.b()[row * m.r() + i]);
            }
            for (int i = 0; i < k; i++) {
                joinedB[row * r + m.r() + i] = (float) (y * b[row * k + i]);
            }
        }
        float[] joinedA = new float[r * m.in()];
        System.arraycopy(m.a(), 0, joinedA, 0, m.r() * m.in());
        System.arraycopy(a, 0, joinedA, m.r() * m.in(), k * m.in());
        return new LoraModule(m.name(), r, m.in(), m.out(), joinedA, joinedB, m.scale(), m.dtype());
    }
}
