package io.safelora.analyzer;

import io.safelora.artifacts.Folder;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.EvaluationTask;
import io.safelora.contract.InvalidInputException;
import io.safelora.contract.JobRequest;
import io.safelora.contract.TrainingOptions;
import io.safelora.evaluation.Evaluation;
import io.safelora.evaluation.LocalTask;
import io.safelora.lm.ModelFiles;
import io.safelora.training.FineTuning;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What a job refers to, opened before any stage computes: what a later stage would refuse, hours into the job, is
 * refused by the first one. Reads the small files of the models, the headers of their weights, adapters, and the first
 * rows of all data.
 */
final class JobInputs {
    private static final int MAX_FILE_BYTES = 256 << 20;

    private final JobRequest request;
    private final ArtifactStore store;
    private final Path scratch;

    /** @param scratch a folder for copies of the small files */
    JobInputs(JobRequest request, ArtifactStore store, Path scratch) {
        this.request = request;
        this.store = store;
        this.scratch = scratch;
    }

    /** @throws InvalidInputException if a stage would refuse something; the message names the job's field */
    void check() throws IOException {
        named("base", () -> Checkpoint.open(store.folder(request.base())));
        try (ModelFiles model = named("aligned", this::aligned)) {
            if (request.adapter() != null) {
                named("adapter", () -> model.check(PeftAdapter.open(store.folder(request.adapter()))));
            }
            String safety = request.selection().safetyAdapter();
            if (safety != null) {
                named("selection.safety_adapter", () -> model.check(PeftAdapter.open(store.folder(safety))));
            }
            if (request.training() != null) {
                training(request.training(), model);
            }
            for (int i = 0; i < request.evaluation().size(); i++) {
                EvaluationTask task = request.evaluation().get(i);
                named("evaluation[" + i + "]", () -> Evaluation.check(LocalTask.of(task, this::local), model));
            }
        }
    }

    private ModelFiles aligned() throws IOException {
        Folder folder = store.folder(request.aligned());
        return ModelFiles.open(Checkpoint.open(folder), smallFiles(folder));
    }

    private void training(TrainingOptions training, ModelFiles model) throws IOException {
        named("training", () -> FineTuning.check(training, model));
        named(
                "training.data",
                () -> FineTuning.checkData(local(training.data()), training.dataFormat(), training, model));
        if (training.validationData() != null) {
            named(
                    "training.validation_data",
                    () -> FineTuning.checkData(
                            local(training.validationData()), training.dataFormat(), training, model));
        }
        if (training.safetyData() != null) {
            named(
                    "training.safety_data",
                    () -> FineTuning.checkData(
                            local(training.safetyData()), training.safetyDataFormat(), training, model));
        }
    }

    private Path local(String uri) throws IOException {
        return store.download(uri);
    }

    /** A model's files but for its weights, copied here: the tokenizer is read by native code, from files. */
    private Path smallFiles(Folder model) throws IOException {
        Path copy = Files.createTempDirectory(scratch, "model-");
        for (String name : model.files().keySet()) {
            if (Folder.counts(name) && !name.endsWith(".safetensors")) {
                Files.write(copy.resolve(name), model.read(name, MAX_FILE_BYTES));
            }
        }
        return copy;
    }

    private interface Opening<T> {
        T open() throws IOException;
    }

    private interface Check {
        void run() throws IOException;
    }

    private static <T> T named(String field, Opening<T> opening) throws IOException {
        try {
            return opening.open();
        } catch (InvalidInputException e) {
            throw e.getMessage().startsWith(field) ? e : new InvalidArtifactException(field + ": " + e.getMessage(), e);
        }
    }

    private static void named(String field, Check check) throws IOException {
        named(field, () -> {
            check.run();
            return null;
        });
    }
}
