package io.safelora.standalone.cli;

import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.artifacts.store.StoreSettings;
import io.safelora.contract.InvalidInputException;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.pipeline.Pipeline;
import io.safelora.pipeline.PipelineConfig;
import io.safelora.preflight.Estimate;
import io.safelora.preflight.JobInputs;
import io.smallrye.config.SmallRyeConfigBuilder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "validate",
        description = "Check a job document and what it refers to, as the first service does, and "
                + "estimate what the job will cost. Nothing is run.",
        footer = "Exit status 2 if the job would be refused. Inputs are those of ./safelora run.",
        mixinStandardHelpOptions = true)
final class ValidateCommand implements Callable<Integer> {
    @Parameters(paramLabel = "JOB.yaml", description = "the job document, YAML or JSON")
    Path document;

    @Option(names = "--json", description = "print verdict and estimate as JSON")
    boolean json;

    /** What {@code --json} prints. */
    private record Verdict(boolean valid, String error, Estimate estimate) {}

    @Override
    public Integer call() throws IOException {
        Path scratch = Files.createTempDirectory("safelora-validate-");
        try (ArtifactStore store = new ArtifactStore(settings(scratch))) {
            JobRequest request = SystemCommands.withPathsAsUris(document);
            JobInputs inputs = new JobInputs(request, store, scratch, url -> true);
            inputs.check();
            print(Estimate.of(request, inputs));
            return 0;
        } catch (InvalidInputException e) {
            if (json) {
                System.out.println(Json.MAPPER.writeValueAsString(new Verdict(false, e.getMessage(), null)));
            }
            System.err.println("safelora validate: " + e.getMessage());
            return 2;
        } finally {
            SystemCommands.deleteTree(scratch);
        }
    }

    /** What the services have for inputs: S3 as the environment names it, and files. */
    private static StoreSettings settings(Path scratch) {
        return Pipeline.storeSettings(new SmallRyeConfigBuilder()
                .addDefaultSources()
                .addDefaultInterceptors()
                .withMapping(PipelineConfig.class)
                .withDefaultValues(Map.of(
                        "safelora.artifacts-uri", scratch.toUri().toString(),
                        "safelora.cache-dir", scratch.resolve("cache").toString(),
                        "safelora.files-allowed", "true"))
                .build()
                .getConfigMapping(PipelineConfig.class));
    }

    private void print(Estimate estimate) throws IOException {
        if (json) {
            System.out.println(Json.MAPPER.writeValueAsString(new Verdict(true, null, estimate)));
            return;
        }
        System.out.println(document + " is valid. Estimate for this machine, within a factor of 3:");
        String row = "%-22s  %10s  %9s%n";
        System.out.printf(row, "stage", "time", "memory");
        for (Estimate.Stage stage : estimate.stages()) {
            System.out.printf(row, stage.stage(), time(stage.seconds()), memory(stage.bytes()));
        }
        System.out.printf(
                row,
                "all",
                time(estimate.stages().stream()
                        .mapToDouble(Estimate.Stage::seconds)
                        .sum()),
                memory(estimate.stages().stream()
                        .mapToLong(Estimate.Stage::bytes)
                        .max()
                        .orElse(0)));
    }

    private static String time(double seconds) {
        if (seconds < 90) {
            return String.format(Locale.ROOT, "%.0f s", seconds);
        }
        return seconds < 5400
                ? String.format(Locale.ROOT, "%.0f min", seconds / 60)
                : String.format(Locale.ROOT, "%.1f h", seconds / 3600);
    }

    private static String memory(long bytes) {
        return String.format(Locale.ROOT, "%.1f GB", bytes / 1e9);
    }
}
