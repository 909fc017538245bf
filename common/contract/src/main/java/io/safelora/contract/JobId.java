package io.safelora.contract;

import java.util.regex.Pattern;

/** What a job is called: the key of its records and the subject of its events. It is part of paths and URIs. */
public final class JobId {
    /** The rule, for messages. */
    public static final String RULE = "1 to 128 of A-Z a-z 0-9 . _ -";

    private static final Pattern FIT = Pattern.compile("[A-Za-z0-9._-]{1,128}");

    private JobId() {}

    public static boolean isFit(String id) {
        return id != null && FIT.matcher(id).matches();
    }

    /**
     * Refuses an unfit id.
     *
     * @throws InvalidJobException saying what an id must be
     */
    public static String checked(String id) {
        if (!isFit(id)) {
            throw new InvalidJobException("the job id " + shown(id) + " is refused; it must be " + RULE);
        }
        return id;
    }

    /** Hostile text, fit for a log line. */
    public static String shown(String text) {
        if (text == null) {
            return "(none)";
        }
        String line = text.replaceAll("[^\\x20-\\x7e]", "?");
        return "\"" + (line.length() > 130 ? line.substring(0, 130) + "..." : line) + "\"";
    }
}
