package io.safelora.standalone.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.LoraConfig;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.Floats;
import io.safelora.artifacts.safetensors.SafetensorsFile;
import io.safelora.artifacts.safetensors.SafetensorsWriter;
import io.safelora.artifacts.safetensors.TensorData;
import io.safelora.artifacts.safetensors.TensorInfo;
import io.safelora.contract.Json;
import io.safelora.standalone.demo.DemoModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** All commands agree on what an adapter is, and none loses what lies in its folder. */
class AdapterCommandsTest {
    private static final String PREFIX = "base_model.model.";
    private static final String MODEL_WEIGHTS = "adapter_model.safetensors";

    @TempDir
    static Path dir;

    private static Path aligned;

    @BeforeAll
    static void unpack() throws IOException {
        DemoModels.unpack(dir.resolve("demo"));
        aligned = dir.resolve("demo/aligned");
    }

    /** A random update of every q_proj of the aligned model. */
    private static Path adapter(String name) throws IOException {
        Random random = new Random(4);
        Checkpoint checkpoint = Checkpoint.open(aligned);
        List<LoraModule> modules = new ArrayList<>();
        for (String weight : checkpoint.names()) {
            if (weight.endsWith("q_proj.weight")) {
                long[] shape = checkpoint.info(weight).shape();
                String module = weight.substring(0, weight.length() - ".weight".length());
                float[] a = normal(random, 2 * (int) shape[1]);
                float[] b = normal(random, 2 * (int) shape[0]);
                modules.add(new LoraModule(module, 2, (int) shape[1], (int) shape[0], a, b, 2, Dtype.F32));
            }
        }
        Path path = dir.resolve(name);
        PeftAdapter.of(LoraConfig.of("aligned", 2, 4, 0, List.of("q_proj")), modules)
                .write(path);
        return path;
    }

    private static float[] normal(Random random, int n) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = (float) (0.05 * random.nextGaussian());
        }
        return values;
    }

    private static void configure(Path adapter, String change) throws IOException {
        Path file = adapter.resolve("adapter_config.json");
        ObjectNode json = (ObjectNode) Json.MAPPER.readTree(file.toFile());
        json.setAll((ObjectNode) Json.MAPPER.readTree(change));
        Files.write(file, Json.pretty(json));
    }

    /** Writes the adapter's tensors under other names, and more of them. */
    private static void rewrite(Path adapter, UnaryOperator<String> names, Map<String, TensorData> more)
            throws IOException {
        Path before = adapter.resolve("before.safetensors");
        Files.move(adapter.resolve(MODEL_WEIGHTS), before);
        SafetensorsFile file = SafetensorsFile.open(before);
        Map<String, TensorData> tensors = new LinkedHashMap<>(more);
        for (TensorInfo info : file.tensors().values()) {
            tensors.put(
                    names.apply(info.name()), new TensorData(info.dtype(), info.shape(), () -> file.map(info.name())));
        }
        SafetensorsWriter.write(adapter.resolve(MODEL_WEIGHTS), tensors, Map.of("format", "pt"));
        Files.delete(before);
    }

    /** What every command that reads an adapter says of this one: one thing, and it fails. */
    private static String refusal(Path adapter) throws IOException {
        String data = dir.resolve("demo/data/problems.jsonl").toString();
        String out = dir.resolve("never").toString();
        String model = aligned.toString();
        String a = adapter.toString();
        List<List<String>> commands = List.of(
                List.of("score", "--model", model, "--adapter", a, "--text", "x"),
                List.of("generate", "--model", model, "--adapter", a, "--prompt", "x", "--max-new-tokens", "1"),
                List.of(
                        "evaluate",
                        "--model",
                        model,
                        "--adapter",
                        a,
                        "--task",
                        "answer_loss",
                        "--limit",
                        "1",
                        "--data",
                        data,
                        "--out",
                        out + "/e.json"),
                List.of("merge", "--model", model, "--adapter", a, "--out", out + "/merged"),
                List.of(
                        "project",
                        "--base",
                        dir.resolve("demo/base").toString(),
                        "--aligned",
                        model,
                        "--adapter",
                        a,
                        "--out",
                        out + "/projected"),
                List.of(
                        "train",
                        "--model",
                        model,
                        "--init-adapter",
                        a,
                        "--data",
                        data,
                        "--out",
                        out + "/trained",
                        "--max-steps",
                        "1"));
        String said = null;
        for (List<String> command : commands) {
            Ran run = Ran.of(command.toArray(String[]::new));
            assertThat(run.exit()).as(command + run.err()).isEqualTo(1);
            String message = run.err().lines().reduce((x, y) -> y).orElse("");
            assertThat(message).startsWith("safelora " + command.get(0) + ": ");
            String rest = message.substring(message.indexOf(": ") + 2);
            assertThat(rest).as(command.get(0)).isEqualTo(said == null ? rest : said);
            said = rest;
        }
        assertThat(dir.resolve("never/projected").resolve(MODEL_WEIGHTS)).doesNotExist();
        return said;
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{\"layer_replication\":[[0,2],[1,3]]}",
                "{\"alora_invocation_tokens\":[5]}",
                "{\"init_lora_weights\":\"pissa_niter_4\"}",
                "{\"target_modules\":[\"v_proj\"]}",
            })
    void allRefuseAlikeWhatIsNotSupported(String change) throws Exception {
        Path adapter = adapter("refused");
        configure(adapter, change);
        String said = refusal(adapter);
        if (change.contains("layer_replication")) {
            assertThat(said).contains("layer_replication is [[0,2],[1,3]]", "merge_and_unload", "--fine-tuned");
        }
    }

    /** PEFT would pass over these: an AutoModel's names, and names of nothing. */
    @ParameterizedTest
    @ValueSource(strings = {"", "x.", "model.model.", "transformer."})
    void allRefuseAlikeModulesThatPeftWouldIgnore(String first) throws Exception {
        Path adapter = adapter("named");
        rewrite(adapter, name -> name.replace(PREFIX + "model.", PREFIX + first), Map.of());
        assertThat(refusal(adapter)).contains(first + "layers.0.self_attn.q_proj", "is not part of " + aligned);
    }

    @Test
    void projectCarriesWhatItDoesNotTouch() throws Exception {
        Path adapter = adapter("more");
        configure(adapter, "{\"modules_to_save\":[\"norm\"]}");
        Map<String, TensorData> more = new LinkedHashMap<>();
        Checkpoint checkpoint = Checkpoint.open(aligned);
        for (String name : checkpoint.names()) {
            if (name.endsWith("norm.weight")) {
                float[] values = Floats.decode(
                        checkpoint.map(name), checkpoint.info(name).dtype());
                values[0] += 0.5f;
                more.put(PREFIX + name, TensorData.of(Dtype.F32, new long[] {values.length}, values));
            }
        }
        rewrite(adapter, UnaryOperator.identity(), more);
        Files.copy(aligned.resolve("tokenizer.json"), adapter.resolve("tokenizer.json"));
        Files.writeString(adapter.resolve("chat_template.jinja"), "{{ messages[0].content }}");

        Path projected = dir.resolve("projected");
        Ran run = Ran.of(
                "project",
                "--base",
                dir.resolve("demo/base").toString(),
                "--aligned",
                aligned.toString(),
                "--adapter",
                adapter.toString(),
                "--out",
                projected.toString(),
                "--strategy",
                "number",
                "--number",
                "1",
                "--json");
        assertThat(run.exit()).as(run.err()).isZero();
        assertThat(run.err()).contains("model.norm.weight", "as it was", "--fine-tuned");
        JsonNode report = Json.MAPPER.readTree(run.out());
        assertThat(report.get("carried")).extracting(JsonNode::asText).contains("model.norm.weight");
        SafetensorsFile before = SafetensorsFile.open(adapter.resolve(MODEL_WEIGHTS));
        SafetensorsFile after = SafetensorsFile.open(projected.resolve(MODEL_WEIGHTS));
        String touched = PREFIX + report.get("selected").get(0).asText() + ".lora_B.weight";
        assertThat(after.tensors().keySet()).isEqualTo(before.tensors().keySet());
        for (String name : before.tensors().keySet()) {
            assertThat(after.map(name).equals(before.map(name))).as(name).isEqualTo(!name.equals(touched));
        }
        for (String file : List.of("tokenizer.json", "chat_template.jinja")) {
            assertThat(projected.resolve(file)).hasSameBinaryContentAs(adapter.resolve(file));
        }
        assertThat(Ran.of("score", "--model", aligned.toString(), "--adapter", projected.toString(), "--text", "a b")
                        .exit())
                .isZero();
    }

    /** TRL and Unsloth save the tokenizer and the chat template beside the adapter. */
    @Test
    void theTokenizerBesideTheAdapterIsUsedKeptAndSaid() throws Exception {
        Path adapter = adapter("texts");
        Files.copy(aligned.resolve("tokenizer.json"), adapter.resolve("tokenizer.json"));
        Files.copy(aligned.resolve("tokenizer_config.json"), adapter.resolve("tokenizer_config.json"));
        String model = aligned.toString();
        String a = adapter.toString();
        String[] score = {"score", "--model", model, "--adapter", a, "--text", "a b"};
        // The same as the model's: nothing to say.
        assertThat(Ran.of(score).err()).doesNotContain("tokenizer");
        JsonNode ids = Json.MAPPER.readTree(Ran.of(score).out()).get("ids");

        ObjectNode tokenizer = (ObjectNode)
                Json.MAPPER.readTree(adapter.resolve("tokenizer.json").toFile());
        ObjectNode first = (ObjectNode) Json.MAPPER.readTree(
                "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"B\",\"type_id\":0}},"
                        + "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],"
                        + "\"pair\":[{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},"
                        + "{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}],"
                        + "\"special_tokens\":{\"B\":{\"id\":\"B\",\"ids\":[0],"
                        + "\"tokens\":[\"B\"]}}}");
        tokenizer.set("post_processor", first);
        Files.write(adapter.resolve("tokenizer.json"), Json.pretty(tokenizer));
        Files.writeString(adapter.resolve("chat_template.jinja"), "{{ messages[0].content }} of the adapter");
        Ran scored = Ran.of(score);
        assertThat(scored.err()).containsOnlyOnce("tokenizer and chat template from the adapter's folder, texts");
        JsonNode other = Json.MAPPER.readTree(scored.out()).get("ids");
        assertThat(other.size()).isEqualTo(ids.size() + 1);
        assertThat(other.get(0).asInt()).isZero();

        Path merged = dir.resolve("merged");
        assertThat(Ran.of("merge", "--model", model, "--adapter", a, "--out", merged.toString())
                        .exit())
                .isZero();
        assertThat(merged.resolve("chat_template.jinja")).hasContent("{{ messages[0].content }} of the adapter");
        Ran ofMerged = Ran.of("score", "--model", merged.toString(), "--text", "a b");
        assertThat(Json.MAPPER.readTree(ofMerged.out()).get("ids")).isEqualTo(other);

        Path trained = dir.resolve("trained");
        Ran train = Ran.of(
                "train",
                "--model",
                model,
                "--init-adapter",
                a,
                "--data",
                dir.resolve("demo/data/problems.jsonl").toString(),
                "--out",
                trained.toString(),
                "--max-steps",
                "1");
        assertThat(train.exit()).as(train.err()).isZero();
        assertThat(train.err()).contains("tokenizer and chat template from the adapter's folder, texts");
        for (String file : List.of("tokenizer.json", "chat_template.jinja")) {
            assertThat(trained.resolve(file)).hasSameBinaryContentAs(adapter.resolve(file));
        }
    }
}
