package io.safelora.method;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.contract.SelectionOptions;
import io.safelora.method.ProjectorKernel.Projected;
import io.safelora.method.Selection.Candidate;
import io.safelora.method.WeightPair.Weight;
import io.safelora.torch.Tensors;
import io.safelora.torch.Torch;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The repairs for full fine-tuning: the update is dW = W_fine-tuned - W_aligned of every linear module, dense (out, in), and a
 * repaired weight is W' = W_aligned + C dW, or what {@link AdapterRepair} says of B A, with dW in its place.
 *
 * <p>Written is a copy of the fine-tuned checkpoint, the same shards, in which repaired weights are overwritten in place, in
 * the type that they have there. Everything else is the same bytes: embeddings, norms and biases, which no projector is
 * defined for, tokenizer, configuration. One module is worked on at a time, by all cores: memory is a few of its matrices.
 */
public final class CheckpointRepair {
    /** Weights in other formats or of another checkpoint: they would be the ones before the repair. */
    private static final Pattern OTHER_WEIGHTS = Pattern.compile(
            "(?is).*\\.(safetensors|bin|pt|pth|ckpt|pkl|gguf|h5|msgpack|onnx|tflite)(\\.index\\.json)?");

    private static final String SUFFIX = ".weight";

    private final Checkpoint base;
    private final Checkpoint aligned;
    private final Checkpoint tuned;
    private final PeftAdapter safety;
    private final SelectionOptions options;
    private final WeightPair alignment;
    private final WeightPair change;
    private final boolean transposed;

    private CheckpointRepair(
            Checkpoint base, Checkpoint aligned, Checkpoint tuned, PeftAdapter safety, SelectionOptions options)
            throws IOException {
        tuned.config();
        this.base = base;
        this.aligned = aligned;
        this.tuned = tuned;
        this.safety = safety;
        this.options = options;
        this.alignment = new WeightPair(base, aligned);
        this.change = new WeightPair(aligned, tuned);
        this.transposed = WeightPair.transposed(tuned, false);
    }

    /**
     * Repairs a fine-tuned checkpoint.
     *
     * @param tuned the directory of the fine-tuned model
     * @param safety the safety adapter for safe-merge, or null
     * @param out the directory to write: the repaired model, with selection.json
     * @return what was chosen; modules that {@code layers} and {@code modules} rule out are not measured
     * @throws InvalidArtifactException if the checkpoints do not fit each other, hold NaN, or base and aligned are identical
     * @throws IllegalArgumentException if {@code out} is an input, or holds another checkpoint's weights
     */
    public static SelectionReport repair(
            Checkpoint base,
            Checkpoint aligned,
            Path tuned,
            PeftAdapter safety,
            SelectionOptions options,
            Path out,
            Progress progress)
            throws IOException {
        refuse(out, tuned, base, aligned, shards(Checkpoint.open(tuned)));
        List<ModuleMeasure> measures = measure(base, aligned, tuned, options, progress);
        Set<String> affected = options.everyModule()
                ? measures.stream().map(ModuleMeasure::module).collect(Collectors.toCollection(TreeSet::new))
                : Selection.select(Candidate.of(measures), options);
        write(base, aligned, tuned, safety, affected, options, out, progress);
        SelectionReport report = SelectionReport.of(base, aligned, measures, affected, options);
        report.write(out);
        progress.at(1, affected.size() + " of " + measures.size() + " modules repaired");
        return report;
    }

    /** Measures the modules that {@code layers} and {@code modules} of the options allow; see {@link #repair}. */
    public static List<ModuleMeasure> measure(
            Checkpoint base, Checkpoint aligned, Path tuned, SelectionOptions options, Progress progress)
            throws IOException {
        return new CheckpointRepair(base, aligned, Checkpoint.open(tuned), null, options).measure(progress);
    }

    /** Writes the checkpoint with the affected modules repaired, and no selection.json; see {@link #repair}. */
    public static void write(
            Checkpoint base,
            Checkpoint aligned,
            Path tuned,
            PeftAdapter safety,
            Set<String> affected,
            SelectionOptions options,
            Path out,
            Progress progress)
            throws IOException {
        Checkpoint from = Checkpoint.open(tuned);
        Set<Path> shards = shards(from);
        refuse(out, tuned, base, aligned, shards);
        Files.createDirectories(out);
        new CheckpointRepair(base, aligned, from, safety, options).write(shards, affected, out, progress);
        copyOthers(tuned, out);
    }

    private static Set<Path> shards(Checkpoint checkpoint) {
        return checkpoint.names().stream()
                .map(name -> Path.of(checkpoint.fileOf(name)))
                .collect(Collectors.toCollection(TreeSet::new));
    }

    /** The names of all modules that can be repaired. */
    static Set<String> modules(Checkpoint checkpoint) {
        return checkpoint.names().stream()
                .filter(name -> AlignmentAnalysis.isTarget(checkpoint.info(name)))
                .map(name -> name.substring(0, name.length() - SUFFIX.length()))
                .collect(Collectors.toCollection(TreeSet::new));
    }

    private static void refuse(Path out, Path tuned, Checkpoint base, Checkpoint aligned, Set<Path> shards)
            throws IOException {
        if (!Files.exists(out)) {
            return;
        }
        for (Path input : List.of(tuned, Path.of(base.name()), Path.of(aligned.name()))) {
            // Base and aligned may lie in S3.
            if (Files.exists(input) && Files.isSameFile(out, input)) {
                throw new IllegalArgumentException(
                        out + ": is an input, and would be overwritten; write into another directory");
            }
        }
        try (Stream<Path> files = Files.list(out)) {
            Set<String> ours =
                    shards.stream().map(s -> s.getFileName().toString()).collect(Collectors.toSet());
            for (Path file : files.toList()) {
                String name = file.getFileName().toString();
                if (name.endsWith(".safetensors") && !ours.contains(name)) {
                    throw new IllegalArgumentException(out + ": holds " + name
                            + ", which is no file of this checkpoint; write into an empty directory");
                }
            }
        }
    }

    private List<ModuleMeasure> measure(Progress progress) {
        List<Candidate> linear = modules(tuned).stream()
                .map(name -> new Candidate(name, null, 0))
                .toList();
        if (linear.isEmpty()) {
            throw new InvalidArtifactException(tuned.name() + ": has no linear module; is it a language model?");
        }
        List<Candidate> modules = options.everyModule() ? linear : Selection.narrowed(linear, options);
        List<ModuleMeasure> measures = new ArrayList<>();
        for (Candidate module : modules) {
            progress.at(0.5 * measures.size() / modules.size(), module.module());
            measures.add(measure(module.module()));
        }
        if (measures.stream().allMatch(m -> m.deltaNorm() == 0)) {
            throw SafeLora.identical(base, aligned);
        }
        if (measures.stream().allMatch(m -> m.shift() == 0 && m.cosine() == null)) {
            throw new InvalidArtifactException(
                    tuned.name() + " and " + aligned.name()
                            + " have equal weights, so there is nothing to repair; the fine-tuned checkpoint must come from the aligned one");
        }
        return measures;
    }

    private ModuleMeasure measure(String module) {
        try (NDManager manager = Torch.manager(Device.cpu())) {
            NDArray d = update(module, manager);
            Projected p = project(module, d, manager);
            if (p.projected() == null) {
                return new ModuleMeasure(module, null, 0, 1, 0, 0, null, null, false, null);
            }
            double[] products = WeightPair.SCRIPT
                    .call(manager, "dense_products", d, p.projected())
                    .get(0)
                    .toDoubleArray();
            return ModuleMeasure.of(module, products, p, null);
        }
    }

    /** dW (out, in) in float32 */
    private NDArray update(String module, NDManager manager) {
        return ProjectorKernel.dense(change, change.weight(module + SUFFIX), transposed, manager)
                .v();
    }

    /** C dW (out, in) in float32 */
    private Projected project(String module, NDArray d, NDManager manager) {
        return ProjectorKernel.project(alignment, alignment.weight(module + SUFFIX), transposed, d, options, manager);
    }

    private void write(Set<Path> shards, Set<String> affected, Path out, Progress progress) throws IOException {
        Map<Path, Path> parts = new LinkedHashMap<>();
        try {
            int done = 0;
            for (Path shard : shards) {
                Path part = Files.createTempFile(out, shard.getFileName().toString(), ".part");
                parts.put(part, out.resolve(shard.getFileName()));
                Files.copy(shard, part, StandardCopyOption.REPLACE_EXISTING);
                try (FileChannel file = FileChannel.open(part, StandardOpenOption.WRITE)) {
                    for (String module : affected) {
                        if (Path.of(tuned.fileOf(module + SUFFIX)).equals(shard)) {
                            progress.at(0.5 + 0.5 * done++ / affected.size(), module);
                            overwrite(module, file);
                        }
                    }
                }
            }
            for (Map.Entry<Path, Path> part : parts.entrySet()) {
                Files.move(
                        part.getKey(),
                        part.getValue(),
                        StandardCopyOption.REPLACE_EXISTING,
                        StandardCopyOption.ATOMIC_MOVE);
            }
        } finally {
            for (Path part : parts.keySet()) {
                Files.deleteIfExists(part);
            }
        }
    }

    private void overwrite(String module, FileChannel file) {
        try (NDManager manager = Torch.manager(Device.cpu())) {
            NDArray update = repaired(module, manager);
            if (update == null) {
                return;
            }
            // As the weight is stored.
            NDArray stored = transposed
                    ? WeightPair.SCRIPT.call(manager, "transposed", update).get(0)
                    : update;
            Weight weight = change.weight(module + SUFFIX);
            long start = tuned.offsetOf(weight.aligned().name());
            long rowBytes = weight.columns() * weight.aligned().dtype().bytes();
            int type = WeightPair.type(tuned, weight.aligned()).number();
            change.forEach(weight, manager, (local, row, before, after) -> {
                NDArray rows = WeightPair.SCRIPT
                        .call(local, "rows", stored, row, before.getShape().get(0))
                        .get(0);
                ByteBuffer bytes = Tensors.bytes(WeightPair.SCRIPT
                        .call(local, "updated", before, rows, type)
                        .get(0));
                try {
                    long at = start + row * rowBytes;
                    while (bytes.hasRemaining()) {
                        at += file.write(bytes, at);
                    }
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            });
        }
    }

    /** What dW (out, in) becomes, or null if it stays. */
    private NDArray repaired(String module, NDManager manager) {
        NDArray d = update(module, manager);
        return switch (options.repair()) {
            case safe_lora -> {
                Projected p = project(module, d, manager);
                yield p.projected() == null
                        ? null
                        : mix(d, 1 - options.blend(), p.projected(), options.blend(), manager);
            }
            case drop -> mix(d, 0, d, 0, manager);
            case scale -> mix(d, options.scale(), d, 0, manager);
            case safe_merge -> {
                LoraModule safe = AdapterRepair.safetyModule(
                        safety, module, d.getShape().get(0), d.getShape().get(1));
                NDArray b = Tensors.of(manager, safe.b(), safe.out(), safe.r());
                NDArray a = Tensors.of(manager, safe.a(), safe.r(), safe.in());
                yield mix(d, 1 - options.blend(), product(b, a, manager), options.blend() * safe.scale(), manager);
            }
            case safety_vector -> {
                SafetyVector v = SafetyVector.of(
                        alignment, alignment.weight(module + SUFFIX), transposed, options.rank(), manager);
                if (v == null) {
                    yield null;
                }
                NDArray b = Tensors.of(manager, v.b(), d.getShape().get(0), v.k());
                NDArray a = Tensors.of(manager, v.a(), v.k(), d.getShape().get(1));
                yield mix(d, 1, product(b, a, manager), options.gamma(), manager);
            }
        };
    }

    private static NDArray mix(NDArray d, double x, NDArray p, double y, NDManager manager) {
        return WeightPair.SCRIPT.call(manager, "mix", d, x, p, y).get(0);
    }

    private static NDArray product(NDArray b, NDArray a, NDManager manager) {
        return WeightPair.SCRIPT.call(manager, "product", b, a).get(0);
    }

    private static void copyOthers(Path tuned, Path out) throws IOException {
        boolean sharded = Files.notExists(tuned.resolve("model.safetensors"));
        try (Stream<Path> files = Files.list(tuned)) {
            for (Path file : files.filter(Files::isRegularFile)
                    .sorted(Comparator.naturalOrder())
                    .toList()) {
                String name = file.getFileName().toString();
                boolean index = sharded && name.equals("model.safetensors.index.json");
                if (index
                        || !name.startsWith(".") && !OTHER_WEIGHTS.matcher(name).matches()) {
                    Files.copy(file, out.resolve(name), StandardCopyOption.REPLACE_EXISTING);
                }
            }
        }
    }
}
