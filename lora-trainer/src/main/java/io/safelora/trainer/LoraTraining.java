package io.safelora.trainer;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.checkpoint.LoraConfig;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.contract.Json;
import io.safelora.contract.TrainingOptions;
import io.safelora.lm.CausalLm;
import io.safelora.lm.Lora;
import io.safelora.torch.AdamW;
import io.safelora.torch.Tensors;
import io.safelora.trainer.TrainingData.Example;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * LoRA fine-tuning (Hu et al., arXiv 2106.09685) as PEFT and transformers' Trainer do it: AdamW on A and B in float32, the
 * loss of a step averaged over all labelled tokens of its accumulated batches. On a CPU the same options give the same
 * bytes.
 */
public final class LoraTraining {
    public static final String TRAINER_STATE = "trainer_state.json";
    private static final String ADAPTER = "trained";

    private LoraTraining() {}

    /**
     * What is trained on what.
     *
     * @param model a Hugging Face model directory
     * @param modelName what the adapter calls its base model
     * @param data a JSON Lines file
     * @param initAdapter a PEFT adapter to start from, whose rank, scale and modules win over the options; or null
     * @param device cpu, cuda, cuda:N or auto
     * @param dtype what the frozen model computes in: auto, float32 or bfloat16
     */
    public record Options(
            Path model,
            String modelName,
            Path data,
            TrainingOptions training,
            Path initAdapter,
            String device,
            String dtype) {}

    /** Told after every optimizer step; may throw to stop the training. */
    public interface Listener {
        void step(int step, int of, double loss, double tokensPerSecond);
    }

    /** A step of trainer_state.json's log_history, under transformers' names. */
    public record Step(double epoch, double gradNorm, double learningRate, double loss, int step) {}

    /** trainer_state.json. */
    public record TrainerState(double epoch, int globalStep, int maxSteps, List<Step> logHistory) {}

    /**
     * Trains, and writes a PEFT adapter with trainer_state.json.
     *
     * @throws IllegalArgumentException if options, model or data are wrong, or the loss is no number any more
     */
    public static TrainerState run(Options options, Path out, Listener listener) throws IOException {
        TrainingOptions training = options.training();
        try (CausalLm model = CausalLm.load(options.model(), options.device(), options.dtype());
                NDManager manager = model.newManager()) {
            List<Example> examples = TrainingData.read(options.data(), training, model);
            PeftAdapter initial =
                    options.initAdapter() != null ? PeftAdapter.open(options.initAdapter()) : initial(options, model);
            Lora lora = model.addAdapter(ADAPTER, initial.modules().values());
            TrainerState state;
            try (AdamW optimizer = new AdamW(
                    manager, List.copyOf(lora.parameters().values()), training.weightDecay(), training.maxGradNorm())) {
                double dropout =
                        options.initAdapter() != null ? initial.config().loraDropout() : training.loraDropout();
                state = train(model, examples, training, dropout, optimizer, listener);
            }
            PeftAdapter.of(initial.config(), trained(initial, lora)).write(out);
            Files.write(out.resolve(TRAINER_STATE), Json.pretty(state));
            Files.writeString(out.resolve("README.md"), ModelCard.of(options, initial, examples.size(), state));
            return state;
        }
    }

    private static TrainerState train(
            CausalLm model,
            List<Example> examples,
            TrainingOptions options,
            double dropout,
            AdamW optimizer,
            Listener listener) {
        int batch = options.perDeviceTrainBatchSize();
        int batchesPerEpoch = (examples.size() + batch - 1) / batch;
        int stepsPerEpoch =
                (batchesPerEpoch + options.gradientAccumulationSteps() - 1) / options.gradientAccumulationSteps();
        int total = options.maxSteps() != null
                ? options.maxSteps()
                : (int) Math.max(1, Math.ceil(options.numTrainEpochs() * stepsPerEpoch));
        LearningRate learningRate = new LearningRate(options, total);
        List<Step> log = new ArrayList<>();
        List<List<Example>> batches = List.of();
        int next = 0;
        int epoch = 0;
        long began = System.nanoTime();
        long tokens = 0;
        for (int step = 0; step < total; step++) {
            if (next == batches.size()) {
                batches = batches(examples, batch, options, epoch++);
                next = 0;
            }
            List<List<Example>> accumulated =
                    batches.subList(next, Math.min(next + options.gradientAccumulationSteps(), batches.size()));
            next += accumulated.size();
            int items = accumulated.stream()
                    .flatMap(List::stream)
                    .mapToInt(Example::labelled)
                    .sum();
            // The seed of every step follows from its number, so that a resumed run drops what an undisturbed one
            // drops.
            if (dropout > 0) {
                Engine.getEngine("PyTorch").setRandomSeed((int) (options.seed() * 1_000_003 + step));
            }
            double loss = 0;
            for (List<Example> microBatch : accumulated) {
                loss += backward(model, microBatch, items, dropout);
                tokens += microBatch.stream().mapToInt(e -> e.ids().length).sum();
            }
            double rate = learningRate.at(step);
            // Where every answer of the step lies behind max_length, there is nothing to learn.
            double gradNorm = items == 0 ? 0 : optimizer.step(rate);
            if (!Double.isFinite(loss) || !Double.isFinite(gradNorm)) {
                throw new TrainingDivergedException(
                        "training diverged: at step " + (step + 1) + " the loss is " + loss + " and the gradient norm "
                                + gradNorm + "; lower learning_rate or max_grad_norm, or warm up longer");
            }
            double done = epoch - 1 + (double) next / batches.size();
            log.add(new Step(done, gradNorm, rate, loss, step + 1));
            listener.step(step + 1, total, loss, tokens / ((System.nanoTime() - began) / 1e9));
        }
        return new TrainerState(log.get(log.size() - 1).epoch(), total, total, log);
    }

    /** Adds a micro-batch's share of the step's loss to the gradients. */
    private static double backward(CausalLm model, List<Example> batch, int items, double dropout) {
        List<Example> labelled = batch.stream().filter(e -> e.labelled() > 0).toList();
        if (labelled.isEmpty()) {
            return 0;
        }
        try (NDManager scratch = model.newManager()) {
            NDArray sum = model.loss(
                    scratch,
                    labelled.stream().map(Example::ids).toList(),
                    labelled.stream().map(Example::labels).toList(),
                    ADAPTER,
                    dropout);
            Tensors.backward(sum, scratch.full(sum.getShape(), 1f / items));
            return sum.getFloat() / (double) items;
        }
    }

    private static List<List<Example>> batches(List<Example> examples, int size, TrainingOptions options, int epoch) {
        List<Integer> order =
                new ArrayList<>(IntStream.range(0, examples.size()).boxed().toList());
        if (options.shuffle()) {
            Collections.shuffle(order, new Random(options.seed() + epoch));
        }
        List<List<Example>> batches = new ArrayList<>();
        for (int i = 0; i < order.size(); i += size) {
            batches.add(order.subList(i, Math.min(i + size, order.size())).stream()
                    .map(examples::get)
                    .toList());
        }
        return batches;
    }

    /** PEFT's initialisation: A uniform in +-1/sqrt(in) (Kaiming with a = sqrt(5)), B zero, so that dW = 0. */
    private static PeftAdapter initial(Options options, CausalLm model) {
        TrainingOptions training = options.training();
        Random random = new Random(training.seed());
        List<LoraModule> modules = new ArrayList<>();
        Map<String, long[]> candidates = model.linearModules();
        for (String target : training.targetModules()) {
            if (candidates.keySet().stream().noneMatch(name -> matches(name, target))) {
                throw new IllegalArgumentException(
                        "training.target_modules: " + target + " is no module of the model; its "
                                + "modules are called " + String.join(", ", TrainingOptions.LINEAR_MODULES));
            }
        }
        candidates.forEach((name, shape) -> {
            if (training.targetModules().stream().anyMatch(target -> matches(name, target))) {
                int out = Math.toIntExact(shape[0]);
                int in = Math.toIntExact(shape[1]);
                float[] a = new float[training.r() * in];
                double bound = 1 / Math.sqrt(in);
                for (int i = 0; i < a.length; i++) {
                    a[i] = (float) ((2 * random.nextDouble() - 1) * bound);
                }
                modules.add(new LoraModule(
                        name,
                        training.r(),
                        in,
                        out,
                        a,
                        new float[out * training.r()],
                        training.loraAlpha() / training.r(),
                        Dtype.F32));
            }
        });
        LoraConfig config = LoraConfig.of(
                options.modelName(),
                training.r(),
                training.loraAlpha(),
                training.loraDropout(),
                training.targetModules());
        return PeftAdapter.of(config, modules);
    }

    private static boolean matches(String module, String target) {
        return module.equals(target) || module.endsWith("." + target);
    }

    private static List<LoraModule> trained(PeftAdapter initial, Lora lora) {
        Map<String, NDArray> parameters = new LinkedHashMap<>(lora.parameters());
        return initial.modules().values().stream()
                .map(m -> new LoraModule(
                        m.name(),
                        m.r(),
                        m.in(),
                        m.out(),
                        Tensors.floats(parameters.get(m.name() + ".lora_A.weight")),
                        Tensors.floats(parameters.get(m.name() + ".lora_B.weight")),
                        m.scale(),
                        Dtype.F32))
                .toList();
    }
}
