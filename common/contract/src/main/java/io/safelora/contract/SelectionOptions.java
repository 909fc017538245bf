package io.safelora.contract;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import jakarta.validation.constraints.DecimalMax;
import jakarta.validation.constraints.DecimalMin;
import jakarta.validation.constraints.Min;

/** Which modules are projected, and by what (SafeLoRA, arXiv 2405.16833, sections 3.2 and 3.3). */
public record SelectionOptions(
        @JsonProperty(defaultValue = "number")
        @JsonPropertyDescription(
                "number: the modules of lowest cosine; threshold: all modules whose cosine is below threshold; all: every module")
        Strategy strategy,

        @Min(0)
        @JsonProperty(defaultValue = "30")
        @JsonPropertyDescription("How many modules strategy number projects; ties go by module name")
        Integer number,

        @DecimalMin("-1")
        @DecimalMax("1")
        @JsonProperty(defaultValue = "0.5")
        @JsonPropertyDescription("The cosine below which strategy threshold projects")
        Double threshold,

        @JsonProperty(defaultValue = "approximate")
        @JsonPropertyDescription(
                "approximate: C = V V^T / |V|_F; exact: C = V (V^T V)^+ V^T; subspace: C = U_k U_k^T of the left singular vectors that hold energy of |V|_F^2")
        Projector projector,

        @DecimalMin(value = "0", inclusive = false)
        @DecimalMax("1")
        @JsonProperty(defaultValue = "0.9")
        @JsonPropertyDescription("The share of |V|_F^2 that projector subspace keeps")
        Double energy) {

    /** How modules are chosen for projection. */
    public enum Strategy {
        number,
        threshold,
        all
    }

    /** What a chosen module's update is multiplied by. */
    public enum Projector {
        approximate,
        exact,
        subspace
    }

    public SelectionOptions {
        strategy = strategy == null ? Strategy.number : strategy;
        number = number == null ? 30 : number;
        threshold = threshold == null ? 0.5 : threshold;
        projector = projector == null ? Projector.approximate : projector;
        energy = energy == null ? 0.9 : energy;
    }

    /** Whether choosing needs the trained update, so that it can only happen after training. */
    public boolean needsAdapter() {
        return strategy != Strategy.all;
    }
}
