package io.safelora.standalone.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.contract.Json;
import io.safelora.standalone.demo.DemoModels;
import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The commands that bring a system of their own, or speak to one, in processes, from the packaged application. */
@Timeout(value = 10, unit = TimeUnit.MINUTES)
class PackagedCommandsIT {
    /** The commands that succeed here. */
    static final Set<String> COMMANDS = Set.of("demo", "run", "serve", "submit", "watch", "cancel");

    private static final Path APPLICATION = Path.of("target/quarkus-app/quarkus-run.jar");

    @TempDir
    static Path dir;

    /** A process, and the files that its output goes to. */
    private record Started(Process process, Path out, Path err) {
        Ran end() throws Exception {
            assertThat(process.waitFor(8, TimeUnit.MINUTES))
                    .as(Files.readString(err))
                    .isTrue();
            return new Ran(process.exitValue(), Files.readString(out), Files.readString(err));
        }
    }

    @BeforeAll
    static void unpack() throws IOException {
        DemoModels.unpack(dir.resolve("models"));
    }

    private static Started start(String... arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:+UseSerialGC",
                "-Dfile.encoding=UTF-8",
                "-Dstdout.encoding=UTF-8",
                "-Dstderr.encoding=UTF-8",
                "-Dsun.stdout.encoding=UTF-8",
                "-Dsun.stderr.encoding=UTF-8",
                "-jar",
                APPLICATION.toAbsolutePath().toString()));
        command.addAll(List.of(arguments));
        Path out = Files.createTempFile(dir, "out", "");
        Path err = Files.createTempFile(dir, "err", "");
        Process process = new ProcessBuilder(command)
                .directory(dir.toFile())
                .redirectOutput(out.toFile())
                .redirectError(err.toFile())
                .start();
        return new Started(process, out, err);
    }

    private static Path job(int maxSteps) throws IOException {
        return Files.writeString(dir.resolve("job" + maxSteps + ".yaml"), """
                        base: %1$s/base
                        aligned: %1$s/aligned
                        training: {data: "%1$s/data/finetuning.jsonl", r: 2, max_steps: %2$d, max_length: 64}
                        evaluation:
                          - {task: harmfulness, data: "%1$s/data/forbidden.csv", limit: 2, max_new_tokens: 4}
                        dtype: float32
                        """.formatted(
                        dir.resolve("models").toUri().toString().replaceAll("/$", ""), maxSteps));
    }

    @Test
    void demoRunsAJobAndWritesItsReport() throws Exception {
        Ran demo = start("demo", "--out", "demo").end();
        assertThat(demo.exit()).as(demo.err()).isZero();
        assertThat(demo.out()).startsWith("model ").contains("\naligned ", "\nfine-tuned ", "\nprojected ");
        assertThat(demo.err()).contains("job demo succeeded", "adapter  " + dir.resolve("demo/adapter"), "report  ");
        assertThat(dir.resolve("demo/adapter/adapter_model.safetensors")).exists();
        assertThat(dir.resolve("demo/evaluation/report.html")).exists();
    }

    @Test
    void runDoesAJobOnFiles() throws Exception {
        Ran run = start("run", job(2).toString(), "--out", "run", "--json").end();
        assertThat(run.exit()).as(run.err()).isZero();
        JsonNode event = Json.MAPPER.readTree(run.out());
        assertThat(event.get("scores")).isNotEmpty();
        assertThat(run.err()).contains("succeeded", "report   " + dir.resolve("run/evaluation/report.html"));

        Path broken = Files.writeString(
                dir.resolve("broken.yaml"), Files.readString(job(3)).replace("forbidden.csv", "finetuning.jsonl"));
        Ran failed = start("run", broken.toString(), "--out", "failed").end();
        assertThat(failed.exit()).isEqualTo(1);
        assertThat(failed.out()).isEmpty();
        assertThat(failed.err()).contains("failed in alignment-analyzer: evaluation[0]: finetuning.jsonl");
    }

    @Test
    void clientsSpeakToAServedSystem() throws Exception {
        int kafka = freePort();
        Started serve = start(
                "serve", "--data-dir", "served", "--kafka-port", "" + kafka, "--s3-port", "0", "--http-port", "0");
        try {
            while (!Files.readString(serve.out()).contains("Kafka localhost:")) {
                assertThat(serve.process().isAlive())
                        .as(Files.readString(serve.err()))
                        .isTrue();
                Thread.sleep(100);
            }
            assertThat(Files.readString(serve.out())).contains("Kafka localhost:" + kafka, "S3 http://", "/q/metrics");
            String system = "--bootstrap-servers=localhost:" + kafka;
            Ran submitted =
                    start("submit", job(2).toString(), "--id", "short", system).end();
            assertThat(submitted).isEqualTo(new Ran(0, "short\n", ""));
            Ran watched = start("watch", "short", system).end();
            assertThat(watched.exit()).as(watched.err()).isZero();
            assertThat(watched.out()).startsWith("model ").contains("\nprojected ");
            assertThat(watched.err()).contains("job short succeeded");

            assertThat(start("submit", job(1_000_000).toString(), "--id", "long", system)
                            .end()
                            .exit())
                    .isZero();
            assertThat(start("cancel", "long", system).end()).isEqualTo(new Ran(0, "", ""));
            Ran cancelled = start("watch", "long", system).end();
            assertThat(cancelled.exit()).isEqualTo(1);
            assertThat(cancelled.out()).isEmpty();
            assertThat(cancelled.err()).endsWith("job long was cancelled\n");
        } finally {
            serve.process().destroy();
        }
        assertThat(serve.end().out()).as("results alone are on stdout").hasLineCount(1);
    }

    private static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        }
    }
}
