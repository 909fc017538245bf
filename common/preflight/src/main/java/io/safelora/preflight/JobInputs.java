package io.safelora.preflight;

import io.safelora.artifacts.Folder;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.rows.Rows;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.EvaluationTask;
import io.safelora.contract.InvalidInputException;
import io.safelora.contract.JobRequest;
import io.safelora.contract.JudgeOptions;
import io.safelora.contract.TrainingOptions;
import io.safelora.contract.TrainingOptions.DataFormat;
import io.safelora.evaluation.Evaluation;
import io.safelora.evaluation.LocalTask;
import io.safelora.evaluation.judge.Judges;
import io.safelora.evaluation.judge.ReplyCache;
import io.safelora.lm.ModelFiles;
import io.safelora.training.FineTuning;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Predicate;

/**
 * What a job refers to, opened before any stage computes: what a later stage would refuse, hours into the job, is
 * refused by the first one. Reads the small files of the models, the headers of their weights, adapters, and the data.
 */
public final class JobInputs {
    private static final int MAX_FILE_BYTES = 256 << 20;

    private final JobRequest request;
    private final ArtifactStore store;
    private final Path scratch;
    private final Predicate<String> mayAsk;

    /**
     * @param scratch a folder for copies of the small files
     * @param mayAsk which endpoints may be asked from here
     */
    public JobInputs(JobRequest request, ArtifactStore store, Path scratch, Predicate<String> mayAsk) {
        this.request = request;
        this.store = store;
        this.scratch = scratch;
        this.mayAsk = mayAsk;
    }

    /** @throws InvalidInputException if a stage would refuse something; the message names the job's field */
    public void check() throws IOException {
        named("base", () -> checkpoint(request.base()));
        Judges judges = judges();
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
                named("evaluation[" + i + "]", () -> {
                    LocalTask local = LocalTask.of(task, this::local);
                    judges.checkKnown(local.task().judges());
                    Evaluation.check(local, model);
                });
            }
        }
    }

    ModelFiles aligned() throws IOException {
        return model(request.aligned());
    }

    /** Endpoints that are down, prompts that cannot be used, guard models that are not what they are declared as. */
    private Judges judges() throws IOException {
        Judges judges = new Judges(
                request.judges(),
                new Judges.Access(
                        store::download,
                        (checkpoint, dtype) -> {
                            throw new IllegalStateException("no model is loaded here");
                        },
                        ReplyCache.NONE,
                        mayAsk,
                        System::getenv));
        named("judges", () -> judges.check(false));
        for (JudgeOptions judge : request.judges()) {
            if (judge.model() != null) {
                try (ModelFiles model = named("judges, " + judge.id() + ", model", () -> model(judge.model()))) {
                    named("judges", () -> judges.check(judge.id(), model));
                }
            }
        }
        return judges;
    }

    ModelFiles model(String uri) throws IOException {
        Folder folder = store.folder(uri);
        return ModelFiles.open(Checkpoint.open(folder), smallFiles(folder));
    }

    Checkpoint checkpoint(String uri) throws IOException {
        return Checkpoint.open(store.folder(uri));
    }

    private void training(TrainingOptions training, ModelFiles model) throws IOException {
        named("training", () -> FineTuning.check(training, model));
        data("data", training.data(), training.dataFormat(), training, model);
        data("validation_data", training.validationData(), training.dataFormat(), training, model);
        data("safety_data", training.safetyData(), training.safetyDataFormat(), training, model);
    }

    /** The first rows as training would have them; all of them as far as they are rows at all. */
    private void data(String field, String uri, DataFormat format, TrainingOptions training, ModelFiles model)
            throws IOException {
        if (uri != null) {
            named("training." + field, () -> {
                Path file = local(uri);
                FineTuning.checkData(file, format, training, model);
                Rows.read(file, Rows.MAX_TEXT, row -> {});
            });
        }
    }

    Path local(String uri) throws IOException {
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
