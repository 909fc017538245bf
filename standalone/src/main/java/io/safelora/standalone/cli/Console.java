package io.safelora.standalone.cli;

import java.io.PrintStream;
import java.util.Locale;

/**
 * What people see while work goes on: a progress bar on a terminal, a plain line now and then elsewhere. Everything
 * goes to stderr; stdout is for results.
 */
final class Console {
    private static final int WIDTH = 30;
    private static final long PLAIN_EVERY_MILLIS = 5_000;

    private final PrintStream err = System.err;
    private final boolean terminal = System.console() != null && System.getenv("CI") == null;
    private String task = "";
    private boolean barShown;
    private long lastMillis;
    private double lastShare = -1;

    /** The share {@code done} in [0, 1] of {@code task}, with a few words on what it is doing. */
    synchronized void progress(String task, double done, String words) {
        boolean newTask = !task.equals(this.task);
        long now = System.currentTimeMillis();
        boolean ends = done >= 1 && lastShare < 1;
        if (!newTask && !ends && now - lastMillis < (terminal ? 100 : PLAIN_EVERY_MILLIS)) {
            return;
        }
        if (newTask && barShown) {
            err.println();
            barShown = false;
        }
        this.task = task;
        lastMillis = now;
        lastShare = done;
        double share = Math.max(0, Math.min(1, done));
        String text = words == null ? "" : words;
        if (terminal) {
            int full = (int) Math.round(share * WIDTH);
            err.printf(
                    Locale.ROOT,
                    "\r\033[K%-18s %s%s %3.0f%%  %s",
                    task,
                    "█".repeat(full),
                    "░".repeat(WIDTH - full),
                    100 * share,
                    text.length() > 60 ? text.substring(0, 60) : text);
            barShown = true;
        } else {
            err.printf(Locale.ROOT, "%-18s %3.0f%%  %s%n", task, 100 * share, text);
        }
        err.flush();
    }

    /** One line of plain words. */
    synchronized void say(String line) {
        if (barShown) {
            err.println();
            barShown = false;
        }
        err.println(line);
    }
}
