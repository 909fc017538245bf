package io.safelora.lm.jinja;

/** What writes text in a scope. */
interface Statement {
    Flow run(Scope scope, StringBuilder out);

    /** What comes after a statement: the next one, or a loop's end or next item. */
    enum Flow {
        NEXT,
        BREAK,
        CONTINUE
    }

    /** What it writes, by itself. */
    default String text(Scope scope) {
        StringBuilder out = new StringBuilder();
        run(scope, out);
        return out.toString();
    }
}
