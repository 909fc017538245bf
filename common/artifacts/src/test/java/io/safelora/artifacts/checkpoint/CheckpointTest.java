package io.safelora.artifacts.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.SafetensorsFile;
import io.safelora.artifacts.safetensors.SafetensorsWriter;
import io.safelora.artifacts.safetensors.TensorData;
import io.safelora.contract.Json;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class CheckpointTest {
    private static final String MODULE = "model.layers.0.self_attn.q_proj";

    @TempDir
    Path dir;

    @Test
    void shardsAreFoundByTheIndex() throws IOException {
        shard("model-00001-of-00002.safetensors", "a");
        shard("model-00002-of-00002.safetensors", "b");
        index("\"a\":\"model-00001-of-00002.safetensors\",\"b\":\"model-00002-of-00002.safetensors\"");
        Checkpoint checkpoint = Checkpoint.open(dir);
        assertThat(checkpoint.names()).containsExactly("a", "b");
        assertThat(checkpoint.map("b").remaining()).isEqualTo(8);
        String digest = checkpoint.digest();
        Files.writeString(dir.resolve("README.md"), "no part of the model");
        assertThat(Checkpoint.open(dir).digest()).isEqualTo(digest);
        Files.writeString(dir.resolve("config.json"), "{}");
        assertThat(Checkpoint.open(dir).digest()).isNotEqualTo(digest);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "\"a\":\"../x.safetensors\" | not the name",
                "\"a\":\"/etc/x.safetensors\" | not the name",
                "\"a\":\"sub/x.safetensors\" | not the name",
                "\"a\":\"x.bin\" | not the name",
                "\"a\":7 | not the name",
                "\"a\":\"none.safetensors\" | the shard is missing",
                "\"z\":\"x.safetensors\" | has no tensor \"z\"",
            })
    void aHostileIndexIsRefused(String weightMap, String message) throws IOException {
        shard("x.safetensors", "a");
        index(weightMap);
        assertThatThrownBy(() -> Checkpoint.open(dir))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining(dir.toString())
                .hasMessageContaining(message);
    }

    @ParameterizedTest
    @CsvSource({
        "wte.weight, h.0.attn.c_attn.weight, transformer.",
        "embed_tokens.weight, layers.0.self_attn.q_proj.weight, model.",
        "embed_in.weight, layers.0.attention.dense.weight, gpt_neox.",
    })
    void aModelSavedWithoutItsHeadHasTheNamesOfTheWholeOne(String embedding, String weight, String prefix)
            throws IOException {
        shard("model.safetensors", embedding, weight, "lm_head.weight");
        Checkpoint checkpoint = Checkpoint.open(dir);
        assertThat(checkpoint.names()).containsExactlyInAnyOrder(prefix + embedding, prefix + weight, "lm_head.weight");
        assertThat(checkpoint.info(prefix + weight).name()).isEqualTo(prefix + weight);
        assertThat(checkpoint.map(prefix + weight).get(0)).isEqualTo((byte) 1);
        ByteBuffer read = ByteBuffer.allocate(8);
        checkpoint.read(prefix + weight, 0, read);
        assertThat(read.get(0)).isEqualTo((byte) 1);
        byte[] file = Files.readAllBytes(dir.resolve("model.safetensors"));
        assertThat(file[Math.toIntExact(checkpoint.offsetOf(prefix + weight))]).isEqualTo((byte) 1);
        assertThat(checkpoint.has(weight)).isFalse();
        assertThat(checkpoint.has("other." + weight)).isFalse();
        assertThatThrownBy(() -> checkpoint.info(weight)).hasMessageContaining("has no tensor \"" + weight);
    }

    /** Any other first part belongs to the name: PEFT would not find the module, so nobody here does. */
    @Test
    void noOtherFirstPartOfANameIsLeftOut() throws IOException {
        shard("model.safetensors", "model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight");
        Checkpoint checkpoint = Checkpoint.open(dir);
        assertThat(checkpoint.names())
                .containsExactly("model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight");
        for (String other : List.of("layers.0.mlp.up_proj.weight", "x.model.layers.0.mlp.up_proj.weight")) {
            assertThat(checkpoint.has(other)).as(other).isFalse();
        }
    }

    @Test
    void twoNamesOfOneWeightAreRefused() throws IOException {
        shard("model.safetensors", "wte.weight", "transformer.wte.weight");
        assertThatThrownBy(() -> Checkpoint.open(dir))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining("\"wte.weight\"")
                .hasMessageContaining("\"transformer.wte.weight\"")
                .hasMessageContaining("remove the one");
    }

    /** transformers reads all that a shard holds. */
    @Test
    void aTensorThatTheIndexForgotIsThere() throws IOException {
        shard("a.safetensors", "a", "forgotten");
        index("\"a\":\"a.safetensors\"");
        assertThat(Checkpoint.open(dir).names()).containsExactly("a", "forgotten");
    }

    @Test
    void picklesAreRefusedByName() throws IOException {
        Files.write(dir.resolve("pytorch_model.bin"), new byte[10]);
        assertThatThrownBy(() -> Checkpoint.open(dir))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining("pytorch_model.bin, a pickle");
        assertThatThrownBy(() -> Checkpoint.open(dir.resolve("none"))).hasMessageContaining("no such folder");
    }

    @Test
    void anAdapterIsReadAsItWasWritten() throws IOException {
        adapter(2).write(dir);
        PeftAdapter read = PeftAdapter.open(dir);
        LoraModule module = read.modules().get(MODULE);
        assertThat(module.a()).containsExactly(1, 2, 3, 4, 5, 6);
        assertThat(module.b()).containsExactly(1, 2, 3, 4);
        assertThat(module.scale()).isEqualTo(2);
        assertThat(SafetensorsFile.open(dir.resolve("adapter_model.safetensors"))
                        .tensors())
                .containsKey("base_model.model." + MODULE + ".lora_A.weight");
        withB(read, 9, 9, 9, 9).write(dir.resolve("changed"));
        assertThat(PeftAdapter.open(dir.resolve("changed"))
                        .modules()
                        .get(MODULE)
                        .b())
                .containsExactly(9, 9, 9, 9);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{\"use_dora\":true}",
                "{\"bias\":\"some\"}",
                "{\"lora_bias\":true}",
                "{\"target_modules\":[\"k_proj\"]}",
                "{\"target_modules\":\"(\"}",
                "{\"exclude_modules\":\".*self_attn.*\"}",
                "{\"layers_to_transform\":[1]}",
                "{\"target_parameters\":[\"x\"]}",
                "{\"layer_replication\":[[0,1]]}",
                "{\"init_lora_weights\":\"pissa\"}",
                "{\"init_lora_weights\":\"pissa_niter_16\"}",
                "{\"init_lora_weights\":\"lora_ga\"}",
                "{\"init_lora_weights\":\"one_of_tomorrow\"}",
                "{\"init_lora_weights\":1}",
                "{\"some_new_option\":\"on\"}",
                "{\"peft_type\":\"IA3\"}",
                "{\"r\":0}",
                "{\"r\":3}",
                "{\"lora_alpha\":\"x\"}",
                "{\"alpha_pattern\":{\"(.*)*(.*)*(.*)*(.*)*!\":4}}",
                "{\"rank_pattern\":{\"(\":4}}",
            })
    void whatCannotBeHonouredIsRefusedByName(String change) throws IOException {
        adapter(2).write(dir);
        Path config = dir.resolve("adapter_config.json");
        ObjectNode json = (ObjectNode) Json.MAPPER.readTree(config.toFile());
        ObjectNode changes = (ObjectNode) Json.MAPPER.readTree(change);
        json.setAll(changes);
        Files.write(config, Json.pretty(json));
        assertThatThrownBy(() -> PeftAdapter.open(dir))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining(dir.toString())
                .hasMessageContaining(changes.fieldNames().next());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{\"init_lora_weights\":false}",
                "{\"init_lora_weights\":null}",
                "{\"init_lora_weights\":\"gaussian\"}",
                "{\"init_lora_weights\":\"eva\",\"eva_config\":{\"rho\":2.0}}",
                "{\"init_lora_weights\":\"orthogonal\"}",
                "{\"init_lora_weights\":\"mica\"}",
                "{\"target_modules\":\"(?P<any>.*)\\\\.q_proj\"}",
                "{\"target_modules\":\"all-linear\"}",
                "{\"target_modules\":null}",
                "{\"layers_to_transform\":0,\"layers_pattern\":\"layers\"}",
                "{\"exclude_modules\":[\"v_proj\"]}",
            })
    void whatLeavesTheNumbersAsTheyAreIsTaken(String change) throws IOException {
        adapter(2).write(dir);
        Path config = dir.resolve("adapter_config.json");
        ObjectNode json = (ObjectNode) Json.MAPPER.readTree(config.toFile());
        json.setAll((ObjectNode) Json.MAPPER.readTree(change));
        Files.write(config, Json.pretty(json));
        assertThat(PeftAdapter.open(dir).modules()).containsOnlyKeys(MODULE);
    }

    @Test
    void scalesAreThoseOfPeft() {
        ObjectNode json = LoraConfig.of("m", 4, 8, 0, List.of("q_proj")).json();
        assertThat(new LoraConfig(json.deepCopy().put("use_rslora", true)).scale(MODULE))
                .isCloseTo(8 / Math.sqrt(4), within(1e-12));
        ObjectNode patterns = json.deepCopy();
        patterns.putObject("rank_pattern").put("q_proj", 2);
        patterns.putObject("alpha_pattern").put("layers.0.self_attn.q_proj", 32).put("proj", 1);
        LoraConfig config = new LoraConfig(patterns);
        assertThat(config.rank(MODULE)).isEqualTo(2);
        assertThat(config.scale(MODULE)).isEqualTo(16);
        assertThat(config.scale("model.layers.1.self_attn.k_proj")).isEqualTo(2);
    }

    @Test
    void adaptersThatDivergedAreRefused() throws IOException {
        PeftAdapter broken = withB(adapter(2), 1, Float.NaN, 0, 0);
        broken.write(dir);
        assertThatThrownBy(() -> PeftAdapter.open(dir))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining(MODULE + ".lora_B.weight holds NaN");
    }

    private static PeftAdapter adapter(int r) {
        return PeftAdapter.of(
                LoraConfig.of("m", r, 2 * r, 0, List.of("q_proj")),
                List.of(new LoraModule(
                        MODULE, r, 3, 2, new float[] {1, 2, 3, 4, 5, 6}, new float[] {1, 2, 3, 4}, 2, Dtype.F32)));
    }

    /** Tensors of 8 bytes, in that order; the n-th holds n. */
    private void shard(String file, String... names) throws IOException {
        Map<String, TensorData> tensors = new LinkedHashMap<>();
        for (String name : names) {
            byte[] bytes = {(byte) tensors.size(), 0, 0, 0, 0, 0, 0, 0};
            tensors.put(name, new TensorData(Dtype.F32, new long[] {2}, () -> ByteBuffer.wrap(bytes)));
        }
        SafetensorsWriter.write(dir.resolve(file), tensors, Map.of());
    }

    private void index(String weightMap) throws IOException {
        Files.writeString(
                dir.resolve("model.safetensors.index.json"), "{\"metadata\":{},\"weight_map\":{" + weightMap + "}}");
    }

    private static PeftAdapter withB(PeftAdapter adapter, float... b) {
        LoraModule m = adapter.modules().get(MODULE);
        return adapter.with(
                Map.of(MODULE, new LoraModule(m.name(), m.r(), m.in(), m.out(), m.a(), b, m.scale(), m.dtype())));
    }
}
