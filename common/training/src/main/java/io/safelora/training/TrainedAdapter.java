package io.safelora.training;

import ai.djl.ndarray.NDArray;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.contract.TrainingOptions;
import io.safelora.lm.CausalLm;
import io.safelora.lm.Lora;
import io.safelora.torch.Tensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * LoRA (Hu et al., arXiv 2106.09685): A and B of the chosen modules are trained, the model stays. An adapter that
 * training starts from may have more: what PEFT would train of it is trained, the rest is carried bit for bit.
 */
final class TrainedAdapter implements Trainable {
    private static final String NAME = "trained";

    private final FineTuning.Options options;
    private final PeftAdapter initial;
    private final double dropout;
    private final Lora lora;

    TrainedAdapter(CausalLm model, FineTuning.Options options) throws IOException {
        this.options = options;
        initial = options.initAdapter() != null ? PeftAdapter.open(options.initAdapter()) : initial(model, options);
        dropout = options.initAdapter() != null
                ? initial.config().loraDropout()
                : options.training().loraDropout();
        lora = model.addAdapterToTrain(NAME, initial);
    }

    @Override
    public Map<String, NDArray> parameters() {
        return lora.parameters();
    }

    @Override
    public List<NDArray> decayed() {
        return lora.decayed();
    }

    @Override
    public String adapter() {
        return NAME;
    }

    @Override
    public double dropout() {
        return dropout;
    }

    @Override
    public void write(Map<String, NDArray> values, TrainerState state, Path out) throws IOException {
        Map<String, float[]> trained = new LinkedHashMap<>();
        values.forEach((name, value) -> trained.put(name, Tensors.floats(value)));
        initial.write(out, trained);
        Files.writeString(out.resolve("README.md"), ModelCard.of(options, initial, state));
    }

    /** PEFT's initialisation: A uniform in +-1/sqrt(in) (Kaiming with a = sqrt(5)), B zero, so that dW = 0. */
    private static PeftAdapter initial(CausalLm model, FineTuning.Options options) {
        TrainingOptions training = options.training();
        Random random = new Random(training.seed());
        Map<String, long[]> chosen = Targets.of(model.files(), training);
        var config = Targets.config(options.origin().baseModel(), training, chosen.keySet(), model.files());
        List<LoraModule> modules = new ArrayList<>();
        chosen.forEach((name, shape) -> {
            int out = Math.toIntExact(shape[0]);
            int in = Math.toIntExact(shape[1]);
            int r = training.r();
            float[] a = new float[r * in];
            double bound = 1 / Math.sqrt(in);
            for (int i = 0; i < a.length; i++) {
                a[i] = (float) ((2 * random.nextDouble() - 1) * bound);
            }
            modules.add(new LoraModule(name, r, in, out, a, new float[out * r], config.scale(name), Dtype.F32));
        });
        return PeftAdapter.of(config, modules);
    }
}
