package io.safelora.training;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.ResumePoint;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.contract.InvalidJobException;
import io.safelora.contract.Json;
import io.safelora.contract.TrainingOptions;
import io.safelora.contract.TrainingOptions.DataFormat;
import io.safelora.contract.TrainingOptions.Method;
import io.safelora.lm.CausalLm;
import io.safelora.lm.ModelFiles;
import io.safelora.lm.TrainingPass;
import io.safelora.torch.AdamW;
import io.safelora.training.TrainerState.Entry;
import io.safelora.training.TrainingData.Example;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Fine-tuning as PEFT and transformers' Trainer do it, of a LoRA adapter or of all weights: AdamW in float32, the loss
 * of a step averaged over all labelled tokens of its accumulated batches. On a CPU the same options give the same
 * bytes, killed and resumed or not.
 */
public final class FineTuning implements AutoCloseable {
    /** Raised whenever the same options and inputs give another result than before: results are kept under it. */
    public static final int VERSION = 4;

    public static final String TRAINER_STATE = "trainer_state.json";
    /** How long a GPU works before it is asked for its losses. */
    private static final long READ_NANOS = 1_000_000_000L;

    /**
     * What is trained on what.
     *
     * @param model a Hugging Face model directory
     * @param data a file of rows, as all three
     * @param safetyData rows that are mixed in, or null
     * @param validationData rows on which eval_loss is measured, or null
     * @param initAdapter with method lora a PEFT adapter to start from, whose rank, scale and modules win over the
     *     options; or null
     * @param device cpu, cuda, cuda:N or auto
     * @param dtype what the frozen model computes in: auto, float32 or bfloat16; with method full auto or float32, and
     *     it is float32
     * @param origin what the model card tells of where all this comes from
     */
    public record Options(
            Path model,
            Path data,
            Path safetyData,
            Path validationData,
            TrainingOptions training,
            Path initAdapter,
            String device,
            String dtype,
            ModelCard.Origin origin) {}

    /**
     * How far a training is.
     *
     * @param resumedAt the step after which this process began: 0, or that of the checkpoint it went on from
     * @param etaSeconds until the last step is done
     * @param note what has changed on the way, for people; or null
     */
    public record Progress(
            int step,
            int resumedAt,
            int maxSteps,
            double loss,
            double learningRate,
            double tokensPerSecond,
            double etaSeconds,
            String note) {
        @Override
        public String toString() {
            return String.format(
                            Locale.ROOT,
                            "step %d of %d, loss %.4f, learning rate %.3g, %.0f tokens/s",
                            step,
                            maxSteps,
                            loss,
                            learningRate,
                            tokensPerSecond)
                    + (note == null ? "" : ", " + note);
        }
    }

    /** Told of the latest step, on a GPU at most every second; may throw to stop the training. */
    public interface Listener {
        void progress(Progress progress);
    }

    /** Called after every optimizer step; may change the parameters in place. */
    public interface StepHook {
        /** @param parameters by name: {@code model.layers.0.self_attn.q_proj.lora_A.weight}, or the weight's own */
        void afterStep(Map<String, NDArray> parameters);
    }

    /** A step whose loss and gradient norm may not have left the device yet. */
    private record Taken(int step, double epoch, double learningRate, List<NDArray> losses, int items, NDArray norm) {}

    private final Options options;
    private final TrainingOptions training;
    private final CausalLm model;
    private final NDManager manager;
    private final NDManager pendingManager;
    private final List<Taken> pending = new ArrayList<>();
    private final ResumePoint checkpoint;
    private final StepHook hook;
    private final Listener listener;
    private final List<Example> validation;
    private final DataOrder data;
    private final LearningRate learningRate;
    private final Trainable trained;
    private final TrainingPass pass;
    private final AdamW optimizer;
    private final MicroBatches batches;
    private final TrainingState state;
    private final List<String> notes = new ArrayList<>();
    private String note;
    private long tokens;
    private int resumedAt;
    private long began;

    /** What was trained, in memory. */
    public interface Result {
        void writeTo(Path directory) throws IOException;
    }

    /** Puts the result away; hours of work must not be lost because a disk is full. */
    public interface Keeper {
        void keep(Result result) throws IOException;
    }

    /** Trains, and writes the result to {@code out}. */
    public static TrainerState run(Options options, Path out, ResumePoint checkpoint, StepHook hook, Listener listener)
            throws IOException {
        return run(options, out, result -> result.writeTo(out), checkpoint, hook, listener);
    }

    /**
     * Trains, and gives a PEFT adapter, or with method full a checkpoint, with trainer_state.json and README.md.
     *
     * @param out where the result is meant to go
     * @param keeper writes it there, or elsewhere if that fails
     * @throws IllegalArgumentException if options, model or data are wrong, or the loss becomes NaN or infinite
     */
    public static TrainerState run(
            Options options, Path out, Keeper keeper, ResumePoint checkpoint, StepHook hook, Listener listener)
            throws IOException {
        boolean full = options.training().method() == Method.full;
        if (full) {
            TrainedWeights.check(options, out);
        }
        try (CausalLm model = full
                        ? CausalLm.loadToTrain(options.model(), options.device())
                        : CausalLm.load(options.model(), options.initAdapter(), options.device(), options.dtype());
                FineTuning training = new FineTuning(options, model, checkpoint, hook, listener)) {
            training.train();
            TrainerState state =
                    training.state.result(training.data.epoch(training.state.step - 1), training.data.steps());
            keeper.keep(directory -> training.write(state, directory));
            return state;
        }
    }

    /** The same from the first step on, without a checkpoint. */
    public static TrainerState run(Options options, Path out, Listener listener) throws IOException {
        return run(options, out, null, parameters -> {}, listener);
    }

    private FineTuning(Options options, CausalLm model, ResumePoint checkpoint, StepHook hook, Listener listener)
            throws IOException {
        this.options = options;
        this.training = options.training();
        this.model = model;
        this.checkpoint = checkpoint;
        this.hook = hook;
        this.listener = listener;
        checkEarlyStopping(training, options.validationData() != null);
        List<Example> examples = read(options.data(), training.dataFormat());
        if (options.safetyData() != null) {
            examples = TrainingData.mixed(
                    examples,
                    read(options.safetyData(), training.safetyDataFormat()),
                    training.safetyRatio(),
                    training.seed());
        }
        validation =
                options.validationData() == null ? List.of() : read(options.validationData(), training.dataFormat());
        data = new DataOrder(examples, training);
        learningRate = new LearningRate(training, data.steps());
        trained = training.method() == Method.full
                ? new TrainedWeights(model, options)
                : new TrainedAdapter(model, options);
        pass = model.trainingPass(trained.adapter());
        manager = model.newManager();
        pendingManager = manager.newSubManager();
        optimizer = new AdamW(
                manager,
                List.copyOf(trained.parameters().values()),
                trained.decayed(),
                training.weightDecay(),
                training.maxGradNorm());
        batches = new MicroBatches(training.perDeviceTrainBatchSize());
        state = new TrainingState(manager, trained.parameters(), optimizer, batches);
    }

    private List<Example> read(Path data, DataFormat format) throws IOException {
        return TrainingData.read(data, format, training, model.files(), notes, Long.MAX_VALUE);
    }

    /** How many rows of each file {@link #checkData} looks at. */
    private static final int ROWS_CHECKED = 100;

    /**
     * Refuses options that a training on the model would refuse at its start.
     *
     * @throws IllegalArgumentException naming the option
     */
    public static void check(TrainingOptions training, ModelFiles model) {
        checkEarlyStopping(training, training.validationData() != null);
        if (training.method() == Method.lora) {
            Targets.of(model, training);
        }
    }

    private static void checkEarlyStopping(TrainingOptions training, boolean validated) {
        if (training.earlyStoppingPatience() != null && !validated) {
            throw new InvalidJobException("training.early_stopping_patience: needs training.validation_data");
        }
    }

    /**
     * Reads the first rows of training data, as a training would.
     *
     * @throws InvalidArtifactException if they are not of the format, or the model's chat template refuses them
     */
    public static void checkData(Path data, DataFormat format, TrainingOptions training, ModelFiles model)
            throws IOException {
        TrainingData.read(data, format, training, model, new ArrayList<>(), ROWS_CHECKED);
    }

    private void train() throws IOException {
        String dropout = ModelDropout.note(Checkpoint.open(options.model()).config());
        if (dropout != null) {
            notes.add(dropout);
        }
        if (model.textsNote(null) != null) {
            notes.add(model.textsNote(null));
        }
        if (checkpoint != null && state.load(checkpoint, options.origin().fingerprint())) {
            notes.add("resumed after step " + state.step);
        }
        note = notes.isEmpty() ? null : String.join(", ", notes);
        int total = data.steps();
        boolean gpu = manager.getDevice().isGpu();
        began = System.nanoTime();
        resumedAt = state.step;
        long lastRead = began;
        long lastSave = began;
        while (state.step < total && !state.stopped) {
            take(state.step);
            state.step++;
            long now = System.nanoTime();
            boolean measure = !validation.isEmpty() && (state.step % evalSteps() == 0 || state.step == total);
            boolean save = checkpoint != null
                    && state.step < total
                    && (training.saveSteps() != null
                            ? state.step % training.saveSteps() == 0
                            : now - lastSave >= training.saveSeconds() * 1e9);
            if (!gpu || measure || save || state.step == total || now - lastRead >= READ_NANOS) {
                read();
                lastRead = now;
            }
            if (measure) {
                measure();
            }
            if (save) {
                state.save(checkpoint, options.origin().fingerprint());
                lastSave = System.nanoTime();
            }
        }
    }

    /** One optimizer step, not waiting for its result. */
    private void take(int step) {
        List<Example> rows = data.rows(step);
        int items = rows.stream().mapToInt(Example::labelled).sum();
        double rate = learningRate.at(step);
        List<NDArray> losses = List.of();
        NDArray norm = null;
        // Where every answer of the step lies behind max_length, there is nothing to learn.
        if (items > 0) {
            losses = backward(rows, items, step);
            norm = optimizer.step(pendingManager, rate);
            hook.afterStep(trained.parameters());
        }
        tokens += rows.stream().mapToInt(e -> e.ids().length).sum();
        pending.add(new Taken(step, data.epoch(step), rate, losses, items, norm));
    }

    /** Sums up the gradients of a step; the sums of -log p of its parts. */
    private List<NDArray> backward(List<Example> rows, int items, int step) {
        return batches.run(
                rows,
                part -> pass.backward(
                        pendingManager,
                        part.stream().map(Example::ids).toList(),
                        part.stream().map(Example::labels).toList(),
                        new TrainingPass.Options(
                                trained.dropout(),
                                seed(step, rows.indexOf(part.get(0))),
                                training.gradientCheckpointing()),
                        1.0 / items),
                () -> {
                    optimizer.zeroGradients();
                    OutOfMemory.tidy(manager.getDevice().isGpu());
                    note = "out of memory: " + batches.size() + " rows at a time instead of "
                            + training.perDeviceTrainBatchSize() + ", same effective batch";
                });
    }

    /**
     * Follows from a step's number and a row's place in it, so that a resumed run drops what an undisturbed one drops.
     */
    private long seed(int step, int row) {
        return (training.seed() * 1_000_003 + step) * 4096 + row * 131L;
    }

    private NDArray loss(NDManager scratch, List<Example> part, double dropout) {
        return pass.loss(
                scratch,
                part.stream().map(Example::ids).toList(),
                part.stream().map(Example::labels).toList(),
                dropout);
    }

    /** Reads the losses of the steps that are taken, waiting for the device, and tells of the last one. */
    private void read() {
        double loss = Double.NaN;
        for (Taken taken : pending) {
            loss = 0;
            for (NDArray part : taken.losses()) {
                loss += part.getFloat() / (double) taken.items();
            }
            double norm = taken.norm() == null ? 0 : taken.norm().getFloat();
            taken.losses().forEach(NDArray::close);
            if (taken.norm() != null) {
                taken.norm().close();
            }
            if (!Double.isFinite(loss) || !Double.isFinite(norm)) {
                throw new TrainingDivergedException("training diverged: at step " + (taken.step() + 1)
                        + " the loss is " + loss + " and the gradient norm " + norm
                        + "; lower learning_rate or max_grad_norm, or warm up longer"
                        + (state.saved ? "; the last good checkpoint is " + checkpoint : ""));
            }
            state.log.add(new Entry(taken.epoch(), null, norm, taken.learningRate(), loss, taken.step() + 1));
        }
        if (!pending.isEmpty()) {
            double seconds = (System.nanoTime() - began) / 1e9;
            int total = data.steps();
            listener.progress(new Progress(
                    state.step,
                    resumedAt,
                    total,
                    loss,
                    pending.get(pending.size() - 1).learningRate(),
                    tokens / seconds,
                    seconds / (state.step - resumedAt) * (total - state.step),
                    note));
            note = null;
        }
        pending.clear();
    }

    private int evalSteps() {
        return training.evalSteps() != null ? training.evalSteps() : data.stepsPerEpoch();
    }

    /**
     * Measures eval_loss, the mean of -log p over all labelled tokens of the validation set, and may end the training.
     */
    private void measure() {
        double sum = batches
                .run(
                        validation,
                        part -> {
                            try (NDManager scratch = model.newManager()) {
                                return (double) loss(scratch, part, 0).getFloat();
                            }
                        },
                        () -> OutOfMemory.tidy(manager.getDevice().isGpu()))
                .stream()
                .mapToDouble(Double::doubleValue)
                .sum();
        int items = validation.stream().mapToInt(Example::labelled).sum();
        double loss = sum / items;
        state.log.add(new Entry(data.epoch(state.step - 1), loss, null, null, null, state.step));
        state.measured(loss, training.earlyStoppingPatience());
    }

    private void write(TrainerState result, Path out) throws IOException {
        trained.write(state.chosen(training.earlyStoppingPatience()), result, out);
        Files.write(out.resolve(TRAINER_STATE), Json.pretty(result));
    }

    @Override
    public void close() {
        optimizer.close();
        manager.close();
    }
}
