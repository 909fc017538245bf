package io.safelora.lm.jinja;

import java.util.List;

/** What a set or a for writes to. */
record Target(List<String> names, Setter setter) {
    interface Setter {
        void set(Scope scope, Object value);
    }

    void set(Scope scope, Object value) {
        setter.set(scope, value);
    }

    /** One of several, to which the items of a value are written. */
    static Target of(List<Target> targets) {
        List<String> names = targets.stream().flatMap(t -> t.names().stream()).toList();
        return new Target(names, (scope, value) -> unpack(targets, scope, value));
    }

    private static void unpack(List<Target> targets, Scope scope, Object value) {
        List<Object> values = Values.list(scope.budget(), value);
        if (values.size() != targets.size()) {
            throw TemplateException.failure(
                    "cannot unpack " + values.size() + " values into " + targets.size() + " names");
        }
        for (int i = 0; i < values.size(); i++) {
            targets.get(i).set(scope, values.get(i));
        }
    }
}
