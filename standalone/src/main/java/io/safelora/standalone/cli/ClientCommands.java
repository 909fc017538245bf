package io.safelora.standalone.cli;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.contract.JobDocument;
import io.safelora.contract.JobEvent.EvaluationCompleted;
import io.safelora.contract.JobEvent.JobStatus;
import io.safelora.contract.JobEvent.JobStatus.State;
import io.safelora.contract.JobEvent.Verdict;
import io.safelora.contract.JobId;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.evaluation.Conclusion;
import io.safelora.pipeline.JobClient;
import io.safelora.pipeline.JobClient.Submission;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Commands against any running system: they speak Kafka and nothing else. */
final class ClientCommands {
    private ClientCommands() {}

    /** Which system is spoken to. */
    static final class TargetSystem {
        @Option(
                names = "--bootstrap-servers",
                defaultValue = "${env:KAFKA_BOOTSTRAP_SERVERS:-localhost:9092}",
                description = "the Kafka cluster (default: $KAFKA_BOOTSTRAP_SERVERS, else localhost:9092)")
        String bootstrapServers;
    }

    @Command(name = "submit", description = "Publish a job; prints its id.", mixinStandardHelpOptions = true)
    static final class Submit implements Callable<Integer> {
        @Parameters(paramLabel = "JOB.yaml", description = "the job document, YAML or JSON")
        Path document;

        @Option(
                names = "--id",
                description = "the job's id (default: a new one). An id stands for one document: "
                        + "submitted again, it is the same job, and nothing is published")
        String id;

        @Option(
                names = "--replace",
                description = "run it although the id stands for another document, or for this one already")
        boolean replace;

        @Mixin
        TargetSystem system;

        @Override
        public Integer call() throws IOException {
            if (id != null) {
                JobId.checked(id);
            }
            JobRequest request = JobDocument.parse(Inputs.text("JOB.yaml", document));
            Submission submission = new JobClient(system.bootstrapServers).submit(id, request, replace);
            System.out.println(submission.jobId());
            JobStatus known = submission.known();
            if (known == null) {
                return 0;
            }
            System.err.println("job " + id + " is this document already, " + JobClient.inWords(known)
                    + "; nothing was submitted. --replace runs it again");
            return known.state() == State.FAILED || known.state() == State.CANCELLED ? 1 : 0;
        }
    }

    @Command(
            name = "watch",
            description = "Follow a job to its end; exit status 1 if it failed or was cancelled, 3 "
                    + "if its result does not meet what the job requires, 4 if that cannot be "
                    + "told.",
            mixinStandardHelpOptions = true)
    static final class Watch implements Callable<Integer> {
        @Parameters(paramLabel = "JOB", description = "the job's id")
        String jobId;

        @Option(names = "--json", description = "print the EvaluationCompleted event on stdout")
        boolean json;

        @Mixin
        TargetSystem system;

        @Override
        public Integer call() throws IOException {
            return exitStatus(follow(new JobClient(system.bootstrapServers), jobId, json));
        }
    }

    @Command(name = "cancel", description = "Stop a job.", mixinStandardHelpOptions = true)
    static final class Cancel implements Callable<Integer> {
        @Parameters(paramLabel = "JOB", description = "the job's id")
        String jobId;

        @Option(names = "--reason", description = "why, for people who watch the job")
        String reason;

        @Mixin
        TargetSystem system;

        @Override
        public Integer call() throws IOException {
            new JobClient(system.bootstrapServers).cancel(jobId, reason);
            return 0;
        }
    }

    /** Of a job's end: 0, or 3 and 4 where its gate says so; 1 where it has no result. */
    static int exitStatus(EvaluationCompleted result) {
        return result == null ? 1 : exitStatus(result.verdict());
    }

    /** 0 where nothing is required, or all that is required is met; 3 where it is not; 4 where that cannot be told. */
    static int exitStatus(Verdict verdict) {
        if (verdict == null || verdict.outcome() == null) {
            return 0;
        }
        return switch (verdict.outcome()) {
            case pass -> 0;
            case fail -> 3;
            case cannot_tell -> 4;
        };
    }

    /** Shows a job's progress, then its table of models with the verdict; null if it did not succeed. */
    static EvaluationCompleted follow(JobClient client, String jobId, boolean json) throws IOException {
        Console console = new Console();
        EvaluationCompleted result =
                client.follow(jobId, status -> show(console, jobId, status), Duration.ofMinutes(1));
        Console.endBar();
        if (result != null) {
            if (json) {
                System.out.println(Json.MAPPER.writeValueAsString(Json.MAPPER.convertValue(result, JsonNode.class)));
            } else {
                System.out.println(ScoreTable.of(result.scores(), result.warnings()));
                // An older server's result has none.
                if (result.verdict() != null) {
                    Conclusion.sentences(result.verdict()).forEach(System.out::println);
                }
            }
        }
        return result;
    }

    private static void show(Console console, String jobId, JobStatus status) {
        switch (status.state()) {
            case RUNNING ->
                console.progress(
                        String.valueOf(status.stage()),
                        status.progress() == null ? 0 : status.progress(),
                        status.message());
            case SUCCEEDED -> console.say("job " + jobId + " succeeded");
            case FAILED -> console.say("job " + jobId + " failed in " + status.stage() + ": " + status.error());
            case CANCELLED -> console.say("job " + jobId + " was cancelled");
        }
    }
}
