package io.safelora.evaluation.report;

import java.util.Set;

/** What a model is in the job. It decides the colour and the mark, in tables and in pictures. */
public enum Role {
    aligned,
    fine_tuned,
    /** The job's result; in a sweep the recommended repair. */
    repaired,
    /** What the repair is held against, such as the same updates dropped. */
    control,
    /** A repair that was tried and not chosen. */
    other;

    /** For people. */
    public String meaning() {
        return switch (this) {
            case aligned -> "before fine-tuning";
            case fine_tuned -> "before the repair";
            case repaired -> "after the repair";
            case control -> "for comparison";
            case other -> "not chosen";
        };
    }

    /**
     * @param repaired the name of the repair that the job is about
     * @param controls the names of what it is held against
     */
    static Role of(String model, String repaired, Set<String> controls) {
        return switch (model) {
            case "aligned" -> aligned;
            case "fine-tuned" -> fine_tuned;
            default -> model.equals(repaired) ? Role.repaired : controls.contains(model) ? control : other;
        };
    }
}
