package io.safelora.method;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.ModelTensors;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.artifacts.safetensors.Floats;
import io.safelora.artifacts.safetensors.TensorInfo;
import io.safelora.torch.Tensors;
import io.safelora.torch.Torch;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * How much of what fine-tuning changed lies where no repair reaches: embeddings, head, norms, biases, modules_to_save.
 * DoRA's magnitudes are not counted, for they are not a summand of the weight.
 *
 * @param share |outside|_F^2 / |update|_F^2, between 0 and 1; 0 where nothing was changed at all
 * @param norm |outside|_F
 * @param updateNorm |update|_F, of everything that fine-tuning changed
 * @param largest the norms of the tensors that hold most of it, the largest first
 */
public record Outside(double share, double norm, double updateNorm, Map<String, Double> largest) {
    /** Nothing, of an update of linear modules alone. */
    static final Outside NONE = new Outside(0, 0, 0, Map.of());

    private static final int SHOWN = 10;
    private static final int CHUNK = 4 << 20;

    /** Below it, what lies outside is not worth a warning. */
    private static final double NOTABLE = 0.01;

    /** Of a LoRA adapter with what it has beside linear modules. */
    static Outside of(PeftAdapter adapter, Checkpoint aligned) {
        double within = 0;
        Map<String, Double> outside = new TreeMap<>();
        for (LoraModule module : adapter.modules().values()) {
            double square = square(module);
            if (ModelTensors.isHead(module.name())) {
                outside.put(module.name(), square);
            } else {
                within += square;
            }
        }
        adapter.embeddings().forEach((name, module) -> outside.merge(name, square(module), Double::sum));
        adapter.weights().forEach((name, weight) -> {
            if (weight.trained()) {
                float[] values = Floats.decode(
                        weight.data().source().get(), weight.data().dtype());
                outside.merge(name, square(values, aligned, name, 0), Double::sum);
            }
        });
        adapter.tokens().forEach((name, tokens) -> {
            double square = 0;
            for (int i = 0; i < tokens.ids().length; i++) {
                float[] row = new float[tokens.width()];
                System.arraycopy(tokens.rows(), i * tokens.width(), row, 0, row.length);
                square += square(row, aligned, name + ".weight", (long) tokens.ids()[i] * row.length);
            }
            outside.merge(name, square, Double::sum);
        });
        adapter.biases().forEach((name, bias) -> {
            double scale = adapter.modules().containsKey(name)
                    ? adapter.modules().get(name).scale()
                    : 1;
            double square = 0;
            for (float b : bias) {
                square += scale * b * scale * b;
            }
            outside.merge(name + ".lora_B.bias", square, Double::sum);
        });
        return of(within, outside);
    }

    /** Of a fully fine-tuned checkpoint; both are read once. */
    static Outside of(Checkpoint tuned, Checkpoint aligned) {
        Map<String, Double> squares = tuned.names().parallelStream()
                .filter(name -> tuned.info(name).dtype().isFloat())
                .collect(Collectors.toConcurrentMap(name -> name, name -> square(tuned, aligned, name)));
        double within = 0;
        Map<String, Double> outside = new TreeMap<>();
        // In the order of the names, so that the sum is the same bits whatever thread came first.
        for (Map.Entry<String, Double> square : new TreeMap<>(squares).entrySet()) {
            if (AlignmentAnalysis.isTarget(tuned.info(square.getKey()))) {
                within += square.getValue();
            } else {
                outside.put(square.getKey(), square.getValue());
            }
        }
        return of(within, outside);
    }

    private static Outside of(double within, Map<String, Double> squares) {
        double outside = squares.values().stream().mapToDouble(x -> x).sum();
        if (!Double.isFinite(within + outside)) {
            throw new InvalidArtifactException("what was fine-tuned holds NaN or infinity"
                    + squares.entrySet().stream()
                            .filter(e -> !Double.isFinite(e.getValue()))
                            .map(e -> ": " + e.getKey())
                            .findFirst()
                            .orElse(""));
        }
        Map<String, Double> largest = new LinkedHashMap<>();
        squares.entrySet().stream()
                .filter(e -> e.getValue() > 0)
                .sorted(Map.Entry.<String, Double>comparingByValue()
                        .reversed()
                        .thenComparing(Map.Entry.comparingByKey()))
                .limit(SHOWN)
                .forEach(e -> largest.put(e.getKey(), Math.sqrt(e.getValue())));
        double all = within + outside;
        return new Outside(all == 0 ? 0 : outside / all, Math.sqrt(outside), Math.sqrt(all), largest);
    }

    /** What to say of it; null where it is little. */
    String warning() {
        return share < NOTABLE
                ? null
                : String.format(
                        Locale.ROOT,
                        "%.1f %% of the update's squared norm lies outside of what a repair "
                                + "can touch (embeddings, head,"
                                + " norms, biases, modules_to_save), most of it in %s",
                        100 * share,
                        largest.keySet().stream().limit(3).collect(Collectors.joining(", ")));
    }

    /** |s B A|_F^2 */
    private static double square(LoraModule m) {
        try (NDManager manager = Torch.manager(Device.cpu())) {
            NDArray a = Tensors.of(manager, m.a(), m.r(), m.in());
            NDArray b = Tensors.of(manager, m.b(), m.out(), m.r());
            return m.scale() * m.scale() * DeltaKernels.products(manager, a, b, b)[2];
        }
    }

    /** |values - the aligned model's, from an element on|^2; what that one does not have counts whole. */
    private static double square(float[] values, Checkpoint aligned, String name, long from) {
        float[] before = new float[values.length];
        if (aligned.has(name)) {
            TensorInfo info = aligned.info(name);
            int n = (int) Math.max(0, Math.min(values.length, info.elements() - from));
            ByteBuffer bytes = ByteBuffer.allocateDirect(n * info.dtype().bytes());
            aligned.read(name, from * info.dtype().bytes(), bytes);
            System.arraycopy(Floats.decode(bytes.flip(), info.dtype()), 0, before, 0, n);
        }
        double square = 0;
        for (int i = 0; i < values.length; i++) {
            double d = (double) values[i] - before[i];
            square += d * d;
        }
        return square;
    }

    private static double square(Checkpoint tuned, Checkpoint aligned, String name) {
        TensorInfo info = tuned.info(name);
        double square = 0;
        for (long from = 0; from < info.elements(); from += CHUNK) {
            int n = (int) Math.min(CHUNK, info.elements() - from);
            ByteBuffer bytes = ByteBuffer.allocateDirect(n * info.dtype().bytes());
            tuned.read(name, from * info.dtype().bytes(), bytes);
            square += square(Floats.decode(bytes.flip(), info.dtype()), aligned, name, from);
        }
        return square;
    }
}
