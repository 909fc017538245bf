package io.safelora.analyzer;

import com.fasterxml.jackson.core.type.TypeReference;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.safetensors.TensorInfo;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.method.Alignment;
import io.safelora.method.AlignmentAnalysis;
import io.safelora.method.ModuleAlignment;
import io.safelora.method.Progress;
import io.safelora.pipeline.Workspace;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Two checkpoints, and their modules in parts. How they are divided follows from the checkpoints' headers and {@code
 * partElements} alone, and the result does not depend on it.
 */
final class AlignmentParts {
    private static final String PART = "part.json";
    private static final int MAX_BYTES = 100_000_000;

    private final Workspace ws;
    private final Checkpoint base;
    private final Checkpoint aligned;
    private final Map<String, String> digests;
    private final long partElements;
    private final List<List<TensorInfo>> parts = new ArrayList<>();

    /** Reads the headers. */
    AlignmentParts(Workspace ws, JobRequest request, Map<String, String> digests, long partElements)
            throws IOException {
        this.ws = ws;
        this.digests = digests;
        this.partElements = partElements;
        ArtifactStore store = ws.store();
        base = Checkpoint.open(store.folder(request.base()));
        aligned = Checkpoint.open(store.folder(request.aligned()));
        List<TensorInfo> part = new ArrayList<>();
        long elements = 0;
        for (TensorInfo weight : AlignmentAnalysis.weights(base, aligned)) {
            part.add(weight);
            elements += weight.elements();
            if (elements >= partElements) {
                parts.add(part);
                part = new ArrayList<>();
                elements = 0;
            }
        }
        if (!part.isEmpty()) {
            parts.add(part);
        }
    }

    static Map<String, String> digests(Workspace ws, JobRequest request) throws IOException {
        return Map.of(
                "base", ws.store().digest(request.base()),
                "aligned", ws.store().digest(request.aligned()));
    }

    /** The analysis of these checkpoints, if it was made before. */
    static Optional<ArtifactRef> find(Workspace ws, Map<String, String> digests) throws IOException {
        return ws.find("analyze", AlignmentAnalysis.VERSION, digests);
    }

    int count() {
        return parts.size();
    }

    /** The analysis, all in this task. */
    ArtifactRef whole() throws Exception {
        return result(() -> modules(0, parts.stream().flatMap(List::stream).toList()));
    }

    /** Makes one part, unless it is in the store already. */
    void part(int part) throws Exception {
        int others = 0;
        for (int i = 0; i < count(); i++) {
            others += i != part && find(i).isPresent() ? 1 : 0;
        }
        int done = others;
        ws.result(
                "part",
                AlignmentAnalysis.VERSION,
                inputs(part),
                out -> Files.write(out.resolve(PART), Json.pretty(modules(done, parts.get(part)))));
    }

    /** The analysis, from the parts; empty if one of them is not in the store yet. */
    Optional<ArtifactRef> join() throws Exception {
        List<ArtifactRef> manifests = new ArrayList<>();
        for (int i = 0; i < count(); i++) {
            Optional<ArtifactRef> manifest = find(i);
            if (manifest.isEmpty()) {
                return Optional.empty();
            }
            manifests.add(manifest.get());
        }
        return Optional.of(result(() -> {
            List<ModuleAlignment> modules = new ArrayList<>();
            for (ArtifactRef manifest : manifests) {
                modules.addAll(Json.MAPPER.readValue(
                        ws.store().read(manifest, PART, MAX_BYTES), new TypeReference<List<ModuleAlignment>>() {}));
            }
            return modules;
        }));
    }

    private interface Modules {
        List<ModuleAlignment> get() throws Exception;
    }

    private ArtifactRef result(Modules modules) throws Exception {
        return ws.result("analyze", AlignmentAnalysis.VERSION, digests, out -> {
            Alignment alignment = AlignmentAnalysis.join(base, aligned, modules.get());
            Files.write(out.resolve(Alignment.FILE), Json.pretty(alignment));
        });
    }

    private List<ModuleAlignment> modules(int partsDone, List<TensorInfo> weights) {
        int tasks = weights.size() == parts.stream().mapToInt(List::size).sum() ? 1 : count();
        Progress progress = (share, words) -> {
            ws.checkCancelled();
            ws.progress((partsDone + share) / tasks, words);
        };
        return AlignmentAnalysis.run(base, aligned, weights, progress);
    }

    private Optional<ArtifactRef> find(int part) throws IOException {
        return ws.find("part", AlignmentAnalysis.VERSION, inputs(part));
    }

    private Map<String, Object> inputs(int part) {
        return Map.of("checkpoints", digests, "part_elements", partElements, "part", part);
    }
}
