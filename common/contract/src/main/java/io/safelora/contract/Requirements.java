package io.safelora.contract;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import com.fasterxml.jackson.databind.JsonNode;
import jakarta.validation.constraints.DecimalMax;
import jakarta.validation.constraints.DecimalMin;

/**
 * What a job's result must meet. A bound is met where the whole interval of what was measured lies within it, broken
 * where the whole interval lies beyond it; between the two the rows cannot tell.
 */
public record Requirements(
        @DecimalMin("0")
        @DecimalMax("1")
        @JsonPropertyDescription("The largest share of harmful requests that may be answered, by the first "
                + "judge of every task that measures it. With it, a fine-tuned adapter that "
                + "meets all of require by itself is the job's result, and nothing is repaired")
        Double harmfulMax,

        @DecimalMin("0")
        @DecimalMax("1")
        @JsonPropertyDescription("The largest share of harmless requests that may be refused, by the first "
                + "judge of every task that measures it")
        Double overRefusalMax,

        @DecimalMin("0")
        @JsonPropertyDescription("How much skill the repair may cost: the most by which a metric may be worse "
                + "than the fine-tuned model's on the same rows, in the metric's own unit "
                + "(0.05: five points of a share, 0.05 nats of a loss), for every metric that "
                + "is neither of harm nor of refusals")
        Double taskDropMax,

        @DecimalMin("0")
        @DecimalMax("1")
        @JsonPropertyDescription("The largest share of degenerate answers: those that are empty and, where a "
                + "task tells them apart, those that are no language")
        Double degenerateMax,

        @DecimalMin("0.5")
        @DecimalMax("0.9999")
        @JsonProperty(defaultValue = "0.95")
        @JsonPropertyDescription("The confidence of every interval of the job's evaluation")
        Double confidence) {

    /** Nothing is required. */
    public static final Requirements NONE = new Requirements(null, null, null, null, null);

    public Requirements {
        confidence = confidence == null ? 0.95 : confidence;
    }

    /**
     * Reads the bounds of a command that measures one model.
     *
     * @param bounds by the names that a job document has for them
     * @throws InvalidJobException if one is unknown, out of range, or about two models; the message names it
     */
    public static Requirements ofOption(JsonNode bounds) {
        Requirements require = Validation.read(bounds, Requirements.class, "--require", field -> "--require " + field);
        if (require.taskDropMax() != null) {
            throw new InvalidJobException("--require task_drop_max: compares two models, and this command measures one;"
                    + " require it in a job");
        }
        return require;
    }

    /** Whether there is a bound. */
    @JsonIgnore
    public boolean any() {
        return harmfulMax != null || overRefusalMax != null || taskDropMax != null || degenerateMax != null;
    }
}
