package io.safelora.standalone.cli;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.InvalidJobException;
import io.safelora.contract.JobDocument;
import io.safelora.contract.JobEvent.EvaluationCompleted;
import io.safelora.contract.JobRequest;
import io.safelora.contract.JobUris;
import io.safelora.contract.TrainingOptions.Method;
import io.safelora.pipeline.JobClient;
import io.safelora.standalone.demo.DemoModels;
import io.safelora.standalone.embedded.EmbeddedServices;
import io.safelora.standalone.embedded.EmbeddedSystem;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Commands that bring their own system: broker, S3 server and the four services in this process. */
final class SystemCommands {
    private SystemCommands() {}

    @Command(
            name = "demo",
            description =
                    "The whole system in one process, on tiny models it ships: one job from its event to its report.",
            mixinStandardHelpOptions = true)
    static final class Demo implements Callable<Integer> {
        @Option(
                names = "--out",
                defaultValue = "safelora-demo",
                description = "folder for the adapter and the report (default: safelora-demo)")
        Path out;

        @Option(names = "--verbose", description = "show the services' logs, too")
        boolean verbose;

        @Override
        public Integer call() throws Exception {
            Path state = out.resolve("system");
            Results results = Results.in(out, "adapter");
            // Results are kept by the hash of their inputs: a second demo would otherwise have nothing to do.
            deleteTree(state);
            try (Embedded embedded = Embedded.start(state, 0, 0, 0, verbose)) {
                Path shipped = out.resolve("models");
                DemoModels.unpack(shipped);
                for (String file : DemoModels.files()) {
                    embedded.store.put("s3://safelora/demo/" + file, shipped.resolve(file));
                }
                JobRequest request = JobDocument.parse(Files.readString(shipped.resolve("job.yaml")));
                return embedded.run("demo", request, results, false);
            }
        }
    }

    @Command(
            name = "run",
            description = "One job in one process; inputs are file: URIs, paths beside the "
                    + "document, or s3:// URIs of the S3 that SAFELORA_S3_ENDPOINT, _REGION, "
                    + "_ACCESS_KEY and _SECRET_KEY name, or else the AWS_ variables and "
                    + "profile. Exit status 1 if the job failed or was cancelled, 3 if its "
                    + "result does not meet what it requires, 4 if that cannot be told.",
            mixinStandardHelpOptions = true)
    static final class Run implements Callable<Integer> {
        @Parameters(paramLabel = "JOB.yaml", description = "the job document, YAML or JSON")
        Path document;

        @Option(
                names = "--out",
                defaultValue = "safelora-out",
                description = "folder for the adapter, or with method full the model, and the "
                        + "report; run again with the same, finished stages are not repeated")
        Path out;

        @Option(names = "--json", description = "print the EvaluationCompleted event on stdout")
        boolean json;

        @Option(names = "--verbose", description = "show the services' logs, too")
        boolean verbose;

        @Override
        public Integer call() throws Exception {
            JobRequest request = withPathsAsUris(document);
            boolean full = request.training() != null && request.training().method() == Method.full;
            Results results = Results.in(out, full ? "model" : "adapter");
            try (Embedded embedded = Embedded.onFiles(out.resolve("system"), verbose)) {
                return embedded.run(null, request, results, json);
            }
        }
    }

    @Command(
            name = "serve",
            description = "The embedded system, up for real Kafka and S3 clients until it is interrupted.",
            mixinStandardHelpOptions = true)
    static final class Serve implements Callable<Integer> {
        @Option(
                names = "--data-dir",
                defaultValue = "safelora-data",
                description = "topics and buckets (default: safelora-data)")
        Path dataDir;

        @Option(names = "--kafka-port", defaultValue = "9092")
        int kafkaPort;

        @Option(names = "--s3-port", defaultValue = "9000")
        int s3Port;

        @Option(names = "--http-port", defaultValue = "8080", description = "health and metrics")
        int httpPort;

        @Override
        public Integer call() throws Exception {
            Output.directory("--data-dir", dataDir);
            try (Embedded embedded = Embedded.start(dataDir, kafkaPort, s3Port, httpPort, true)) {
                System.out.println(
                        "Kafka " + embedded.system.bootstrapServers() + ", S3 " + embedded.system.s3Endpoint()
                                + " (bucket safelora, access and secret key safelora), http://localhost:" + httpPort
                                + "/q/health and /q/metrics");
                CountDownLatch interrupted = new CountDownLatch(1);
                Runtime.getRuntime().addShutdownHook(new Thread(interrupted::countDown));
                interrupted.await();
            }
            return 0;
        }
    }

    /**
     * Where a job's results go.
     *
     * @param what adapter or model
     */
    private record Results(String what, Output product, Output evaluation) {
        /** @throws io.safelora.contract.InvalidInputException if they cannot be written there */
        static Results in(Path out, String what) {
            Output.directory("--out", out);
            return new Results(
                    what,
                    Output.directory("--out", out.resolve(what)),
                    Output.directory("--out", out.resolve("evaluation")));
        }
    }

    /** The system in this process, and a store that reads and writes what it does. */
    private record Embedded(EmbeddedSystem system, EmbeddedServices services, ArtifactStore store)
            implements AutoCloseable {

        /** With an S3 server that has all data. */
        static Embedded start(Path state, int kafkaPort, int s3Port, int httpPort, boolean verbose)
                throws IOException, InterruptedException {
            tellServices(httpPort, verbose);
            new Console().say("starting a Kafka broker, an S3 server and the four services");
            return start(EmbeddedSystem.start(state.toAbsolutePath(), kafkaPort, s3Port));
        }

        /** With results in files, and inputs wherever the user has them. */
        static Embedded onFiles(Path state, boolean verbose) throws IOException, InterruptedException {
            tellServices(0, verbose);
            new Console().say("starting a Kafka broker and the four services");
            return start(EmbeddedSystem.onFiles(state.toAbsolutePath()));
        }

        private static void tellServices(int httpPort, boolean verbose) {
            System.setProperty("quarkus.log.console.stderr", "true"); // stdout is for results
            System.setProperty("quarkus.banner.enabled", "false");
            System.setProperty("quarkus.http.port", Integer.toString(httpPort));
            if (!verbose) {
                System.setProperty("quarkus.log.level", "ERROR");
                System.setProperty("quarkus.log.category.\"org.apache.kafka\".level", "ERROR");
            }
        }

        private static Embedded start(EmbeddedSystem system) throws IOException, InterruptedException {
            try {
                EmbeddedServices services = EmbeddedServices.start(system.properties());
                return new Embedded(system, services, new ArtifactStore(system.storeSettings()));
            } catch (IOException | InterruptedException | RuntimeException e) {
                system.close();
                throw e;
            }
        }

        /** Publishes a job, follows it, and fetches what it gave; the exit status. */
        int run(String jobId, JobRequest request, Results results, boolean json) throws IOException {
            JobClient client = new JobClient(system.bootstrapServers());
            String id = client.submit(jobId, request, false).jobId();
            EvaluationCompleted result = ClientCommands.follow(client, id, json);
            if (result == null) {
                return 1;
            }
            Path projected = store.download(result.projected());
            Path evaluation = store.download(result.evaluation());
            results.product().write(target -> {
                copy(projected, target);
                // Its card, which has its scores.
                Files.copy(
                        evaluation.resolve("README.md"),
                        target.resolve("README.md"),
                        StandardCopyOption.REPLACE_EXISTING);
            });
            results.evaluation().write(target -> {
                copy(evaluation, target);
                Files.delete(target.resolve("README.md"));
            });
            System.err.println();
            System.err.printf("%-7s  %s%n", results.what(), results.product());
            System.err.println("report   " + Path.of(results.evaluation().toString(), "report.html"));
            return ClientCommands.exitStatus(result);
        }

        private static void copy(Path from, Path into) throws IOException {
            deleteTree(into);
            try (Stream<Path> files = Files.walk(from)) {
                for (Path file : files.filter(Files::isRegularFile).toList()) {
                    Path target = into.resolve(from.relativize(file).toString());
                    Files.createDirectories(target.getParent());
                    Files.copy(file, target, StandardCopyOption.REPLACE_EXISTING);
                }
            }
        }

        @Override
        public void close() {
            services.close();
            store.close();
            system.close();
        }
    }

    /** The job document, with paths ({@code models/base}) turned into file: URIs, taken from the document's folder. */
    static JobRequest withPathsAsUris(Path document) throws IOException {
        return JobDocument.parse(String.valueOf(withPathsAsUris("JOB.yaml", document)));
    }

    /** The same of any part of a job document. */
    static JsonNode withPathsAsUris(String option, Path document) throws IOException {
        JsonNode tree = JobDocument.tree(Inputs.text(option, document));
        Path folder = document.toAbsolutePath().getParent();
        for (JobUris.Field uri : JobUris.of(tree)) {
            resolve(uri, folder);
        }
        return tree;
    }

    private static void resolve(JobUris.Field field, Path folder) {
        String text = field.text();
        if (text.startsWith("s3://")) {
            return;
        }
        Path path = text.startsWith("file:/")
                ? JobDocument.file(field.path(), text)
                : folder.resolve(text.replaceFirst("^file:", ""));
        if (!Files.exists(path)) {
            throw new InvalidJobException(field.path() + ": " + path + " does not exist");
        }
        field.set(path.toUri().toString().replaceAll("/$", ""));
    }

    static void deleteTree(Path tree) throws IOException {
        if (!Files.exists(tree)) {
            return;
        }
        try (Stream<Path> files = Files.walk(tree)) {
            files.sorted(Comparator.reverseOrder()).forEach(file -> {
                try {
                    Files.delete(file);
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            });
        }
    }
}
