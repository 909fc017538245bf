package io.safelora.lm.jinja;

import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * The names of one scope, known before it runs. Jinja compiles names to variables, so a name that a scope sets,
 * whatever happens, and does not read before, is undefined in it from its beginning on, though the conversation has
 * one of that name: {@code {% for m in messages %}{{ tools }}{% endfor %}{% set tools = 1 %}} prints no tools.
 */
final class Frame {
    private final Frame outer;
    final Set<String> names = new HashSet<>();
    final Set<String> setFirst = new HashSet<>();
    private List<String> undefined = List.of();

    Frame(Frame outer) {
        this.outer = outer;
    }

    /** The names that are undefined until they are set. */
    List<String> undefined() {
        return undefined;
    }

    void resolve() {
        undefined = setFirst.stream().filter(name -> !isOutside(name)).sorted().toList();
    }

    private boolean isOutside(String name) {
        for (Frame frame = outer; frame != null; frame = frame.outer) {
            if (frame.names.contains(name)) {
                return true;
            }
        }
        return false;
    }
}
