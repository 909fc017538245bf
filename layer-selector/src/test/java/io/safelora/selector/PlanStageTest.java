package io.safelora.selector;

import static org.assertj.core.api.Assertions.assertThat;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.JobDocument;
import io.safelora.contract.JobEvent.AlignmentAnalyzed;
import io.safelora.contract.JobEvent.LayersSelected;
import io.safelora.contract.JobEvent.LayersSelected.Projection;
import io.safelora.contract.JobRequest;
import io.safelora.contract.Json;
import io.safelora.contract.Topics;
import io.safelora.method.Alignment;
import io.safelora.method.ModuleAlignment;
import io.safelora.method.Plan;
import io.safelora.pipeline.Cancellations;
import io.safelora.pipeline.Pipeline;
import io.safelora.pipeline.PipelineConfig;
import io.safelora.pipeline.Publisher;
import io.safelora.testkit.EmbeddedKafka;
import io.safelora.testkit.EmbeddedS3;
import io.safelora.testkit.PlainClients;
import io.safelora.testkit.PlainUser;
import io.safelora.testkit.Settings;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Plans over a real broker, with their results in a real S3 server. */
@Timeout(value = 3, unit = TimeUnit.MINUTES)
class PlanStageTest {
    @TempDir
    static Path dir;

    static EmbeddedKafka kafka;
    static EmbeddedS3 s3;
    static PipelineConfig config;
    static ArtifactStore store;
    static PlainClients clients;
    static Pipeline pipeline;

    @BeforeAll
    static void start() throws Exception {
        kafka = EmbeddedKafka.start(dir.resolve("kafka"), 0, Map.of("group.share.min.record.lock.duration.ms", "1000"));
        s3 = EmbeddedS3.start(dir.resolve("s3"), 0, "safelora");
        config = Settings.ofWorker(PipelineConfig.class, s3.endpoint().toString(), "s3://safelora", dir);
        store = new ArtifactStore(Pipeline.storeSettings(config));
        Cancellations cancellations = new Cancellations();
        clients = new PlainClients(kafka.bootstrapServers(), cancellations::accept);
        pipeline = new Pipeline(
                List.of(new PlanStage(), new SelectStage()),
                Map.of("bootstrap.servers", kafka.bootstrapServers()),
                config,
                new Publisher(clients::send),
                cancellations,
                new SimpleMeterRegistry());
    }

    @AfterAll
    static void stop() throws Exception {
        pipeline.close();
        clients.close();
        store.close();
        s3.close();
        kafka.close();
    }

    private static ModuleAlignment module(String name, double deltaNorm) {
        return new ModuleAlignment(
                name,
                List.of(8L, 8L),
                deltaNorm,
                1,
                deltaNorm,
                deltaNorm,
                1.0,
                List.of(),
                List.of(),
                "F32",
                0,
                0,
                0,
                false);
    }

    /** What the analyzer would have found: attention of two layers, and an MLP that alignment changed most. */
    private static ArtifactRef alignment() throws Exception {
        Path result = Files.createTempDirectory(dir, "alignment-");
        List<ModuleAlignment> modules = List.of(
                module("model.layers.0.mlp.up_proj", 9),
                module("model.layers.0.self_attn.q_proj", 1),
                module("model.layers.0.self_attn.v_proj", 3),
                module("model.layers.1.self_attn.q_proj", 2));
        Files.write(result.resolve(Alignment.FILE), Json.pretty(new Alignment(1, List.of(), 9.7, 0, null, modules)));
        return store.upload(result, "s3://safelora/results/alignment-analyzer/of-the-test");
    }

    private static LayersSelected planned(String job, String selection) throws Exception {
        JobRequest request = JobDocument.parse("""
                base: s3://safelora/base
                aligned: s3://safelora/aligned
                training: {data: "s3://safelora/rows.jsonl", target_modules: [q_proj, v_proj]}
                selection: %s
                """.formatted(selection));
        new Publisher(clients::send)
                .publish(job, "alignment-analyzer", new AlignmentAnalyzed(request, alignment()), Map.of());
        try (PlainUser user = new PlainUser(kafka.bootstrapServers())) {
            String value = user.await(Topics.SELECTIONS, 1, r -> job.equals(r.key()))
                    .get(0)
                    .value();
            return Json.MAPPER.readValue(value, LayersSelected.class);
        }
    }

    private static Plan plan(LayersSelected selected) throws Exception {
        return Json.MAPPER.readValue(store.read(selected.selection(), Plan.FILE, 1_000_000), Plan.class);
    }

    @Test
    void whatNeedsNoTrainedUpdateIsDecidedAmongTheModulesThatGetLora() throws Exception {
        LayersSelected selected = planned("energy", "{strategy: energy, share: 0.9}");
        assertThat(selected.projection()).isEqualTo(Projection.decided);
        // 9 + 4 of 1 + 9 + 4.
        assertThat(plan(selected).selected())
                .containsExactlyInAnyOrder("model.layers.0.self_attn.v_proj", "model.layers.1.self_attn.q_proj");
        assertThat(selected.adapter()).isNull();
    }

    @Test
    void whatNeedsItIsDeferred() throws Exception {
        LayersSelected selected = planned("number", "{strategy: number, number: 1}");
        assertThat(selected.projection()).isEqualTo(Projection.deferred);
        assertThat(plan(selected).selected()).isNull();
    }
}
