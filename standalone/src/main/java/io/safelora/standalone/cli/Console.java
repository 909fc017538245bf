package io.safelora.standalone.cli;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.function.IntSupplier;

/**
 * What people see while work goes on: a progress bar on a terminal, a plain line now and then elsewhere. Everything
 * goes to stderr; stdout is for results.
 */
final class Console {
    private static final int BAR = 30;
    private static final int NAME = 18;
    private static final long PLAIN_EVERY_MILLIS = 5_000;
    private static final long WIDTH_EVERY_MILLIS = 3_000;

    /** Whether the cursor stands behind a bar; of the process, as the terminal is. */
    private static volatile boolean barShown;

    private final PrintStream err;
    private final IntSupplier columns;
    private final boolean terminal;
    private String task = "";
    private long lastMillis;
    private long widthMillis;
    private int width;
    private double lastShare = -1;

    Console() {
        this(System.err, Console::terminalColumns);
    }

    /** @param columns the width of the terminal that {@code err} is; 0 if it is not a terminal */
    Console(PrintStream err, IntSupplier columns) {
        this.err = err;
        this.columns = columns;
        this.width = columns.getAsInt();
        this.widthMillis = System.currentTimeMillis();
        this.terminal = width > 0;
    }

    /** The share {@code done} in [0, 1] of {@code task}, with a few words on what it is doing. */
    synchronized void progress(String task, double done, String words) {
        boolean newTask = !task.equals(this.task);
        long now = System.currentTimeMillis();
        boolean ends = done >= 1 && lastShare < 1;
        if (!newTask && !ends && now - lastMillis < (terminal ? 100 : PLAIN_EVERY_MILLIS)) {
            return;
        }
        if (newTask) {
            endBar(err);
        }
        this.task = task;
        lastMillis = now;
        lastShare = done;
        double share = Math.max(0, Math.min(1, done));
        String text = words == null ? "" : words;
        if (terminal) {
            if (now - widthMillis > WIDTH_EVERY_MILLIS) {
                widthMillis = now;
                int again = columns.getAsInt(); // A window may be resized.
                width = again > 0 ? again : width;
            }
            err.print("\r\033[K" + line(task, share, text, width - 1));
            barShown = true;
        } else {
            err.printf(Locale.ROOT, "%-18s %3.0f%%  %s%n", task, 100 * share, text);
        }
        err.flush();
    }

    /** A bar of at most {@code width} columns: a longer line would wrap, and every refresh leave one behind. */
    static String line(String task, double share, String words, int width) {
        String percent = String.format(Locale.ROOT, "%3.0f%%", 100 * share);
        int name = Math.min(NAME, Math.max(0, width - percent.length() - 1));
        int bar = Math.max(0, Math.min(BAR, width - name - percent.length() - 2));
        int full = (int) Math.round(share * bar);
        String line = String.format("%-" + Math.max(1, name) + "s ", cut(task, name))
                + (bar == 0 ? "" : "█".repeat(full) + "░".repeat(bar - full) + " ")
                + percent
                + (words.isEmpty() ? "" : "  " + words);
        return cut(line, width);
    }

    /** At most {@code columns} characters; surrogate pairs are not split. */
    private static String cut(String text, int columns) {
        String plain = text.replaceAll("\\p{Cntrl}", " ");
        int characters = plain.codePointCount(0, plain.length());
        return characters <= columns ? plain : plain.substring(0, plain.offsetByCodePoints(0, Math.max(0, columns)));
    }

    /** One line of plain words. */
    synchronized void say(String line) {
        endBar(err);
        err.println(line);
    }

    /** To be called before a result or an error is written, so that it begins on a line of its own. */
    static void endBar() {
        endBar(System.err);
    }

    private static void endBar(PrintStream err) {
        if (barShown) {
            err.println();
            barShown = false;
        }
    }

    /**
     * The width of the terminal that stderr is; 0 if it is not a terminal. The JVM knows neither: its System.console()
     * looks at stdin and stdout.
     */
    private static int terminalColumns() {
        if (System.getenv("CI") != null) {
            return 0;
        }
        try {
            Process stty = new ProcessBuilder("sh", "-c", "[ -t 2 ] && stty size 0<&2 2>/dev/null")
                    .redirectError(ProcessBuilder.Redirect.INHERIT)
                    .start();
            stty.getOutputStream().close();
            if (!stty.waitFor(1, TimeUnit.SECONDS)) {
                stty.destroyForcibly();
                return 0;
            }
            String[] size = new String(stty.getInputStream().readAllBytes(), StandardCharsets.US_ASCII)
                    .strip()
                    .split(" ");
            int columns = size.length == 2 ? Integer.parseInt(size[1]) : 0;
            // A terminal may not know its width.
            return columns > 0 ? columns : size.length == 2 ? 80 : 0;
        } catch (IOException | NumberFormatException e) {
            return 0;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return 0;
        }
    }
}
