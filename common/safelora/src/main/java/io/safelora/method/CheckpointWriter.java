package io.safelora.method;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.ModuleName;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.TensorInfo;
import io.safelora.contract.InvalidInputException;
import io.safelora.torch.Tensors;
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
 * Writes a copy of a checkpoint, the same shards, in which some weights are overwritten in place, in the type that they
 * have there. Everything else is the same bytes: other tensors, tokenizer, configuration.
 */
final class CheckpointWriter {
    /** Weights in other formats or of another checkpoint: they would be the ones before the repair. */
    private static final Pattern OTHER_WEIGHTS = Pattern.compile(
            "(?is).*\\.(safetensors|bin|pt|pth|ckpt|pkl|gguf|h5|msgpack|onnx|tflite)(\\.index\\.json)?");

    private final Path directory;
    private final Checkpoint checkpoint;
    private final Set<Path> shards;

    /** @param directory where {@code checkpoint} lies */
    CheckpointWriter(Path directory, Checkpoint checkpoint) {
        this.directory = directory;
        this.checkpoint = checkpoint;
        shards = checkpoint.names().stream().map(this::shard).collect(Collectors.toCollection(TreeSet::new));
    }

    private Path shard(String tensor) {
        return Path.of(checkpoint.fileOf(tensor));
    }

    /**
     * Looks whether the copy may be written to {@code out}.
     *
     * @param inputs other checkpoints that must not be overwritten
     * @throws InvalidInputException if {@code out} is an input, or holds another checkpoint's weights
     */
    void check(Path out, List<Checkpoint> inputs) throws IOException {
        if (!Files.exists(out)) {
            return;
        }
        List<Path> forbidden = new ArrayList<>(List.of(directory));
        inputs.forEach(input -> forbidden.add(Path.of(input.name())));
        for (Path input : forbidden) {
            // Base and aligned may lie in S3.
            if (Files.exists(input) && Files.isSameFile(out, input)) {
                throw new InvalidInputException(
                        out + ": is an input, and would be overwritten; write into another directory");
            }
        }
        Set<String> ours = shards.stream().map(s -> s.getFileName().toString()).collect(Collectors.toSet());
        for (Path file : files(out)) {
            String name = file.getFileName().toString();
            if (name.endsWith(".safetensors") && !ours.contains(name)) {
                throw new InvalidInputException(out + ": holds " + name
                        + ", which does not belong to this checkpoint; write into an empty directory");
            }
        }
    }

    /** Overwrites one module's weight in a shard. */
    interface Module {
        void overwrite(String module, FileChannel shard) throws IOException;
    }

    /** @param affected the modules whose weights are overwritten, shard by shard */
    void write(Path out, Set<String> affected, Module module) throws IOException {
        Files.createDirectories(out);
        Map<Path, Path> parts = new LinkedHashMap<>();
        try {
            for (Path shard : shards) {
                Path part = Files.createTempFile(out, shard.getFileName().toString(), ".part");
                parts.put(part, out.resolve(shard.getFileName()));
                Files.copy(shard, part, StandardCopyOption.REPLACE_EXISTING);
                try (FileChannel file = FileChannel.open(part, StandardOpenOption.WRITE)) {
                    for (String name : affected) {
                        if (shard(new ModuleName(name).weight()).equals(shard)) {
                            module.overwrite(name, file);
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
        copyOthers(out);
    }

    /**
     * Writes W' = W_aligned + update over a weight.
     *
     * @param tuning from the aligned to the fine-tuned weight, whose place and type W' takes
     * @param update (out, in), float32
     * @param file the shard that holds the weight
     */
    static void overwrite(Delta tuning, NDArray update, FileChannel file, NDManager manager) {
        // As the weight is stored.
        NDArray stored = tuning.transposed() ? DeltaKernels.transposed(manager, update) : update;
        Checkpoint tuned = tuning.pair().aligned();
        TensorInfo weight = tuning.aligned();
        long start = tuned.offsetOf(weight.name());
        long rowBytes = tuning.columns() * weight.dtype().bytes();
        Dtype type = CheckpointPair.type(tuned, weight);
        tuning.forEach(manager, (local, row, aligned, before) -> {
            NDArray rows =
                    DeltaKernels.rows(local, stored, row, aligned.getShape().get(0));
            ByteBuffer bytes = Tensors.bytes(DeltaKernels.updated(local, aligned, rows, type));
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

    private void copyOthers(Path out) throws IOException {
        boolean sharded = Files.notExists(directory.resolve("model.safetensors"));
        for (Path file : files(directory)) {
            String name = file.getFileName().toString();
            boolean index = sharded && name.equals("model.safetensors.index.json");
            if (Files.isRegularFile(file)
                    && (index
                            || !name.startsWith(".")
                                    && !OTHER_WEIGHTS.matcher(name).matches())) {
                Files.copy(file, out.resolve(name), StandardCopyOption.REPLACE_EXISTING);
            }
        }
    }

    private static List<Path> files(Path directory) throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            return files.sorted(Comparator.naturalOrder()).toList();
        }
    }
}
