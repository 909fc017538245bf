package io.safelora.standalone.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.quarkus.test.common.QuarkusTestResource;
import io.quarkus.test.junit.QuarkusTest;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.pipeline.Pipeline;
import io.safelora.pipeline.PipelineConfig;
import io.safelora.standalone.demo.DemoModels;
import io.safelora.standalone.embedded.EmbeddedSystemResource;
import jakarta.inject.Inject;
import java.nio.file.Files;
import java.nio.file.Path;
import org.eclipse.microprofile.config.inject.ConfigProperty;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** submit and watch against the four services on a real broker. */
@QuarkusTest
@QuarkusTestResource(EmbeddedSystemResource.class)
class ClientCommandsTest {
    @TempDir
    Path dir;

    @ConfigProperty(name = "kafka.bootstrap.servers")
    String bootstrapServers;

    @Inject
    PipelineConfig config;

    private Ran run(String... args) {
        String[] all = new String[args.length + 2];
        System.arraycopy(args, 0, all, 0, args.length);
        all[args.length] = "--bootstrap-servers";
        all[args.length + 1] = bootstrapServers;
        return Ran.of(all);
    }

    private String job(String name, int limit) throws Exception {
        return Files.writeString(dir.resolve(name), """
                        base: s3://safelora/demo/base
                        aligned: s3://safelora/demo/aligned
                        training: {data: "s3://safelora/demo/data/finetuning.jsonl", r: 2, max_steps: 1}
                        evaluation:
                          - {task: harmfulness, data: "s3://safelora/demo/data/forbidden.csv", limit: %d, \
                        max_new_tokens: 4}
                        dtype: float32
                        """.formatted(limit)).toString();
    }

    @Test
    void anIdStandsForOneDocument() throws Exception {
        Path models = dir.resolve("models");
        DemoModels.unpack(models);
        try (ArtifactStore store = new ArtifactStore(Pipeline.storeSettings(config))) {
            for (String file : DemoModels.files()) {
                store.put("s3://safelora/demo/" + file, models.resolve(file));
            }
        }
        String first = job("first.yaml", 2);
        assertThat(run("submit", first, "--id", "weekly")).isEqualTo(new Ran(0, "weekly\n", ""));
        Ran watched = run("watch", "weekly");
        assertThat(watched.exit()).as(watched.err()).isZero();
        assertThat(watched.out()).contains("harmfulness harmful", " of 2");

        Ran again = run("submit", first, "--id", "weekly");
        assertThat(again.exit()).isZero();
        assertThat(again.out()).isEqualTo("weekly\n");
        assertThat(again.err())
                .isEqualTo("job weekly is this document already, which succeeded; nothing was submitted."
                        + " --replace runs it again\n");

        String other = job("other.yaml", 3);
        Ran refused = run("submit", other, "--id", "weekly");
        assertThat(refused)
                .isEqualTo(new Ran(
                        1,
                        "",
                        "safelora submit: the job id weekly stands for another document, "
                                + "which succeeded; take another --id, or"
                                + " --replace that job\n"));

        assertThat(run("submit", other, "--id", "weekly", "--replace").exit()).isZero();
        watched = run("watch", "weekly");
        assertThat(watched.exit()).as(watched.err()).isZero();
        assertThat(watched.out()).contains(" of 3").doesNotContain(" of 2");
    }
}
