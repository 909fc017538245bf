package io.safelora.standalone.cli;

import io.safelora.artifacts.ResumePoint;
import io.safelora.artifacts.Sha256;
import io.safelora.artifacts.store.ContentAddress;
import io.safelora.contract.Json;
import io.safelora.contract.TrainingOptions;
import io.safelora.training.FineTuning;
import io.safelora.training.ModelCard;
import io.safelora.training.TrainerState;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
        name = "train",
        description = "LoRA fine-tuning: a PEFT adapter with trainer_state.json; or with --method "
                + "full a checkpoint with all weights fine-tuned, which transformers loads.",
        footer = "docs/job.md has the sections that are referred to.",
        mixinStandardHelpOptions = true)
final class TrainCommand implements Callable<Integer> {
    @Option(names = "--model", required = true, description = "a Hugging Face model directory")
    Path model;

    @Option(
            names = "--out",
            required = true,
            description = "the directory to write; after a kill, run the same command again, and training resumes")
    Path out;

    @Option(names = "--init-adapter", description = "a PEFT adapter to start from; its r, scale and modules are kept")
    Path initAdapter;

    @Option(names = "--json", description = "print the last step of log_history on stdout")
    boolean json;

    @Mixin
    TrainingMixin training;

    @Mixin
    ModelMixin on;

    @Override
    public Integer call() throws IOException {
        Console console = new Console();
        TrainingOptions options = training.options();
        Path data = training.file("data");
        Path safetyData = training.file("safety_data");
        Path validationData = training.file("validation_data");
        Output output = Output.directory("--out", out, model, initAdapter);
        Path checkpoint = out.resolve("checkpoint");
        TrainerState state = FineTuning.run(
                new FineTuning.Options(
                        model,
                        data,
                        safetyData,
                        validationData,
                        options,
                        initAdapter,
                        on.device,
                        on.dtype,
                        new ModelCard.Origin(model.toString(), fingerprint(options), provenance())),
                out,
                result -> output.write(result::writeTo),
                ResumePoint.at(checkpoint.resolve("training.safetensors")),
                parameters -> {},
                progress ->
                        console.progress("train", (double) progress.step() / progress.maxSteps(), progress.toString()));
        SystemCommands.deleteTree(checkpoint);
        Console.endBar();
        TrainerState.Entry last = state.last();
        System.out.println(
                json
                        ? Json.MAPPER.writeValueAsString(last)
                        : String.format(Locale.ROOT, "%d steps, last loss %.4f, in %s", last.step(), last.loss(), out));
        return 0;
    }

    /** A model is identified by the names, sizes and times of its files, without reading them. */
    private String fingerprint(TrainingOptions options) throws IOException {
        List<Object> parts = new ArrayList<>(List.of(options, provenance(), on.device, on.dtype));
        for (Path folder : initAdapter == null ? List.of(model) : List.of(model, initAdapter)) {
            if (Files.isDirectory(folder)) {
                try (Stream<Path> files = Files.list(folder)) {
                    for (Path file : files.sorted().toList()) {
                        parts.add(List.of(
                                file.toString(),
                                Files.size(file),
                                Files.getLastModifiedTime(file).toMillis()));
                    }
                }
            }
        }
        return ContentAddress.of(parts);
    }

    private Map<String, String> provenance() throws IOException {
        Map<String, String> inputs = new TreeMap<>();
        inputs.put("model", model.toString());
        for (String field : List.of("data", "safety_data", "validation_data")) {
            Path file = training.file(field);
            if (file != null) {
                inputs.put(file + ", sha256", Sha256.hex(file));
            }
        }
        return inputs;
    }
}
