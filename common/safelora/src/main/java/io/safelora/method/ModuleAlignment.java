package io.safelora.method;

import java.util.List;

/**
 * What alignment changed in one linear module: V = W_aligned - W_base. Norms are in the weights' own unit, shares lie
 * in [0, 1].
 *
 * @param module full name, without {@code .weight}
 * @param shape of the weight as it is stored
 * @param deltaNorm |V|_F
 * @param baseNorm |W_base|_F
 * @param relative |V|_F / |W_base|_F; absent if W_base = 0
 * @param spectral |V|_2 from below: the largest singular value that the sketch found; its square is short of |V|_2^2 by
 *     at most {@code energyErrors[0]} |V|_F^2
 * @param stableRank |V|_F^2 / |V|_2^2, by {@code spectral}; absent if V = 0
 * @param energyShares the share of |V|_F^2 that the first k singular directions hold, for each k of {@link
 *     Alignment#directions}; empty if V = 0
 * @param energyErrors by how much the true share differs from {@code energyShares} at most, with probability 1 - 1e-10
 *     over the sketch's random numbers; see {@link Sketch}
 * @param comparedAs the type (F32, F16, BF16) in which elements are compared: the coarser of the two checkpoints'
 * @param equalShare share of elements that are equal in both checkpoints
 * @param oneUlpShare share of elements that are one unit in the last place apart
 * @param roundingShare the share of |V|_F^2 that is expected to be rounding of the checkpoints, see {@link Rounding}; 1
 *     if V = 0
 * @param mostlyRounding whether {@code roundingShare} is a half or more: then V says more about number formats than
 *     about alignment
 */
public record ModuleAlignment(
        String module,
        List<Long> shape,
        double deltaNorm,
        double baseNorm,
        Double relative,
        double spectral,
        Double stableRank,
        List<Double> energyShares,
        List<Double> energyErrors,
        String comparedAs,
        double equalShare,
        double oneUlpShare,
        double roundingShare,
        boolean mostlyRounding) {}
