package io.safelora.contract;

import com.fasterxml.jackson.annotation.JsonClassDescription;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import jakarta.validation.constraints.DecimalMax;
import jakarta.validation.constraints.DecimalMin;
import jakarta.validation.constraints.Min;
import jakarta.validation.constraints.NotNull;
import jakarta.validation.constraints.Pattern;
import java.time.Instant;
import java.util.List;

/**
 * The data of the events between the stages. The job's id is the CloudEvent's subject and the Kafka record's key, so it
 * is not a field here. Every event carries the request: a stage needs nothing but its event and the artifact store.
 */
public sealed interface JobEvent {

    /** The request that the event is about; null for a status and a cancellation, which do not carry it. */
    default JobRequest request() {
        return null;
    }

    /**
     * Some modules of a large model are to be compared. The analyzer divides such a model among its replicas by sending
     * one of these per part; whoever finds all parts in the store joins them, and sends {@link AlignmentAnalyzed}.
     */
    @JsonClassDescription("One part of a large model's modules is to be compared, by any replica of the analyzer.")
    record AlignmentPartRequested(
            @NotNull @JsonPropertyDescription("The request, as it was published")
            JobRequest request,

            @NotNull @JsonPropertyDescription("Digest of the base checkpoint that was divided")
            String baseDigest,

            @NotNull @JsonPropertyDescription("Digest of the aligned checkpoint that was divided")
            String alignedDigest,

            @Min(1)
            @JsonPropertyDescription(
                    "Modules are divided in the order of their names; a part is full with the module that "
                            + "reaches this many elements")
            long partElements,

            @Min(0) @JsonPropertyDescription("Which part, counted from 0")
            int part,

            @Min(1) @JsonPropertyDescription("How many parts there are")
            int parts,

            @NotNull
            @Pattern(regexp = "^[0-9a-f-]{36}$")
            @JsonPropertyDescription("The id that all parts of one division have")
            String division)
            implements JobEvent {}

    /** base and aligned checkpoint were compared: {@code alignment.json} holds the metrics of every module. */
    @JsonClassDescription("The base and the aligned checkpoint were compared, module by module.")
    record AlignmentAnalyzed(
            @NotNull @JsonPropertyDescription("The request, as it was published")
            JobRequest request,

            @NotNull @JsonPropertyDescription("Manifest of the analysis: alignment.json")
            ArtifactRef alignment)
            implements JobEvent {}

    /**
     * Modules were chosen. Before training this is the plan: which modules get LoRA; {@code projection} is deferred
     * when the choice needs the trained update, and then a second LayersSelected follows AdapterTrained.
     */
    @JsonClassDescription("Modules were chosen: before training those that get LoRA, after it those to project.")
    record LayersSelected(
            @NotNull @JsonPropertyDescription("The request, as it was published")
            JobRequest request,

            @NotNull @JsonPropertyDescription("Manifest of the analysis: alignment.json")
            ArtifactRef alignment,

            @NotNull
            @JsonPropertyDescription(
                    "Manifest of the selection: plan.json before training, selection.json after it, of a "
                            + "sweep sweep.json")
            ArtifactRef selection,

            @NotNull
            @JsonPropertyDescription(
                    "deferred: decided after training; decided: the selection names the modules to project")
            Projection projection,

            @JsonPropertyDescription("Manifest of the trained adapter; absent before training")
            ArtifactRef adapter)
            implements JobEvent {

        /** Whether the modules to project are known. */
        public enum Projection {
            deferred,
            decided
        }
    }

    /** The adapter was trained (or taken from the request) and the modules to project are to be chosen by it. */
    @JsonClassDescription(
            "The adapter was trained, or taken from the request; the modules to project are to be chosen by it.")
    record AdapterTrained(
            @NotNull @JsonPropertyDescription("The request, as it was published")
            JobRequest request,

            @NotNull @JsonPropertyDescription("Manifest of the analysis: alignment.json")
            ArtifactRef alignment,

            @NotNull
            @JsonPropertyDescription(
                    "Manifest of the adapter: a PEFT adapter with trainer_state.json; with training.method "
                            + "full the fine-tuned checkpoint in its place, here and wherever an adapter is named")
            ArtifactRef adapter)
            implements JobEvent {}

    /** The chosen modules of the adapter were projected. */
    @JsonClassDescription("The chosen modules of the adapter were projected.")
    record AdapterProjected(
            @NotNull @JsonPropertyDescription("The request, as it was published")
            JobRequest request,

            @NotNull @JsonPropertyDescription("Manifest of the analysis: alignment.json")
            ArtifactRef alignment,

            @NotNull @JsonPropertyDescription("Manifest of the adapter before projection")
            ArtifactRef adapter,

            @NotNull
            @JsonPropertyDescription(
                    "Manifest of the projected PEFT adapter or checkpoint, with selection.json; in a sweep "
                            + "the first of its candidates")
            ArtifactRef projected,

            @JsonPropertyDescription("In a sweep, every repair that was tried; else absent")
            List<Candidate> candidates,

            @JsonPropertyDescription("What the repair is held against; absent in a sweep, which has them "
                    + "among its candidates, and with controls: false")
            List<Candidate> controls)
            implements JobEvent {}

    /** One repair of a sweep, or one control of a repair. */
    @JsonClassDescription("One repair of a sweep, or one control of a repair.")
    record Candidate(
            @NotNull @JsonPropertyDescription("What tables call it, with all options that the repair looks at")
            String name,

            @NotNull
            @JsonPropertyDescription("Manifest of the repaired PEFT adapter or checkpoint, with selection.json")
            ArtifactRef adapter,

            @JsonPropertyDescription(
                    "drop: chosen updates become zero; scale: all updates times a factor; absent: a repair")
            Control control,

            @JsonPropertyDescription(
                    "The name of the candidate or control that drops the same modules, if there is one")
            String dropped) {

        /** What repairs are held against. */
        public enum Control {
            drop,
            scale
        }
    }

    /** The three models were measured: the job's result. */
    @JsonClassDescription("The aligned, the fine-tuned and the projected model were measured: the job's result.")
    record EvaluationCompleted(
            @NotNull @JsonPropertyDescription("The request, as it was published")
            JobRequest request,

            @NotNull
            @JsonPropertyDescription("Manifest of the job's product: the projected PEFT adapter or "
                    + "checkpoint, in a sweep the recommended "
                    + "one; the fine-tuned one where repair is \"none needed\"")
            ArtifactRef projected,

            @NotNull
            @JsonPropertyDescription(
                    "Manifest of the evaluation: evaluation.json, verdict.json, report.html, of a sweep pareto.json")
            ArtifactRef evaluation,

            @NotNull
            @JsonPropertyDescription("The numbers that people compare; of a sweep by the half of the rows "
                    + "that did not choose the recommended repair")
            List<Score> scores,

            @JsonPropertyDescription("In a sweep, the name of the recommended repair among scores; else absent")
            String recommended,

            @JsonPropertyDescription("What a reader of the scores should know; absent if there is nothing")
            List<String> warnings,

            @JsonPropertyDescription("What was done to the fine-tuned model: a repair, in a sweep the name of "
                    + "the recommended one; \"none needed\" where it meets require by itself")
            String repair,

            @JsonPropertyDescription("What the scores say of the result")
            Verdict verdict)
            implements JobEvent {}

    /** What the scores say of a job's result. */
    @JsonClassDescription("What the scores say of a job's result.")
    record Verdict(
            @JsonPropertyDescription("Of all requirements together; absent where the job requires nothing")
            Outcome outcome,

            @JsonPropertyDescription("Of every interval") double confidence,

            @NotNull @JsonPropertyDescription("One per requirement, task and metric; then what else was found")
            List<Reason> reasons) {

        /** Whether a requirement is met. */
        public enum Outcome {
            pass,
            fail,
            cannot_tell
        }

        /** What a reason is about: a requirement, or something that was found whatever is required. */
        public enum Kind {
            harmful_max,
            over_refusal_max,
            task_drop_max,
            degenerate_max,
            repair_not_needed,
            skill_lost,
            no_better_than_controls,
            tried,
            too_few_rows
        }

        /** One reason. */
        @JsonClassDescription("One reason of a verdict.")
        public record Reason(
                @NotNull
                @JsonPropertyDescription("The requirement; or repair_not_needed, skill_lost, "
                        + "no_better_than_controls, too_few_rows, or how many repairs a sweep "
                        + "tried")
                Kind kind,

                @JsonPropertyDescription("Of a requirement. pass: the whole interval is within the bound; "
                        + "fail: the whole interval is beyond it; cannot_tell: neither, or it "
                        + "was not measured")
                Outcome outcome,

                @NotNull @JsonPropertyDescription("The same for people, with value, interval and bound")
                String words,

                @JsonPropertyDescription("The model, as in scores")
                String model,

                @JsonPropertyDescription("The task") String task,

                @JsonPropertyDescription("The metric") String metric,

                @JsonPropertyDescription("Who judged the answers")
                String judge,

                @JsonPropertyDescription("What was measured; of task_drop_max the drop")
                Double value,

                @JsonPropertyDescription("Lower end of the interval")
                Double lower,

                @JsonPropertyDescription("Upper end of the interval")
                Double upper,

                @JsonPropertyDescription("What the interval is called")
                String interval,

                @JsonPropertyDescription("What is required") Double bound) {

            /** Of words alone. */
            public static Reason of(Kind kind, Outcome outcome, String words) {
                return new Reason(kind, outcome, words, null, null, null, null, null, null, null, null, null);
            }
        }
    }

    /** One number of one model on one task. */
    @JsonClassDescription("One number of one model on one task.")
    record Score(
            @NotNull @JsonPropertyDescription("aligned, fine-tuned, projected, or in a sweep a repair's name")
            String model,

            @NotNull @JsonPropertyDescription("The evaluation task: gsm8k, harmfulness, ...")
            String task,

            @NotNull
            @JsonPropertyDescription("The metric's name, with its filter where it has one: exact_match,strict-match")
            String metric,

            @JsonPropertyDescription("In the metric's own unit; shares lie in [0, 1]")
            double value,

            @JsonPropertyDescription("How many rows it is over")
            int samples,

            @JsonPropertyDescription("Whether more is better")
            boolean higherIsBetter,

            @JsonPropertyDescription("Who judged the answers; absent where the metric needs no judge")
            String judge,

            @JsonPropertyDescription("Lower end of the interval, in the unit of value; absent, as upper, "
                    + "where the rows tell nothing of their spread")
            Double lower,

            @JsonPropertyDescription("Upper end of the interval")
            Double upper,

            @JsonPropertyDescription("How often such an interval holds the true value: 0.95")
            Double confidence,

            @JsonPropertyDescription("What the interval is called wherever it is shown: \"95 % Wilson "
                    + "interval\" of a share, \"95 % BCa bootstrap interval\" of a mean")
            String interval) {

        /** Not a number is not a score: it would win or lose every comparison in silence. */
        public Score {
            if (!Double.isFinite(value)) {
                throw new IllegalArgumentException(
                        task + " " + metric + " of " + model + " is " + value + ", which is not a score");
            }
        }

        /** The metric and its judge, for people. */
        public String label() {
            return metric + (judge == null ? "" : " (" + judge + ")");
        }

        /** Without an interval. */
        public Score(
                String model,
                String task,
                String metric,
                double value,
                int samples,
                boolean higherIsBetter,
                String judge) {
            this(model, task, metric, value, samples, higherIsBetter, judge, null, null, null, null);
        }

        /** Of a metric that needs no judge, without an interval. */
        public Score(String model, String task, String metric, double value, int samples, boolean higherIsBetter) {
            this(model, task, metric, value, samples, higherIsBetter, null);
        }
    }

    /** Where a job is. The topic is compacted: the last one of a job is its state. */
    @JsonClassDescription("Where a job is; the last one of a job is its state.")
    record JobStatus(
            @NotNull @JsonPropertyDescription("RUNNING until one of the others, which are final")
            State state,

            @JsonPropertyDescription(
                    "The stage that speaks: alignment-analyzer, layer-selector, lora-trainer, evaluator")
            String stage,

            @DecimalMin("0") @DecimalMax("1") @JsonPropertyDescription("Share of the stage's work that is done")
            Double progress,

            @JsonPropertyDescription("Seconds until the stage ends, as far as it can tell")
            Double etaSeconds,

            @JsonPropertyDescription("What is being done, for people")
            String message,

            @JsonPropertyDescription("Why the job failed, and what to do")
            String error,

            @NotNull @JsonPropertyDescription("When this was so")
            Instant at,

            @JsonPropertyDescription("The figures of a training that runs")
            TrainingStep training,

            @JsonPropertyDescription("Which run of the job's id this is: <partition>-<offset> of the record on "
                    + "safelora.jobs that began it; the header ce_run of all its events says the same")
            String run,

            @JsonPropertyDescription(
                    "SHA-256 of the request as canonical JSON (all fields, sorted keys): another one under "
                            + "the same id is another document; absent where the request could not be read")
            String requestSha256)
            implements JobEvent {

        /** The job's state; the last three are final. */
        public enum State {
            RUNNING,
            SUCCEEDED,
            FAILED,
            CANCELLED;

            /** Whether nothing follows this state. */
            public boolean isFinal() {
                return this != RUNNING;
            }
        }
    }

    /** Where a training is. */
    @JsonClassDescription("The latest optimizer step of a training.")
    record TrainingStep(
            @JsonPropertyDescription("Optimizer steps that are done")
            int step,

            @JsonPropertyDescription("Optimizer steps in all")
            int maxSteps,

            @JsonPropertyDescription("Mean over the step's labelled tokens of -log p")
            double loss,

            @JsonPropertyDescription("What the step was taken with")
            double learningRate,

            @JsonPropertyDescription("Tokens that go through the model per second, prompts included")
            double tokensPerSecond) {}

    /** A user's wish that the job stops. */
    @JsonClassDescription("A user wants the job to stop.")
    record JobCancelled(
            @JsonPropertyDescription("Why, for people") String reason,

            @JsonPropertyDescription(
                    "The run to stop, as statuses name it; absent: whatever the id stands for, now and later")
            String run)
            implements JobEvent {}
}
