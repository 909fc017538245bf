package io.safelora.lm.jinja;

import io.safelora.lm.jinja.Statement.Flow;

/** A loop. */
record For(
        Target target,
        Expression iterable,
        Expression test,
        boolean recursive,
        Frame testFrame,
        Frame bodyFrame,
        Statement body,
        Frame elseFrame,
        Statement otherwise)
        implements Statement {
    @Override
    public Flow run(Scope scope, StringBuilder out) {
        return run(scope, out, iterable.eval(scope), 0);
    }

    private Flow run(Scope scope, StringBuilder out, Object items, int depth) {
        Budget budget = scope.budget();
        Object chosen = test == null
                ? items
                : Filters.filtered(budget, items, item -> {
                    Scope inner = scope.inner(testFrame);
                    target.set(inner, item);
                    return Values.isTrue(test.eval(inner));
                });
        Loop loop = new Loop(budget, chosen, depth, recursive ? (inner, level) -> recurse(scope, inner, level) : null);
        // As in Jinja, else also runs after a loop that was left, or went on, before its first item was done.
        boolean done = false;
        while (loop.hasNext()) {
            Scope inner = scope.inner(bodyFrame);
            inner.set("loop", loop);
            target.set(inner, loop.next());
            Flow flow = body.run(inner, out);
            if (flow == Flow.BREAK) {
                break;
            }
            done |= flow == Flow.NEXT;
        }
        return done || otherwise == null ? Flow.NEXT : otherwise.run(scope.inner(elseFrame), out);
    }

    private String recurse(Scope scope, Object items, int depth) {
        StringBuilder out = new StringBuilder();
        scope.budget().enter();
        run(scope, out, items, depth);
        scope.budget().leave();
        return out.toString();
    }
}
