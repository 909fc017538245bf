package io.safelora.lm.jinja;

import io.safelora.lm.jinja.Lexer.Kind;
import io.safelora.lm.jinja.Lexer.Token;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Supplier;

/** Where a parser is: the next token, and the frame whose names it sees. */
abstract class Cursor {
    private static final int MAX_DEPTH = 60;

    final List<Token> tokens;
    final List<Frame> frames = new ArrayList<>();
    int at;
    private int depth;
    private int conditions;
    private Frame frame = new Frame(null);

    Cursor(List<Token> tokens) {
        this.tokens = tokens;
        frames.add(frame);
    }

    /** The frame of the names that are set here. */
    final Frame frame() {
        return frame;
    }

    /** What is parsed only runs on a condition, so that the names it sets may stay unset. */
    final <T> T conditionally(Supplier<T> parse) {
        conditions++;
        T parsed = parse.get();
        conditions--;
        return parsed;
    }

    /** What is parsed in a scope of its own, outside of the conditions around it. */
    <T> T inFrame(Frame inner, Supplier<T> parse) {
        Frame outer = frame;
        int around = conditions;
        frame = inner;
        conditions = 0;
        T parsed = parse.get();
        frame = outer;
        conditions = around;
        return parsed;
    }

    Frame newFrame() {
        Frame inner = new Frame(frame);
        frames.add(inner);
        return inner;
    }

    void setsName(String name) {
        if (frame.names.add(name) && conditions == 0) {
            frame.setFirst.add(name);
        }
    }

    Token token() {
        return tokens.get(at);
    }

    Token next() {
        return tokens.get(at == tokens.size() - 1 ? at : at++);
    }

    boolean is(String text) {
        return token().is(text);
    }

    boolean skip(String text) {
        boolean found = is(text);
        at += found ? 1 : 0;
        return found;
    }

    void expect(String text) {
        if (!skip(text)) {
            throw failure("expected '" + text + "', got " + token());
        }
    }

    Token expect(Kind kind) {
        if (token().kind() != kind) {
            throw failure(
                    "expected the " + kind.name().toLowerCase(Locale.ROOT).replace('_', ' ') + ", got " + token());
        }
        return next();
    }

    TemplateException failure(String message) {
        return TemplateException.failure(message + " (line " + token().line() + ")");
    }

    /** One level deeper into the template. */
    <T> T nested(Supplier<T> parse) {
        if (++depth > MAX_DEPTH) {
            throw failure("it nests deeper than " + MAX_DEPTH + " levels");
        }
        T parsed = parse.get();
        depth--;
        return parsed;
    }
}
