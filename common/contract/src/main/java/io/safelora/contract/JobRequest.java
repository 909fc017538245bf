package io.safelora.contract;

import com.fasterxml.jackson.annotation.JsonClassDescription;
import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import jakarta.validation.Valid;
import jakarta.validation.constraints.NotNull;
import jakarta.validation.constraints.Pattern;
import jakarta.validation.constraints.Size;
import java.util.List;

/**
 * What a user asks for: the data of the {@code JobRequested} event, and the same document as YAML or JSON on the
 * command line.
 */
@JsonClassDescription("A user asks for a fine-tuned adapter that keeps the model's refusals.")
public record JobRequest(
        @Size(max = 200) @JsonPropertyDescription("A label for people; the job's id is the event's subject")
        String name,

        @NotNull
        @Pattern(regexp = ArtifactRef.URI)
        @JsonPropertyDescription(
                "s3:// or file: URI of the checkpoint before alignment (a Hugging Face model directory)")
        String base,

        @NotNull
        @Pattern(regexp = ArtifactRef.URI)
        @JsonPropertyDescription(
                "s3:// or file: URI of the aligned checkpoint, the one that is fine-tuned; same shapes as base")
        String aligned,

        @Pattern(regexp = ArtifactRef.URI)
        @JsonPropertyDescription("s3:// or file: URI of a PEFT adapter of the aligned model; training is then skipped")
        String adapter,

        @Valid @JsonPropertyDescription("How the adapter is trained; required unless adapter is given")
        TrainingOptions training,

        @Valid @JsonProperty(defaultValue = "{}") @JsonPropertyDescription("Which modules are projected, and by what")
        SelectionOptions selection,

        @Valid
        @JsonProperty(defaultValue = "[]")
        @JsonPropertyDescription("What the aligned, the fine-tuned and the projected model are measured on")
        List<EvaluationTask> evaluation,

        @Valid
        @Size(max = 20)
        @JsonProperty(defaultValue = "[]")
        @JsonPropertyDescription(
                "Judges of answers beside the built-in ones: guard models and endpoints, which tasks name by id")
        List<JudgeOptions> judges,

        @Valid
        @JsonPropertyDescription("A gate: what the result must meet. The result then carries a verdict, pass, "
                + "fail or cannot_tell, and ./safelora run and watch exit with 0, 3 or 4")
        Requirements require,

        @JsonProperty(defaultValue = "true")
        @JsonPropertyDescription("Whether the repair is held against its controls: the same modules dropped, "
                + "and every update scaled to about the same harmfulness. A sweep tries them "
                + "in any case")
        Boolean controls,

        @JsonProperty(defaultValue = "auto")
        @JsonPropertyDescription("auto: a CUDA device where there is one; cpu; cuda")
        Device device,

        @JsonProperty(defaultValue = "auto") @JsonPropertyDescription("auto: the checkpoint's own; float32; bfloat16")
        Dtype dtype) {

    /** Where models run. */
    public enum Device {
        auto,
        cpu,
        cuda
    }

    /** What models compute in. */
    public enum Dtype {
        auto,
        float32,
        bfloat16
    }

    public JobRequest {
        selection = selection == null ? SelectionOptions.DEFAULTS : selection;
        evaluation = evaluation == null ? List.of() : List.copyOf(evaluation);
        controls = controls == null ? true : controls;
        judges = judges == null ? List.of() : List.copyOf(judges);
        device = device == null ? Device.auto : device;
        dtype = dtype == null ? Dtype.auto : dtype;
    }

    /** What the result must meet; nothing where the job does not say. */
    @JsonIgnore
    public Requirements requirements() {
        return require == null ? Requirements.NONE : require;
    }
}
