package io.safelora.lm.jinja;

/** What gives a value in a scope. */
interface Expression {
    Object eval(Scope scope);
}
