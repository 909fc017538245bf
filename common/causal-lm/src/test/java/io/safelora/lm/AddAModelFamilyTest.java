package io.safelora.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.safelora.artifacts.checkpoint.Checkpoint;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * docs/recipes/add-a-model-family.md, step by step, of every family that there is: fails for one that left a step out.
 */
class AddAModelFamilyTest {
    /** What families.json's head explains, and the code knows. */
    private static final Set<String> TRAITS =
            Set.of("one_plus", "transposed", "heads_first", "layer_norm", "gelu_is_tanh");

    private static final Set<String> WINDOWS = Set.of("all", "even", "from max_window_layers");
    private static final Set<String> WEIGHTS_OF_A_LAYER = Set.of(
            "norm.attention",
            "norm.attention.out",
            "norm.mlp",
            "norm.mlp.out",
            "norm.q",
            "norm.k",
            "q",
            "k",
            "v",
            "qkv",
            "o",
            "gate",
            "up",
            "gate_up",
            "down");

    static Stream<String> families() {
        return Family.ALL.keySet().stream();
    }

    @ParameterizedTest
    @MethodSource("families")
    void itsRowSaysOnlyWhatTheLayerKnows(String modelType) {
        Family family = Family.ALL.get(modelType);
        assertThat(TRAITS).containsAll(family.traits());
        assertThat(WINDOWS).contains(family.window());
        assertThat(family.outer()).containsKeys("embedding", "norm", "head");
        assertThat(Set.of("embedding", "positions", "norm", "head"))
                .containsAll(family.outer().keySet());
        assertThat(WEIGHTS_OF_A_LAYER).containsAll(family.layer().keySet());
        assertThat(family.layer().keySet()).containsAll(family.biases().keySet());
        // An option of config.json that gives biases, or goes under another name, is one that the family knows.
        family.biases().values().stream()
                .filter(option -> !option.equals("true"))
                .forEach(option -> assertThat(family.config()).containsKey(option));
        family.spelling().values().forEach(option -> assertThat(family.config()).containsKey(option));
    }

    @ParameterizedTest
    @MethodSource("families")
    void aFixtureHoldsEveryWeightByItsName(String modelType) throws IOException {
        Path fixture = Fixtures.model(Fixtures.ofFamily(modelType));
        Family family = Family.ALL.get(modelType);
        Set<String> modules = new TreeSet<>();
        for (String tensor : Checkpoint.open(fixture).names()) {
            modules.add(tensor.substring(0, tensor.lastIndexOf('.')));
        }
        for (String name : family.layer().values()) {
            assertThat(modules).contains(family.layers() + "0." + name);
        }
        assertThat(modules)
                .contains(family.outer().get("embedding"), family.outer().get("norm"));
        assertThat(Files.readString(Path.of("src/test/resources/models/make.py")))
                .contains("\"" + Fixtures.ofFamily(modelType) + "\":");
    }

    @ParameterizedTest
    @MethodSource("families")
    void itComputesWhatTransformersComputes(String modelType) throws IOException {
        Path fixture = Fixtures.model(Fixtures.ofFamily(modelType));
        JsonNode prompt = Fixtures.json(fixture.resolve("expected.json")).at("/prompts/0");
        try (CausalLm model = CausalLm.load(fixture, "cpu", "float32")) {
            double[] logprobs = model.logprobs(Fixtures.ints(prompt.get("ids")), null);
            double[] expected = Fixtures.doubles(prompt.get("logprobs"));
            assertThat(logprobs).containsExactly(expected, within(1e-4));
        }
    }

    @ParameterizedTest
    @MethodSource("families")
    void theDocumentsNameIt(String modelType) throws IOException {
        assertThat(Files.readString(Path.of("../../docs/models.md"))).contains("`" + modelType + "`");
    }
}
