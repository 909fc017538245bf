package io.safelora.contract;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.safelora.contract.SelectionOptions.Projector;
import io.safelora.contract.SelectionOptions.Repair;
import io.safelora.contract.SelectionOptions.Strategy;
import jakarta.validation.constraints.Max;
import jakarta.validation.constraints.Min;
import jakarta.validation.constraints.Size;
import java.util.List;

/**
 * Repairs to try on one trained adapter: every combination of what is listed, as far as a repair, projector or strategy
 * looks at it. The controls (no repair, drop with the same modules, scale) are always among them.
 */
public record SweepOptions(
        @Size(max = 50) @JsonPropertyDescription("Repairs to try; default: the one beside sweep")
        List<Repair> repair,

        @Size(max = 50) @JsonPropertyDescription("Strategies to try")
        List<Strategy> strategy,

        @Size(max = 50) @JsonPropertyDescription("Values of number, for strategies number and random")
        List<@Min(0) Integer> number,

        @Size(max = 50) @JsonPropertyDescription("Values of threshold, for strategy threshold")
        List<Double> threshold,

        @Size(max = 50) @JsonPropertyDescription("Values of share, for strategy energy")
        List<Double> share,

        @Size(max = 50) @JsonPropertyDescription("Values of seed, for strategy random")
        List<Long> seed,

        @Size(max = 50) @JsonPropertyDescription("Projectors to try, for repair safe-lora")
        List<Projector> projector,

        @Size(max = 50) @JsonPropertyDescription("Values of energy, for projector subspace")
        List<Double> energy,

        @Size(max = 50) @JsonPropertyDescription("Values of blend, for repairs safe-lora and safe-merge")
        List<Double> blend,

        @Size(max = 50) @JsonPropertyDescription("Values of scale, for repair scale")
        List<Double> scale,

        @Size(max = 50) @JsonPropertyDescription("Values of gamma, for repair safety-vector")
        List<Double> gamma,

        @Size(max = 50) @JsonPropertyDescription("Values of rank, for repair safety-vector")
        List<@Min(1) @Max(1024) Integer> rank,

        @Min(1)
        @Max(500)
        @JsonProperty(defaultValue = "60")
        @JsonPropertyDescription("A sweep of more points than this is refused")
        Integer maxPoints) {

    public SweepOptions {
        maxPoints = maxPoints == null ? 60 : maxPoints;
    }
}
