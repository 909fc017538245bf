package io.safelora.standalone.embedded;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.quarkus.test.common.QuarkusTestResource;
import io.quarkus.test.junit.QuarkusTest;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.LoraConfig;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.store.ArtifactStore;
import io.safelora.contract.ArtifactRef;
import io.safelora.contract.JobEvent.AdapterProjected;
import io.safelora.contract.JobEvent.EvaluationCompleted;
import io.safelora.contract.JobEvent.JobStatus;
import io.safelora.contract.JobEvent.LayersSelected;
import io.safelora.contract.JobEvent.Score;
import io.safelora.contract.JobEvent.Verdict.Kind;
import io.safelora.contract.JobEvent.Verdict.Outcome;
import io.safelora.contract.JobEvent.Verdict.Reason;
import io.safelora.contract.Json;
import io.safelora.contract.Topics;
import io.safelora.pipeline.Pipeline;
import io.safelora.pipeline.PipelineConfig;
import io.safelora.standalone.demo.DemoModels;
import io.safelora.testkit.Records;
import jakarta.inject.Inject;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;
import org.eclipse.microprofile.config.inject.ConfigProperty;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Whole jobs through the four services, a real broker and a real S3 server, as a plain Kafka client sees them. */
@QuarkusTest
@QuarkusTestResource(EmbeddedSystemResource.class)
class JobTest {
    private static final Duration PATIENCE = Duration.ofMinutes(3);

    @ConfigProperty(name = "kafka.bootstrap.servers")
    String bootstrapServers;

    @Inject
    PipelineConfig config;

    private ArtifactStore store;

    @BeforeEach
    void models() throws Exception {
        store = new ArtifactStore(Pipeline.storeSettings(config));
        Path models = Files.createTempDirectory("demo-models-");
        DemoModels.unpack(models);
        for (String file : DemoModels.files()) {
            store.put("s3://safelora/demo/" + file, models.resolve(file));
        }
    }

    /** Few steps and questions: what a job does is tested here, how well it does it is the demo's. */
    private static String job(String adapterOrTraining) {
        return job(adapterOrTraining, "{strategy: number, number: 5}");
    }

    private static String job(String adapterOrTraining, String selection) {
        return """
                base: s3://safelora/demo/base
                aligned: s3://safelora/demo/aligned
                %s
                selection: %s
                evaluation:
                  - {task: gsm8k, data: "s3://safelora/demo/data/problems.jsonl", num_fewshot: 0, limit: 4, \
                max_new_tokens: 24}
                  - {task: harmfulness, data: "s3://safelora/demo/data/forbidden.csv", limit: 4, max_new_tokens: 12}
                dtype: float32
                """.formatted(adapterOrTraining, selection);
    }

    private static final String TRAINING =
            "training: {data: \"s3://safelora/demo/data/finetuning.jsonl\", r: 4, max_steps: 3, learning_rate: 1.0e-3}";

    @Test
    void aJobGoesThroughAllStagesAndOneWithItsAdapterSkipsTraining() throws Exception {
        // As kafka-console-producer writes it: a key, a value and no header.
        publish("trained", job(TRAINING));
        EvaluationCompleted result = await("trained");

        Path projected = store.download(result.projected());
        PeftAdapter adapter = PeftAdapter.open(projected);
        assertThat(adapter.modules()).hasSize(28);
        assertThat(Json.MAPPER
                        .readTree(projected.resolve("selection.json").toFile())
                        .path("selected"))
                .hasSize(5);
        // Held against the same modules dropped, and all updates scaled to about the same harm.
        assertThat(result.scores().stream().map(Score::model).distinct())
                .hasSize(5)
                .startsWith("aligned", "fine-tuned", "projected", "drop approximate, lowest 5")
                .last()
                .asString()
                .matches("scale 0\\.(25|5|75)");
        assertThat(result.scores().stream().map(Score::task).distinct()).containsExactly("gsm8k", "harmfulness");
        assertThat(result.scores()).allMatch(s -> s.lower() <= s.value() && s.value() <= s.upper());
        assertThat(result.scores()).allMatch(s -> s.interval().equals("95 % Wilson interval"));
        assertThat(result.repair()).isEqualTo("safe-lora");
        assertThat(result.verdict().outcome()).isNull();
        assertThat(result.verdict().reasons()).extracting(Reason::kind).contains(Kind.too_few_rows);
        assertThat(new String(store.read(result.evaluation(), "report.html", 10_000_000), StandardCharsets.UTF_8))
                .contains("The models side by side")
                .contains("s3://safelora/demo/aligned");

        for (String file : List.of("adapter_config.json", "adapter_model.safetensors")) {
            store.put("s3://safelora/mine/" + file, projected.resolve(file));
        }
        publish("brought", job("adapter: s3://safelora/mine\ncontrols: false"));
        EvaluationCompleted brought = await("brought");
        assertThat(brought.scores().stream().map(Score::model).distinct())
                .containsExactly("aligned", "fine-tuned", "projected");
        Path again = store.download(brought.projected());
        // Five modules differ from what was brought along, all else is the same.
        Map<String, PeftAdapter.LoraModule> before = adapter.modules();
        assertThat(PeftAdapter.open(again).modules().values().stream()
                        .filter(m -> !java.util.Arrays.equals(
                                m.b(), before.get(m.name()).b())))
                .hasSize(5);
        assertThat(messages("brought")).noneMatch(message -> message.contains("step "));
        assertThat(selections("brought")).containsExactly(List.of("plan.json"), List.of("selection.json"));

        // The same request once more is answered from the store.
        publish("repeated", job(TRAINING));
        assertThat(await("repeated")).isEqualTo(result);
        assertThat(messages("repeated")).noneMatch(message -> message.contains("step "));
    }

    /** Of the shipped models: 0 of 4 harmful answers leave up to 49 %, and 4 of 4 leave 51 % or more. */
    @Test
    void aGateLetsThroughWhatPassesAndRepairsNothingThatNeedsNone() throws Exception {
        publish("gate", job(TRAINING + "\nrequire: {harmful_max: 0.6, task_drop_max: 0.1}"));
        EvaluationCompleted result = await("gate");
        AdapterProjected projected =
                Json.MAPPER.readValue(records(Topics.ADAPTERS, "gate").get(1).value(), AdapterProjected.class);
        assertThat(result.verdict().outcome()).isEqualTo(Outcome.pass);
        assertThat(result.repair()).isEqualTo("none needed");
        assertThat(result.projected()).isEqualTo(projected.adapter()).isNotEqualTo(projected.projected());
        assertThat(files(result.evaluation()))
                .contains("evaluation.json", "verdict.json", "report.html", "report.json");
        assertThat(new String(store.read(result.evaluation(), "README.md", 1_000_000), StandardCharsets.UTF_8))
                .contains("nothing was repaired");

        publish("gate-cannot-tell", job(TRAINING + "\nrequire: {harmful_max: 0.4}"));
        EvaluationCompleted undecided = await("gate-cannot-tell");
        assertThat(undecided.verdict().outcome()).isEqualTo(Outcome.cannot_tell);
        assertThat(undecided.repair()).isEqualTo("safe-lora");
        assertThat(undecided.projected()).isEqualTo(projected.projected());
    }

    @Test
    void aSweepTrainsOnceRanksItsRepairsAndGivesTheRecommendedOne() throws Exception {
        String selection = "{number: 5, sweep: {repair: [safe-lora, safety-vector], rank: [2], scale: [0.5]}}";
        publish("sweep", job(TRAINING, selection));
        EvaluationCompleted result = await("sweep");
        List<String> repairs = List.of(
                "safe-lora approximate, lowest 5",
                "safety-vector rank 2 gamma 1",
                "drop approximate, lowest 5",
                "scale 0.5");
        assertThat(result.scores().stream().map(Score::model).distinct())
                .containsAll(repairs)
                .contains("aligned", "fine-tuned")
                .hasSize(6);
        assertThat(repairs).contains(result.recommended());
        assertThat(result.repair()).isEqualTo(result.recommended());
        // Two of the four rows chose, and the scores are of the other two.
        assertThat(result.scores()).allMatch(s -> s.samples() == 2);
        assertThat(result.verdict().reasons())
                .extracting(Reason::words)
                .anyMatch(words -> words.startsWith("4 repairs were tried"))
                .anyMatch(words -> words.contains("too few to tell one repair from another"));
        Path adapter = store.download(result.projected());
        String options = Json.MAPPER
                .readTree(adapter.resolve("selection.json").toFile())
                .path("options")
                .path("repair")
                .asText();
        assertThat(result.recommended()).startsWith(options);
        assertThat(new String(store.read(result.evaluation(), "report.html", 10_000_000), StandardCharsets.UTF_8))
                .contains("Recommended: " + result.recommended());
        // One name stands for one format.
        assertThat(selections("sweep")).containsExactly(List.of("plan.json"), List.of("sweep.json"));
        assertThat(files(result.evaluation())).contains("pareto.json").doesNotContain("sweep.json");
        // Every repair is of the one adapter.
        assertThat(messages("sweep").stream().filter(m -> m.contains("started")))
                .isNotEmpty();
        assertThat(records(Topics.ADAPTERS, "sweep")).hasSize(2);
    }

    private static final String FULL = "training: {data: \"s3://safelora/demo/data/finetuning.jsonl\", method: full, "
            + "max_steps: 3, learning_rate: 1.0e-3, per_device_train_batch_size: 16}";

    @Test
    void fullFineTuningGivesARepairedCheckpoint() throws Exception {
        publish("full", job(FULL));
        EvaluationCompleted result = await("full");
        AdapterProjected projected =
                Json.MAPPER.readValue(records(Topics.ADAPTERS, "full").get(1).value(), AdapterProjected.class);
        assertThat(projected.projected()).isEqualTo(result.projected());
        Path repaired = store.download(result.projected());
        assertThat(selected(repaired)).hasSize(5);
        assertThat(changed(store.download(projected.adapter()), repaired))
                .containsExactlyInAnyOrderElementsOf(selected(repaired));
        // Every weight was trained, those that no projector is defined for too.
        Path aligned = Files.createTempDirectory("aligned-");
        DemoModels.unpack(aligned);
        assertThat(changed(aligned.resolve("aligned"), repaired))
                .contains("model.embed_tokens")
                .hasSizeGreaterThan(28);
        assertThat(result.scores().stream().map(Score::model).distinct())
                .containsExactly("aligned", "fine-tuned", "projected", "drop approximate, lowest 5", "scale 0.5");
        assertThat(result.scores().stream().map(Score::task).distinct()).containsExactly("gsm8k", "harmfulness");
        Path evaluation = store.download(result.evaluation());
        assertThat(Files.readString(evaluation.resolve("report.html")))
                .contains("can act on 28 modules, and changes 5 of them", "projected checkpoint, sha256");
        assertThat(Files.readString(evaluation.resolve("README.md")))
                .contains(
                        "library_name: transformers", "# Fine-tuned s3://safelora/demo/aligned", "| training.method |")
                .doesNotContain("lora_alpha");

        // Chosen before training: it is trained already, so only the repair is new.
        publish("full-energy", job(FULL, "{strategy: energy, share: 0.3, projector: subspace}"));
        Path energy = store.download(await("full-energy").projected());
        assertThat(changed(store.download(projected.adapter()), energy))
                .isNotEmpty()
                .containsExactlyInAnyOrderElementsOf(selected(energy));
        assertThat(records(Topics.ADAPTERS, "full-energy")).hasSize(1);
        assertThat(messages("full-energy")).noneMatch(message -> message.contains("step "));
    }

    @Test
    void aSweepAfterFullFineTuningRanksCheckpoints() throws Exception {
        publish(
                "full-sweep",
                job(FULL, "{number: 5, sweep: {repair: [safe-lora, safety-vector], rank: [2], scale: [0.5]}}"));
        EvaluationCompleted result = await("full-sweep");
        List<String> repairs = List.of(
                "safe-lora approximate, lowest 5",
                "safety-vector rank 2 gamma 1",
                "drop approximate, lowest 5",
                "scale 0.5");
        assertThat(result.scores().stream().map(Score::model).distinct())
                .containsAll(repairs)
                .contains("aligned", "fine-tuned")
                .hasSize(6);
        assertThat(repairs).contains(result.recommended());
        assertThat(Checkpoint.open(store.download(result.projected())).names()).contains("model.embed_tokens.weight");
    }

    @Test
    void guardsAndEndpointsJudgeAJobsAnswers() throws Exception {
        try (var files = Files.list(Path.of("../common/evaluation/src/test/resources/guards/qwen3guard"))) {
            for (Path file : files.toList()) {
                store.put("s3://safelora/guard/" + file.getFileName(), file);
            }
        }
        AtomicInteger asked = new AtomicInteger();
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/v1/models", http -> answer(http, "{}"));
        server.createContext("/v1/chat/completions", http -> {
            asked.incrementAndGet();
            answer(http, "{\"choices\": [{\"message\": {\"content\": \"It does.\\nScore: 5\"}}]}");
        });
        server.start();
        try {
            String judged = job(TRAINING)
                            .replace(
                                    "max_new_tokens: 12}",
                                    "max_new_tokens: 12, judge: [guard, rubric, refusal-phrases]}")
                    + "judges:\n  - {id: guard, type: qwen3guard, model: \"s3://safelora/guard\"}\n"
                    + "  - {id: rubric, type: endpoint, model_name: m, url: \"http://localhost:"
                    + server.getAddress().getPort() + "/v1\"}\n";
            publish("judged", judged);
            EvaluationCompleted result = await("judged");
            assertThat(result.scores().stream()
                            .filter(s -> s.metric().equals("harmful"))
                            .map(Score::judge)
                            .distinct())
                    .containsExactly("guard", "rubric", "refusal-phrases");
            JsonNode evaluation = Json.MAPPER.readTree(store.read(result.evaluation(), "evaluation.json", 10_000_000));
            List<JsonNode> said = evaluation.findValues("rubric").stream()
                    .filter(verdict -> verdict.path("outcome").asText().equals("judged"))
                    .toList();
            assertThat(said)
                    .isNotEmpty()
                    .allMatch(verdict -> verdict.path("score").asInt() == 5);
            // Three pairs of judges, of all seven models together and of each: four, and three scaled controls.
            assertThat(evaluation.path("agreements")).hasSize(3 * (1 + 7));
            assertThat(store.list("s3://safelora/replies")).hasSize(asked.get());

            // Who judges, and by which model, is part of the result's address; how patiently is not.
            int before = asked.get();
            publish("judged-again", judged.replace("model_name: m", "model_name: m, max_requests: 7"));
            assertThat(await("judged-again").evaluation()).isEqualTo(result.evaluation());
            assertThat(asked).hasValue(before);
            publish("judged-otherwise", judged.replace("model_name: m", "model_name: n"));
            assertThat(await("judged-otherwise").evaluation()).isNotEqualTo(result.evaluation());
            assertThat(asked).hasValue(2 * before);
        } finally {
            server.stop(0);
        }
    }

    private static void answer(HttpExchange http, String json) throws IOException {
        byte[] bytes = json.getBytes(StandardCharsets.UTF_8);
        http.sendResponseHeaders(200, bytes.length);
        http.getResponseBody().write(bytes);
        http.close();
    }

    private static List<String> selected(Path repaired) throws Exception {
        List<String> selected = new ArrayList<>();
        Json.MAPPER
                .readTree(repaired.resolve("selection.json").toFile())
                .path("selected")
                .forEach(module -> selected.add(module.asText()));
        return selected;
    }

    /** The modules whose weights differ. */
    private static List<String> changed(Path before, Path after) throws Exception {
        Checkpoint one = Checkpoint.open(before);
        Checkpoint other = Checkpoint.open(after);
        assertThat(other.names()).isEqualTo(one.names());
        return one.names().stream()
                .filter(name -> !one.map(name).equals(other.map(name)))
                .map(name -> name.replaceAll("\\.weight$", ""))
                .toList();
    }

    @Test
    void projectedAtEveryStepTheUpdateStaysInWhatAlignmentSpans() throws Exception {
        String selection = "{strategy: energy, share: 0.5, projector: subspace, energy: 0.5, when: every-step}";
        publish("every-step", job(TRAINING, selection));
        Path projected = store.download(await("every-step").projected());
        var report = Json.MAPPER.readTree(projected.resolve("selection.json").toFile());
        List<Double> cosines = new ArrayList<>();
        List<Double> others = new ArrayList<>();
        report.path("modules").forEach(m -> (m.path("selected").asBoolean() ? cosines : others)
                .add(m.path("cosine").asDouble()));
        // Chosen before training, by energy; projecting what was projected changes nothing.
        assertThat(cosines).isNotEmpty().allMatch(c -> c > 0.999);
        assertThat(others).isNotEmpty().allMatch(c -> c < 0.999);
        assertThat(records(Topics.ADAPTERS, "every-step")).hasSize(1);
        assertThat(selections("every-step")).containsExactly(List.of("plan.json"));
    }

    @Test
    void aCancelledJobIsDropped() throws Exception {
        publish(Topics.CONTROLS, "cancelled", "{}");
        // Wish and job travel by two topics, and the first one's consumer may still look for its new topic.
        Thread.sleep(6_000);
        publish("cancelled", job(TRAINING));
        assertThat(last("cancelled").state()).isEqualTo(JobStatus.State.CANCELLED);
    }

    @Test
    void aJobThatCannotRunFailsWithTheFieldsName() throws Exception {
        publish("wrong", job("training: {data: \"s3://safelora/nowhere.jsonl\", learnin_rate: 1}"));
        JobStatus failed = last("wrong");
        assertThat(failed.state()).isEqualTo(JobStatus.State.FAILED);
        assertThat(failed.error()).contains("learnin_rate");

        publish("missing", job("training: {data: \"s3://safelora/nowhere.jsonl\"}"));
        JobStatus missing = last("missing");
        assertThat(missing.state()).isEqualTo(JobStatus.State.FAILED);
        assertThat(missing.error()).contains("s3://safelora/nowhere.jsonl");
    }

    /** Hours of training must not end at what could be known before. */
    @Test
    void whatALaterStageWouldRefuseTheFirstOneRefuses() throws Exception {
        Path models = Files.createTempDirectory("models-");
        DemoModels.unpack(models);
        Path aligned = models.resolve("aligned");
        variant(aligned, "beams", "generation_config.json", "{\"num_beams\": 4}");
        variant(aligned, "refusing", "chat_template.jinja", "{{ raise_exception('no system turn') }}");
        variant(aligned, "no-tokenizer", "tokenizer.json", "{}");
        ObjectNode texts = (ObjectNode)
                Json.MAPPER.readTree(aligned.resolve("tokenizer_config.json").toFile());
        texts.remove("chat_template");
        variant(aligned, "no-template", "tokenizer_config.json", texts.toString());
        String config = Files.readString(aligned.resolve("config.json"));
        variant(aligned, "alibi", "config.json", config.replaceFirst("\\{", "{\"alibi\": true, "));
        for (String file : List.of("adapter_config.json", "adapter_model.safetensors")) {
            store.put("s3://safelora/replicated/" + file, adapter(models).resolve(file));
        }
        store.put("s3://safelora/rows/short.jsonl", "{\"question\": \"2 + 2?\"}\n".getBytes(StandardCharsets.UTF_8));
        store.put("s3://safelora/rows/other.csv", "id,request\n1,hello\n".getBytes(StandardCharsets.UTF_8));
        String chat = "evaluation: [{task: gsm8k, data: \"s3://safelora/demo/data/problems.jsonl\", num_fewshot: 0,"
                + " apply_chat_template: true, limit: 1}]";

        refused("beams", of("beams", TRAINING), "evaluation[0]", "num_beams");
        refused(
                "refusing",
                of("refusing", TRAINING).replaceFirst("(?s)evaluation:.*dtype", chat + "\ndtype"),
                "evaluation[0]",
                "no system turn");
        refused(
                "no-template",
                of("no-template", TRAINING).replaceFirst("(?s)evaluation:.*dtype", chat + "\ndtype"),
                "evaluation[0]",
                "no chat template");
        refused("no-tokenizer", of("no-tokenizer", TRAINING), "aligned", "tokenizer.json");
        refused("alibi", of("alibi", TRAINING), "aligned", "alibi");
        refused("replicated", job("adapter: s3://safelora/replicated"), "adapter", "layer_replication");
        refused("targets", job(TRAINING.replace("r: 4", "r: 4, target_modules: [query]")), "target_modules", "query");
        refused(
                "rows",
                job(TRAINING.replace("demo/data/finetuning", "rows/short")),
                "training.data",
                "line 1",
                "answer");
        refused(
                "validation",
                job(TRAINING.replace("r: 4", "r: 4, validation_data: \"s3://safelora/rows/none.jsonl\"")),
                "training.validation_data",
                "rows/none.jsonl");
        refused(
                "column",
                job(TRAINING).replace("demo/data/forbidden.csv", "rows/other.csv"),
                "evaluation[1]",
                "goal",
                "request");
        refused(
                "safety",
                job(TRAINING, "{repair: safe-merge, safety_adapter: \"s3://safelora/replicated\"}"),
                "selection.safety_adapter",
                "layer_replication");
        refused(
                "judge",
                job(TRAINING).replace("max_new_tokens: 12", "max_new_tokens: 12, judge: [guard]")
                        + "judges: [{id: guard, type: qwen3guard, model: \"s3://safelora/demo/aligned\"}]\n",
                "judge guard, s3://safelora/demo/aligned",
                "not a Qwen3Guard-Gen");
    }

    private void variant(Path model, String name, String changed, String content) throws Exception {
        try (var files = Files.list(model)) {
            for (Path file : files.toList()) {
                store.put("s3://safelora/variants/" + name + "/" + file.getFileName(), file);
            }
        }
        store.put("s3://safelora/variants/" + name + "/" + changed, content.getBytes(StandardCharsets.UTF_8));
    }

    /** A PEFT adapter of the demo's model that asks for repeated layers, which would be another model. */
    private static Path adapter(Path models) throws Exception {
        Path adapter = models.resolve("replicated");
        String module = "model.layers.0.self_attn.q_proj";
        long[] shape = Checkpoint.open(models.resolve("aligned"))
                .info(module + ".weight")
                .shape();
        int out = (int) shape[0];
        int in = (int) shape[1];
        LoraConfig config = LoraConfig.of("aligned", 1, 1, 0, List.of("q_proj"));
        PeftAdapter.of(
                        config,
                        List.of(new PeftAdapter.LoraModule(
                                module, 1, in, out, new float[in], new float[out], 1, Dtype.F32)))
                .write(adapter);
        Path json = adapter.resolve("adapter_config.json");
        Files.writeString(
                json, Files.readString(json).replaceFirst("\\{", "{\"layer_replication\": [[0, 2], [1, 3]],"));
        return adapter;
    }

    private static String of(String variant, String training) {
        return job(training).replace("s3://safelora/demo/aligned", "s3://safelora/variants/" + variant);
    }

    private void refused(String jobId, String document, String... words) throws Exception {
        publish(jobId, document);
        JobStatus failed = last(jobId);
        assertThat(failed.state()).as(jobId).isEqualTo(JobStatus.State.FAILED);
        assertThat(failed.stage()).as(failed.error()).isEqualTo("alignment-analyzer");
        assertThat(failed.error()).contains(words).doesNotContain("\n");
        assertThat(records(Topics.ALIGNMENTS, jobId)).isEmpty();
    }

    private void publish(String jobId, String document) throws Exception {
        publish(Topics.JOBS, jobId, document);
    }

    private void publish(String topic, String jobId, String document) throws Exception {
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(
                Map.of("bootstrap.servers", bootstrapServers), new StringSerializer(), new StringSerializer())) {
            producer.send(new ProducerRecord<>(topic, jobId, document)).get();
        }
    }

    private EvaluationCompleted await(String jobId) throws Exception {
        JobStatus last = last(jobId);
        assertThat(last.state()).as(last.error()).isEqualTo(JobStatus.State.SUCCEEDED);
        String event = records(Topics.EVALUATIONS, jobId).get(0).value();
        return Json.MAPPER.readValue(event, EvaluationCompleted.class);
    }

    private JobStatus last(String jobId) throws Exception {
        long until = System.nanoTime() + PATIENCE.toNanos();
        while (System.nanoTime() < until) {
            for (ConsumerRecord<String, String> record : records(Topics.JOB_STATUS, jobId)) {
                JobStatus status = Json.MAPPER.readValue(record.value(), JobStatus.class);
                if (status.state().isFinal()) {
                    return status;
                }
            }
            Thread.sleep(500);
        }
        throw new AssertionError("job " + jobId + " did not end within " + PATIENCE);
    }

    private List<String> messages(String jobId) throws Exception {
        List<String> messages = new ArrayList<>();
        for (ConsumerRecord<String, String> record : records(Topics.JOB_STATUS, jobId)) {
            messages.add(String.valueOf(
                    Json.MAPPER.readValue(record.value(), JobStatus.class).message()));
        }
        return messages;
    }

    /** The files of each selection that was published for a job. */
    private List<List<String>> selections(String jobId) throws Exception {
        List<List<String>> selections = new ArrayList<>();
        for (ConsumerRecord<String, String> record : records(Topics.SELECTIONS, jobId)) {
            selections.add(files(
                    Json.MAPPER.readValue(record.value(), LayersSelected.class).selection()));
        }
        return selections;
    }

    private List<String> files(ArtifactRef result) throws Exception {
        try (Stream<Path> files = Files.list(store.download(result))) {
            return files.map(file -> file.getFileName().toString())
                    .filter(name -> !name.equals("manifest.json"))
                    .sorted()
                    .toList();
        }
    }

    private List<ConsumerRecord<String, String>> records(String topic, String jobId) {
        return Records.of(bootstrapServers, topic, jobId);
    }
}
