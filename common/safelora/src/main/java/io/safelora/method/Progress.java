package io.safelora.method;

/** Told how far long work has come. May throw to stop it. */
@FunctionalInterface
public interface Progress {
    /** @param fraction share of the work that is done, 0 to 1 */
    void at(double fraction, String message);

    /** Nobody listens. */
    Progress NONE = (fraction, message) -> {};
}
