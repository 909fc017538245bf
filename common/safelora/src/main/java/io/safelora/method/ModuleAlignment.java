package io.safelora.method;

import java.util.List;

/**
 * What alignment changed in one linear module.
 *
 * @param module full name, without {@code .weight}
 * @param shape of the weight as it is stored
 * @param deltaNorm |V|_F, V = W_aligned - W_base
 * @param baseNorm |W_base|_F
 * @param relative |V|_F / |W_base|_F
 * @param equalShare share of elements that are equal in both checkpoints, 0 to 1
 */
public record ModuleAlignment(
        String module, List<Long> shape, double deltaNorm, double baseNorm, double relative, double equalShare) {}
