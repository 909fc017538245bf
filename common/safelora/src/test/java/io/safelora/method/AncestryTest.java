package io.safelora.method;

import static org.assertj.core.api.Assertions.assertThat;

import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.LoraConfig;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.SafetensorsWriter;
import io.safelora.artifacts.safetensors.TensorData;
import io.safelora.contract.Json;
import io.safelora.contract.SelectionOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A base that aligned was not trained from is projected onto as any other, so the result has to say it. */
class AncestryTest {
    private static final String MODULE = "model.layers.0.self_attn.q_proj";
    private static final String BPE = "{\"added_tokens\":[],\"model\":{\"type\":\"BPE\",\"vocab\":{%s},\"merges\":[]}}";

    @TempDir
    Path dir;

    /**
     * 0.33 is the most that the demo's pair has; a model that is twice as large as its unrelated base differs by
     * sqrt(5).
     */
    @ParameterizedTest
    @CsvSource({"0.01, 1, false", "0.33, 1, false", "-1, 1, true", "-1, 0.3, true", "-1, 2, true"})
    void unrelatedWeightsAreToldFromFineTuning(double noise, double scale, boolean warned) throws IOException {
        float[] base = random(1, 1);
        float[] other = random(2, noise < 0 ? scale : noise);
        float[] aligned = other.clone();
        for (int i = 0; noise >= 0 && i < aligned.length; i++) {
            aligned[i] += base[i];
        }
        Checkpoint before = checkpoint("base", base, "llama", null);
        Checkpoint after = checkpoint("aligned", aligned, "llama", null);
        Alignment alignment = AlignmentAnalysis.run(before, after, Progress.NONE);
        SelectionReport report = report(before, after);
        if (warned) {
            assertThat(alignment.warning())
                    .contains("base is probably not what aligned was trained from: the weights differ by")
                    .doesNotContain("model_type", "\n");
            assertThat(report.warning()).contains(alignment.warning());
            report.write(dir);
            assertThat(Json.MAPPER
                            .readTree(dir.resolve("selection.json").toFile())
                            .get("warning")
                            .asText())
                    .contains("trained from");
        } else {
            assertThat(alignment.warning()).isNull();
            assertThat(report.warning() == null || !report.warning().contains("trained from"))
                    .isTrue();
        }
    }

    @Test
    void anotherModelTypeIsNamed() throws IOException {
        Checkpoint base = checkpoint("base", random(1, 1), "mistral", null);
        Checkpoint aligned = checkpoint("aligned", related(), "llama", null);
        assertThat(AlignmentAnalysis.run(base, aligned, Progress.NONE).warning())
                .contains("model_type is \"mistral\" in base and \"llama\" in aligned")
                .doesNotContain("weights differ by");
    }

    @Test
    void anotherVocabularyIsNamed() throws IOException {
        String base = BPE.formatted("\"a\":0,\"b\":1,\"c\":2");
        String moved = BPE.formatted("\"a\":0,\"b\":2,\"c\":1,\"d\":3");
        String unigram = "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0.0],[\"b\",-1.5],[\"x\",-2.0]]}}";
        assertThat(vocabularies(base, moved)).contains("67 % of base's tokens have another id, or none");
        assertThat(vocabularies(base, unigram)).contains("33 % of base's tokens");
        assertThat(vocabularies(unigram, base)).contains("33 % of base's tokens");
        assertThat(vocabularies(base, "{\"model\":{\"vocab\":[7,[]]}}")).contains("100 % of base's tokens");
    }

    /** Alignment adds tokens and changes what is around the vocabulary; a broken file is somebody else's error. */
    @Test
    void aVocabularyThatGrewIsTheSame() throws IOException {
        String base = BPE.formatted("\"a\":0,\"b\":1");
        for (String other : List.of(
                base,
                "{\"normalizer\":{\"vocab\":{\"z\":0}},\"model\":{\"merges\":[],"
                        + "\"vocab\":{\"b\":1,\"a\":0,\"<|im_start|>\":2}},\"x\":1}",
                "{\"model\":7}",
                "{\"model\":{\"vocab\":7}}",
                "[",
                "{}")) {
            assertThat(vocabularies(base, other)).as(other).isNull();
            if (!other.contains("im_start")) {
                assertThat(vocabularies(other, base)).as(other).isNull();
            }
        }
    }

    private String vocabularies(String before, String after) throws IOException {
        Checkpoint base = checkpoint("base", random(1, 1), "llama", before);
        Checkpoint aligned = checkpoint("aligned", related(), "llama", after);
        return AlignmentAnalysis.run(base, aligned, Progress.NONE).warning();
    }

    private static SelectionReport report(Checkpoint base, Checkpoint aligned) {
        LoraModule module = new LoraModule(
                MODULE, 1, 32, 32, Arrays.copyOf(random(3, 1), 32), Arrays.copyOf(random(4, 1), 32), 1, Dtype.F32);
        PeftAdapter adapter = PeftAdapter.of(LoraConfig.of("base", 1, 1, 0, List.of("q_proj")), List.of(module));
        SelectionOptions options = Json.MAPPER.convertValue(Map.of(), SelectionOptions.class);
        List<ModuleMeasure> measures =
                new TunedAdapter(adapter, new Sources(base, aligned, null)).measure(options, Progress.NONE);
        return SelectionReport.of(base, aligned, measures, Set.of(MODULE), options, List.of(), Outside.NONE);
    }

    private static float[] related() {
        float[] weight = random(1, 1);
        weight[0] += 0.1f;
        return weight;
    }

    private Checkpoint checkpoint(String name, float[] weight, String modelType, String tokenizer) throws IOException {
        Path folder = Files.createDirectories(dir.resolve(name));
        SafetensorsWriter.write(
                folder.resolve("model.safetensors"),
                Map.of(MODULE + ".weight", TensorData.of(Dtype.F32, new long[] {32, 32}, weight)),
                Map.of());
        Files.writeString(folder.resolve("config.json"), "{\"model_type\": \"" + modelType + "\"}");
        if (tokenizer != null) {
            Files.writeString(folder.resolve("tokenizer.json"), tokenizer);
        }
        return Checkpoint.open(folder);
    }

    private static float[] random(long seed, double scale) {
        Random random = new Random(seed);
        float[] values = new float[32 * 32];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) (scale * random.nextGaussian());
        }
        return values;
    }
}
