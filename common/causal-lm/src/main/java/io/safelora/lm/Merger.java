package io.safelora.lm;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.artifacts.safetensors.SafetensorsWriter;
import io.safelora.artifacts.safetensors.TensorData;
import io.safelora.artifacts.safetensors.TensorInfo;
import io.safelora.torch.ScalarType;
import io.safelora.torch.Tensors;
import io.safelora.torch.Torch;
import io.safelora.torch.TorchScript;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** Folds an adapter into its model: W + s B A, computed in float32 and rounded to W's own type; all else bit for bit. */
public final class Merger {
    private static final List<String> KEPT = List.of(".json", ".jinja", ".txt", ".model");

    private Merger() {}

    /**
     * Writes a checkpoint directory.
     *
     * @param model a Hugging Face model directory
     * @param adapter a PEFT adapter of it
     * @param out the directory to write; its model.safetensors holds all tensors
     */
    public static void merge(Path model, Path adapter, Path out) throws IOException {
        Checkpoint checkpoint = Checkpoint.open(model);
        Family family = Family.ALL.get(checkpoint.config().path("model_type").asText());
        boolean transposed = family != null && family.has("transposed");
        Map<String, LoraModule> modules = new HashMap<>();
        for (LoraModule module : PeftAdapter.open(adapter).modules().values()) {
            modules.put(check(checkpoint, module, transposed), module);
        }
        Files.createDirectories(out);
        try (NDManager manager = Torch.manager(Device.cpu());
                TorchScript script = TorchScript.load(Merger.class, "merge.py", Device.cpu())) {
            Map<String, TensorData> tensors = new LinkedHashMap<>();
            for (String name : checkpoint.names()) {
                TensorInfo info = checkpoint.info(name);
                LoraModule module = modules.get(name);
                // A merged weight stands in memory only while it is written.
                tensors.put(
                        name,
                        new TensorData(
                                info.dtype(),
                                info.shape(),
                                () -> module == null
                                        ? checkpoint.map(name)
                                        : merged(script, manager, info, checkpoint.map(name), module, transposed)));
            }
            SafetensorsWriter.write(out.resolve("model.safetensors"), tensors, Map.of("format", "pt"));
        }
        try (Stream<Path> files = Files.list(model)) {
            for (Path file : files.toList()) {
                String name = file.getFileName().toString();
                if (KEPT.stream().anyMatch(name::endsWith) && !name.endsWith(".safetensors.index.json")) {
                    Files.copy(file, out.resolve(name), StandardCopyOption.REPLACE_EXISTING);
                }
            }
        }
    }

    private static ByteBuffer merged(
            TorchScript script,
            NDManager manager,
            TensorInfo info,
            ByteBuffer bytes,
            LoraModule module,
            boolean transposed) {
        try (NDManager step = manager.newSubManager()) {
            ScalarType type =
                    switch (info.dtype()) {
                        case F32 -> ScalarType.FLOAT32;
                        case F16 -> ScalarType.FLOAT16;
                        case BF16 -> ScalarType.BFLOAT16;
                        default ->
                            throw new UnsupportedModelException("tensor " + info.name() + " is " + info.dtype()
                                    + "; only F32, F16 and BF16 can be merged");
                    };
            NDArray w = Tensors.of(step, bytes, type, info.shape());
            NDArray a = Tensors.of(step, module.a(), module.r(), module.in());
            NDArray b = Tensors.of(step, module.b(), module.out(), module.r());
            return Tensors.bytes(script.call(step, "merge", w, a, b, module.scale(), transposed)
                    .get(0));
        }
    }

    /** The weight that a module's update goes to. */
    private static String check(Checkpoint checkpoint, LoraModule module, boolean transposed) {
        String weight = module.name() + ".weight";
        if (!checkpoint.has(weight)) {
            throw new IllegalArgumentException("adapter: module " + module.name() + " is none of " + checkpoint.name()
                    + "; is the adapter made for this model?");
        }
        long[] shape = checkpoint.info(weight).shape();
        long[] expected = transposed ? new long[] {module.in(), module.out()} : new long[] {module.out(), module.in()};
        if (!Arrays.equals(shape, expected)) {
            throw new IllegalArgumentException("adapter: module " + module.name() + " is " + module.out() + " x "
                    + module.in() + ", but " + weight + " is " + Arrays.toString(shape));
        }
        return weight;
    }
}
