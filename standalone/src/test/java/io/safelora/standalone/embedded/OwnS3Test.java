package io.safelora.standalone.embedded;

import static org.assertj.core.api.Assertions.assertThat;

import io.quarkus.test.junit.QuarkusTest;
import io.quarkus.test.junit.QuarkusTestProfile;
import io.quarkus.test.junit.TestProfile;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.JobEvent.EvaluationCompleted;
import io.safelora.contract.JobEvent.JobStatus;
import io.safelora.contract.Json;
import io.safelora.contract.Topics;
import io.safelora.pipeline.Pipeline;
import io.safelora.pipeline.PipelineConfig;
import io.safelora.standalone.demo.DemoModels;
import io.safelora.testkit.Records;
import jakarta.inject.Inject;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;
import org.eclipse.microprofile.config.inject.ConfigProperty;
import org.junit.jupiter.api.Test;

/** A job as {@code ./safelora run} works on it: inputs in the user's own S3, results in files. */
@QuarkusTest
@TestProfile(OwnS3Test.Profile.class)
class OwnS3Test {
    /** An application of its own, without the S3 server that the other tests have. */
    public static final class Profile implements QuarkusTestProfile {
        @Override
        public List<TestResourceEntry> testResources() {
            return List.of(new TestResourceEntry(OwnS3Resource.class));
        }

        @Override
        public boolean disableGlobalTestResources() {
            return true;
        }
    }

    @ConfigProperty(name = "kafka.bootstrap.servers")
    String bootstrapServers;

    @Inject
    PipelineConfig config;

    @Test
    void inputsAreReadFromItAndResultsStayHere() throws Exception {
        Path models = Files.createTempDirectory("demo-models-");
        DemoModels.unpack(models);
        String own = "s3://" + OwnS3Resource.BUCKET + "/";
        try (ArtifactStore store = new ArtifactStore(Pipeline.storeSettings(config))) {
            for (String file : DemoModels.files()) {
                if (file.startsWith("aligned/") || file.startsWith("data/")) {
                    store.put(own + "my models/" + file, models.resolve(file));
                }
            }
            int before = store.list(own).size();
            publish("own", """
                    {"base": "%s", "aligned": "%smy models/aligned",
                     "training": {"data": "%smy models/data/finetuning.jsonl", "r": 4, "max_steps": 2},
                     "selection": {"number": 5}, "dtype": "float32",
                     "evaluation": [{"task": "harmfulness", "data": "%smy models/data/forbidden.csv", "limit": 2, \
                    "max_new_tokens": 8}]}
                    """.formatted(models.resolve("base").toUri(), own, own, own));
            JobStatus status = last("own");
            assertThat(status.state()).as(status.error()).isEqualTo(JobStatus.State.SUCCEEDED);
            EvaluationCompleted result = Json.MAPPER.readValue(
                    Records.of(bootstrapServers, Topics.EVALUATIONS, "own")
                            .get(0)
                            .value(),
                    EvaluationCompleted.class);
            assertThat(result.projected().uri()).startsWith("file:");
            assertThat(result.evaluation().uri()).startsWith("file:");
            assertThat(Path.of(URI.create(result.projected().uri()))).exists();
            assertThat(PeftAdapter.open(store.download(result.projected())).modules())
                    .hasSize(28);
            assertThat(store.list(own)).as("nothing is written to it").hasSize(before);
        }
    }

    @Test
    void aMissingInputIsNamedWithItsServer() throws Exception {
        publish("missing", """
                {"base": "s3://nobodys-bucket/base", "aligned": "s3://nobodys-bucket/aligned", "adapter": \
                "s3://nobodys-bucket/adapter"}
                """);
        JobStatus status = last("missing");
        assertThat(status.state()).isEqualTo(JobStatus.State.FAILED);
        assertThat(status.error())
                .contains("s3://nobodys-bucket/base: there is no bucket nobodys-bucket")
                .contains(config.s3().endpoint().orElseThrow().toString());
    }

    private void publish(String job, String document) throws Exception {
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(
                Map.of("bootstrap.servers", bootstrapServers), new StringSerializer(), new StringSerializer())) {
            producer.send(new ProducerRecord<>(Topics.JOBS, job, document)).get();
        }
    }

    private JobStatus last(String job) throws Exception {
        for (int i = 0; i < 240; i++) {
            List<JobStatus> all = new ArrayList<>();
            for (var record : Records.of(bootstrapServers, Topics.JOB_STATUS, job)) {
                all.add(Json.MAPPER.readValue(record.value(), JobStatus.class));
            }
            if (!all.isEmpty() && all.get(all.size() - 1).state().isFinal()) {
                return all.get(all.size() - 1);
            }
            Thread.sleep(500);
        }
        throw new AssertionError(job + " did not end");
    }
}
