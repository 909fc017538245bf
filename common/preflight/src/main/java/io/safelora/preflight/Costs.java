package io.safelora.preflight;

import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.contract.EvaluationTask;
import io.safelora.contract.JobRequest;
import io.safelora.contract.JudgeOptions;
import io.safelora.contract.SelectionOptions;
import io.safelora.contract.SelectionOptions.Projector;
import io.safelora.contract.TaskFile.OutputType;
import io.safelora.contract.TrainingOptions;
import io.safelora.contract.TrainingOptions.Method;
import io.safelora.evaluation.Task;
import io.safelora.lm.ModelConfig;
import io.safelora.lm.ModelFiles;
import io.safelora.method.Sweep;
import io.safelora.preflight.Estimate.Stage;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;

/** Counts a job's cost from the headers of the models, the rows of the data and the job's options. */
final class Costs {
    /** What a JVM with PyTorch, Quarkus and Kafka takes before it has anything to do. */
    private static final double PROCESS_BYTES = 1.1e9;

    /** Where a checkpoint is read and hashed once. */
    private static final double DISK_BYTES_PER_SECOND = 4e8;

    /** Loading PyTorch, a tokenizer, writing results. */
    private static final double STAGE_SECONDS = 1;

    /** How many kernels a decoder layer calls. */
    private static final double LAYER_CALLS = 40;

    /** Operations of the analysis per element of V, its sketch of the spectrum included. */
    private static final double ANALYSIS_OPERATIONS = 2000;

    /** Singular values of an n x n matrix take so many times n^3 operations. */
    private static final double SVD_OPERATIONS = 20;

    /** Tokens that guard models are told beside a request and its answer. */
    private static final double GUARD_PROMPT = 300;

    private final JobRequest request;
    private final JobInputs inputs;
    private final Machine machine;
    private final ModelFiles model;
    private final Size aligned;
    private final double elementBytes;

    /**
     * @param modules elements of the linear modules
     * @param head elements of the output head
     * @param largest elements of the largest module
     * @param fileBytes of all tensors
     */
    private record Size(double modules, double head, double largest, int layers, int hidden, double fileBytes) {
        static Size of(Checkpoint checkpoint, ModelFiles model) {
            Collection<long[]> shapes = model.linearModules().values();
            ModelConfig config = model.config();
            return new Size(
                    shapes.stream().mapToDouble(s -> (double) s[0] * s[1]).sum(),
                    (double) config.vocabSize() * config.hiddenSize(),
                    shapes.stream().mapToDouble(s -> (double) s[0] * s[1]).max().orElse(0),
                    config.numHiddenLayers(),
                    config.hiddenSize(),
                    checkpoint.names().stream()
                            .mapToDouble(name -> bytes(checkpoint, name))
                            .sum());
        }

        private static double bytes(Checkpoint checkpoint, String name) {
            return checkpoint.info(name).end() - checkpoint.info(name).begin();
        }

        double elements() {
            return modules + head;
        }
    }

    private Costs(JobRequest request, JobInputs inputs, Machine machine, ModelFiles model, Dtype dtype)
            throws IOException {
        this.request = request;
        this.inputs = inputs;
        this.machine = machine;
        this.model = model;
        aligned = Size.of(inputs.checkpoint(request.aligned()), model);
        elementBytes = dtype.bytes();
    }

    /**
     * By stage, in the order in which they run.
     *
     * @param inputs of the same job, which {@link JobInputs#check} has found right
     * @param dtype what models are computed in
     */
    static List<Stage> of(JobRequest request, JobInputs inputs, Machine machine, Dtype dtype) throws IOException {
        try (ModelFiles model = inputs.aligned()) {
            Costs costs = new Costs(request, inputs, machine, model, dtype);
            List<Stage> stages = new ArrayList<>(List.of(costs.analysis()));
            if (request.training() != null) {
                stages.add(costs.training(request.training()));
            }
            stages.add(costs.repair(request.selection()));
            if (!request.evaluation().isEmpty()) {
                stages.add(costs.evaluation());
            }
            return stages;
        }
    }

    private static Stage stage(String name, double seconds, double bytes) {
        return new Stage(name, STAGE_SECONDS + seconds, (long) (PROCESS_BYTES + bytes));
    }

    private Stage analysis() {
        double seconds = 2 * aligned.fileBytes() / DISK_BYTES_PER_SECOND
                + aligned.modules() * ANALYSIS_OPERATIONS / machine.operationsPerSecond();
        return stage("alignment-analyzer", seconds, 2 * aligned.fileBytes() + 16 * aligned.largest());
    }

    private Stage training(TrainingOptions options) throws IOException {
        boolean full = options.method() == Method.full;
        DataSample data = DataSample.of(inputs.local(options.data()), model.tokenizer());
        double rows = data.rows() * (options.safetyData() == null ? 1 : 1 + options.safetyRatio());
        double tokens = Math.min(data.tokens(), options.maxLength());
        double rowsPerStep =
                Math.min(rows, options.perDeviceTrainBatchSize() * (double) options.gradientAccumulationSteps());
        double steps = options.maxSteps() != null
                ? options.maxSteps()
                : Math.ceil(rows / rowsPerStep) * options.numTrainEpochs();
        // Forward, the gradient of what comes in, and with method full that of the weights.
        double passes = full ? 3 : options.gradientCheckpointing() ? 3 : 2;
        double trained = full ? aligned.elements() : adapterElements(options);
        double seconds = steps
                * (rowsPerStep * tokens * passes * forward(tokens)
                        + options.gradientAccumulationSteps() * passes * calls()
                        + trained * 28 / machine.bytesPerSecond());
        if (options.validationData() != null) {
            DataSample validation = DataSample.of(inputs.local(options.validationData()), model.tokenizer());
            double measurements =
                    Math.max(1, options.evalSteps() == null ? steps * rowsPerStep / rows : steps / options.evalSteps());
            seconds += measurements * validation.rows() * tokens * forward(tokens);
        }
        double together = Math.min(rows, options.perDeviceTrainBatchSize()) * tokens;
        double perLayer =
                together * (12.0 * aligned.hidden() + 4.0 * model.config().intermediateSize());
        double activations = options.gradientCheckpointing()
                ? perLayer + together * aligned.hidden() * aligned.layers()
                : perLayer * aligned.layers();
        double logits = together * model.config().vocabSize() * 4 * 2;
        double bytes =
                weights(full ? 4 : elementBytes) + trained * 16 + activations * (full ? 4 : elementBytes) + logits;
        return stage("lora-trainer", seconds, bytes);
    }

    private double adapterElements(TrainingOptions options) {
        return model.linearModules().values().stream()
                .mapToDouble(shape -> (shape[0] + shape[1]) * (double) options.r())
                .sum();
    }

    /**
     * Measuring cosines, choosing, repairing: both checkpoints are read, and V is multiplied by what is as slim as an
     * adapter.
     */
    private Stage repair(SelectionOptions options) throws IOException {
        int rank = request.training() != null && request.training().r() != null
                ? request.training().r()
                : 16;
        double seconds = 2 * 2 * aligned.fileBytes() / DISK_BYTES_PER_SECOND
                + aligned.modules() * 8 * rank / machine.operationsPerSecond();
        if (options.projector() == Projector.exact || options.projector() == Projector.subspace) {
            seconds += model.linearModules().values().stream()
                            .mapToDouble(s -> SVD_OPERATIONS * Math.max(s[0], s[1]) * Math.pow(Math.min(s[0], s[1]), 2))
                            .sum()
                    / machine.operationsPerSecond();
        }
        return stage("selection and repair", seconds * repairs(options), 32 * aligned.largest());
    }

    private static int repairs(SelectionOptions options) {
        return options.sweep() == null ? 1 : Sweep.points(options).size();
    }

    private Stage evaluation() throws IOException {
        // The aligned, the fine-tuned, every repaired model, and the controls dropped and scaled, which a sweep has
        // already.
        boolean controls = request.controls() && request.selection().sweep() == null;
        int models = 2 + repairs(request.selection()) + (controls ? 2 : 0);
        double seconds = 0;
        double bytes = 0;
        for (EvaluationTask options : request.evaluation()) {
            Task task = Task.of(options, inputs::local);
            DataSample data = DataSample.of(inputs.local(options.data()), model.tokenizer());
            double sequences = (double) models * options.rows((int) Math.min(Integer.MAX_VALUE, data.rows()));
            double prompt = Math.min(
                    data.tokens() * (1 + task.numFewshot()), model.config().maxPositionEmbeddings());
            double together = Math.min(sequences, options.batchSize());
            double answer = answer(task);
            double batches = Math.ceil(sequences / together);
            seconds += sequences * prompt * forward(prompt) + batches * calls();
            seconds += batches
                    * answer
                    * (calls()
                            + Math.max(
                                    aligned.elements() * elementBytes / machine.bytesPerSecond(),
                                    together * 2 * aligned.elements() / machine.operationsPerSecond()));
            ModelConfig config = model.config();
            double cache = together
                    * (prompt + answer)
                    * aligned.layers()
                    * 2
                    * config.numKeyValueHeads()
                    * config.headDim()
                    * elementBytes;
            bytes = Math.max(bytes, cache + together * config.vocabSize() * 4 * 2);
            for (JudgeOptions judge : guards(task)) {
                Size guard = guard(judge);
                double read = data.tokens() + answer + GUARD_PROMPT;
                seconds += sequences * read * 2 * guard.elements() / machine.operationsPerSecond();
                bytes = Math.max(bytes, 2 * guard.elements() * elementBytes - weights(elementBytes));
            }
        }
        return stage("evaluator", seconds, weights(elementBytes) + bytes);
    }

    private List<JudgeOptions> guards(Task task) {
        return request.judges().stream()
                .filter(judge -> judge.model() != null && task.judges().contains(judge.id()))
                .toList();
    }

    private Size guard(JudgeOptions judge) throws IOException {
        try (ModelFiles files = inputs.model(judge.model())) {
            return Size.of(inputs.checkpoint(judge.model()), files);
        }
    }

    private static double answer(Task task) {
        return task.outputType() == OutputType.generate_until ? task.maxNewTokens() : 0;
    }

    /** Seconds of a token's way through all layers and half a head: the loss looks at answers alone. */
    private double forward(double context) {
        double attention = 2.0 * context * aligned.hidden() * aligned.layers();
        return (2 * (aligned.modules() + aligned.head() / 2) + attention) / machine.operationsPerSecond();
    }

    /** Seconds of calling all layers' kernels once, whatever they compute. */
    private double calls() {
        return LAYER_CALLS * aligned.layers() * machine.secondsPerCall();
    }

    /** A model in memory: mapped from its file, and packed for the CPU's kernels. */
    private double weights(double bytesPerElement) {
        return aligned.fileBytes() + aligned.elements() * bytesPerElement;
    }
}
