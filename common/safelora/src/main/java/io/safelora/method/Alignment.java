package io.safelora.method;

import java.util.List;

/**
 * {@code alignment.json}: what alignment changed, module by module.
 *
 * @param seed of the random numbers behind {@code energyShares} and {@code spectral}
 * @param directions the numbers of singular directions that {@code energyShares} is about
 * @param deltaNorm |V|_F over all modules
 * @param mostlyRounding how many modules' V is mostly rounding
 * @param warning why base may not be what aligned was trained from; absent if nothing speaks against it
 * @param modules by name
 */
public record Alignment(
        long seed,
        List<Integer> directions,
        double deltaNorm,
        long mostlyRounding,
        String warning,
        List<ModuleAlignment> modules) {
    /** The file of a result. */
    public static final String FILE = "alignment.json";
}
