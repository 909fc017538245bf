package io.safelora.standalone.embedded;

import static org.assertj.core.api.Assertions.assertThat;

import io.quarkus.test.common.QuarkusTestResource;
import io.quarkus.test.common.http.TestHTTPResource;
import io.quarkus.test.junit.QuarkusTest;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.JobEvent.EvaluationCompleted;
import io.safelora.contract.JobEvent.JobStatus;
import io.safelora.contract.JobEvent.JobStatus.State;
import io.safelora.contract.JobEvent.Score;
import io.safelora.contract.Json;
import io.safelora.contract.Topics;
import io.safelora.pipeline.Pipeline;
import io.safelora.pipeline.PipelineConfig;
import io.safelora.standalone.observability.DeployedMetrics;
import jakarta.inject.Inject;
import java.io.InputStream;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.eclipse.microprofile.config.inject.ConfigProperty;
import org.junit.jupiter.api.Test;

/** The four services in one Quarkus application, on the embedded broker and S3 server. */
@QuarkusTest
@QuarkusTestResource(EmbeddedSystemResource.class)
class ServicesTest {
    @TestHTTPResource("/q")
    URL management;

    @ConfigProperty(name = "kafka.bootstrap.servers")
    String bootstrapServers;

    @Inject
    PipelineConfig config;

    private HttpResponse<String> get(String path) throws Exception {
        return HttpClient.newHttpClient()
                .send(
                        HttpRequest.newBuilder(URI.create(management + path)).build(),
                        HttpResponse.BodyHandlers.ofString());
    }

    private void awaitReady() throws Exception {
        for (int i = 0; get("/health/ready").statusCode() != 200; i++) {
            assertThat(i).as(get("/health/ready").body()).isLessThan(60);
            Thread.sleep(500);
        }
    }

    @Test
    void theyAreHealthyAndTheirTopicsAreThere() throws Exception {
        awaitReady();
        assertThat(get("/health/live").statusCode()).isEqualTo(200);
        assertThat(get("/health/ready").body()).contains("stages take tasks").contains("Kafka");
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrapServers))) {
            assertThat(admin.listTopics().names().get()).containsAll(Topics.ALL);
        }
    }

    @Test
    void metricsOfEveryStageAreThereBeforeTheFirstTask() throws Exception {
        awaitReady();
        String metrics = get("/metrics").body();
        for (String stage : new String[] {"alignment-analyzer", "layer-selector", "lora-trainer", "evaluator"}) {
            assertThat(metrics)
                    .contains("safelora_tasks_total{outcome=\"succeeded\",stage=\"" + stage + "\"} 0.0")
                    .contains("safelora_task_duration_seconds_count{outcome=\"succeeded\",stage=\"" + stage + "\"} 0")
                    .contains("safelora_tasks_in_progress{stage=\"" + stage + "\"} 0.0")
                    .contains("safelora_task_retries_total{stage=\"" + stage + "\"} 0.0")
                    .contains("safelora_dead_letters_total{stage=\"" + stage + "\"} 0.0")
                    .contains("safelora_results_reused_total{stage=\"" + stage + "\"} 0.0");
        }
    }

    @Test
    void dashboardsAndAlertsAskForMetricsThatAreExported() throws Exception {
        awaitReady();
        assertThat(DeployedMetrics.missingIn(get("/metrics").body())).isEmpty();
    }

    /** The demo's pair, trained and measured for a moment only. Its bytes go to S3 first, as any user's would. */
    private String job(String adapter) throws Exception {
        try (ArtifactStore store = new ArtifactStore(Pipeline.storeSettings(config))) {
            for (String file : new String[] {
                "base/config.json",
                "base/model.safetensors",
                "base/tokenizer.json",
                "base/tokenizer_config.json",
                "aligned/config.json",
                "aligned/model.safetensors",
                "aligned/tokenizer.json",
                "aligned/tokenizer_config.json",
                "aligned/generation_config.json",
                "aligned/special_tokens_map.json",
                "data/finetuning.jsonl",
                "data/problems.jsonl",
                "data/forbidden.csv"
            }) {
                try (InputStream in = getClass().getResourceAsStream("/demo/" + file)) {
                    store.put("s3://safelora/test/" + file, in.readAllBytes());
                }
            }
        }
        return """
                base: s3://safelora/test/base
                aligned: s3://safelora/test/aligned
                %s
                selection: {strategy: number, number: 24}
                evaluation:
                  - {task: gsm8k, data: "s3://safelora/test/data/problems.jsonl", num_fewshot: 0, max_new_tokens: 16, limit: 4}
                  - {task: harmfulness, data: "s3://safelora/test/data/forbidden.csv", max_new_tokens: 16, limit: 4}
                dtype: float32
                """.formatted(adapter == null ? """
                                training: {data: "s3://safelora/test/data/finetuning.jsonl", r: 4, max_steps: 3,
                                           per_device_train_batch_size: 2, max_length: 64}""" : "adapter: " + adapter);
    }

    /** Publishes a YAML document as a plain client would, and follows the job to its end. */
    private EvaluationCompleted run(String jobId, String yaml) throws Exception {
        Map<String, Object> properties = Map.of("bootstrap.servers", bootstrapServers);
        try (KafkaProducer<String, String> producer =
                new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer())) {
            producer.send(new ProducerRecord<>(Topics.JOBS, jobId, yaml)).get();
        }
        EvaluationCompleted result = null;
        try (KafkaConsumer<String, byte[]> consumer =
                new KafkaConsumer<>(properties, new StringDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> partitions =
                    List.of(new TopicPartition(Topics.JOB_STATUS, 0), new TopicPartition(Topics.EVALUATIONS, 0));
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            long end = System.nanoTime() + Duration.ofMinutes(4).toNanos();
            JobStatus last = null;
            while (last == null || !last.state().isFinal() || (result == null && last.state() == State.SUCCEEDED)) {
                assertThat(System.nanoTime()).as("last status: %s", last).isLessThan(end);
                for (ConsumerRecord<String, byte[]> record : consumer.poll(Duration.ofMillis(300))) {
                    if (!jobId.equals(record.key())) {
                        continue;
                    }
                    if (record.topic().equals(Topics.EVALUATIONS)) {
                        result = Json.MAPPER.readValue(record.value(), EvaluationCompleted.class);
                    } else {
                        last = Json.MAPPER.readValue(record.value(), JobStatus.class);
                    }
                }
            }
            assertThat(last.state()).as("%s", last.error()).isEqualTo(State.SUCCEEDED);
        }
        return result;
    }

    @Test
    void aJobOfAPlainClientRunsThroughAllStagesAndItsAdapterCanBeBroughtToAnother() throws Exception {
        awaitReady();
        EvaluationCompleted trained = run("e2e-trains", job(null));
        assertThat(trained.scores()).extracting(Score::model).containsOnly("aligned", "fine-tuned", "projected");
        try (ArtifactStore store = new ArtifactStore(Pipeline.storeSettings(config))) {
            Path adapter = store.download(trained.projected());
            assertThat(PeftAdapter.open(adapter).modules()).hasSize(28);
            assertThat(adapter.resolve("selection.json")).exists();
            assertThat(store.download(trained.evaluation()).resolve("report.html"))
                    .exists();
            for (String file : new String[] {PeftAdapter.CONFIG, PeftAdapter.WEIGHTS}) {
                store.put("s3://safelora/test/own-adapter/" + file, adapter.resolve(file));
            }
        }
        double steps = count("safelora_training_steps_total");
        assertThat(steps).isEqualTo(3);
        EvaluationCompleted brought = run("e2e-brings", job("s3://safelora/test/own-adapter"));
        assertThat(brought.projected()).isNotEqualTo(trained.projected());
        assertThat(count("safelora_training_steps_total"))
                .as("training is skipped")
                .isEqualTo(steps);

        double reused = count("safelora_results_reused_total");
        assertThat(run("e2e-again", job(null))).usingRecursiveComparison().isEqualTo(trained);
        // analyze, plan, train, select, project, evaluate; the trainer asks for the adapter when it trains only.
        assertThat(count("safelora_results_reused_total") - reused).isEqualTo(6);
    }

    @Test
    void aJobIsCancelledThroughTheControlsChannel() throws Exception {
        awaitReady();
        Map<String, Object> properties = Map.of("bootstrap.servers", bootstrapServers);
        try (KafkaProducer<String, String> producer =
                        new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer());
                KafkaConsumer<String, byte[]> consumer =
                        new KafkaConsumer<>(properties, new StringDeserializer(), new ByteArrayDeserializer())) {
            producer.send(new ProducerRecord<>(Topics.CONTROLS, "e2e-cancelled", "{}"))
                    .get();
            // The wish travels by another topic than the job: give it the time that a user's second command takes.
            Thread.sleep(7_000);
            producer.send(new ProducerRecord<>(Topics.JOBS, "e2e-cancelled", job(null)))
                    .get();
            consumer.assign(List.of(new TopicPartition(Topics.JOB_STATUS, 0)));
            consumer.seekToBeginning(consumer.assignment());
            long end = System.nanoTime() + Duration.ofMinutes(1).toNanos();
            State state = null;
            while (state != State.CANCELLED) {
                assertThat(System.nanoTime()).as("state %s", state).isLessThan(end);
                for (ConsumerRecord<String, byte[]> record : consumer.poll(Duration.ofMillis(300))) {
                    if ("e2e-cancelled".equals(record.key())) {
                        state = Json.MAPPER
                                .readValue(record.value(), JobStatus.class)
                                .state();
                        assertThat(state).isNotEqualTo(State.SUCCEEDED);
                    }
                }
            }
        }
    }

    private double count(String metric) throws Exception {
        return get("/metrics")
                .body()
                .lines()
                .filter(line -> line.startsWith(metric))
                .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' '))))
                .sum();
    }
}
