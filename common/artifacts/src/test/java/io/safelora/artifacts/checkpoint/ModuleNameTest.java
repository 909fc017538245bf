package io.safelora.artifacts.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.regex.PatternSyntaxException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModuleNameTest {
    /** Names of the families that the engine runs, of others that only the method knows, and of none. */
    @ParameterizedTest
    @CsvSource(
            nullValues = "none",
            value = {
                "model.layers.7.self_attn.q_proj, 7, self_attn.q_proj, q_proj",
                "transformer.h.0.attn.c_attn, 0, attn.c_attn, c_attn",
                "h.11.mlp.c_fc, 11, mlp.c_fc, c_fc",
                "gpt_neox.layers.23.attention.dense, 23, attention.dense, dense",
                "model.decoder.layers.3.fc1, 3, fc1, fc1",
                "transformer.blocks.12.ffn.up_proj, 12, ffn.up_proj, up_proj",
                "model.layers.3.mlp.experts.7.w1, 3, mlp.experts.7.w1, w1",
                "lm_head, none, lm_head, lm_head",
                "model.layers.7, none, model.layers.7, 7",
                "model.layers.x.q_proj, none, model.layers.x.q_proj, q_proj",
                "model.layers.123456.q_proj, none, model.layers.123456.q_proj, q_proj",
                "model.experts.7.w1, none, model.experts.7.w1, w1",
                "model.layers.1x.h.5.w, 5, w, w",
            })
    void layerAndBareForm(String full, Integer layer, String inLayer, String bare) {
        ModuleName name = new ModuleName(full);
        assertThat(name.layer()).isEqualTo(layer);
        assertThat(name.inLayer()).isEqualTo(inLayer);
        assertThat(name.bare()).isEqualTo(bare);
        assertThat(ModuleName.ofWeight(name.weight())).isEqualTo(name);
        assertThat(name).hasToString(full);
    }

    @Test
    void isCalledByItsWholeNameOrItsEndAfterADot() {
        ModuleName name = new ModuleName("model.layers.7.self_attn.q_proj");
        for (String called : List.of("q_proj", "self_attn.q_proj", "7.self_attn.q_proj", name.full())) {
            assertThat(name.isCalled(called)).as(called).isTrue();
        }
        for (String other : List.of("proj", "attn.q_proj", "k_proj", "q_proj.", "")) {
            assertThat(name.isCalled(other)).as(other).isFalse();
        }
        assertThat(name.isCalledAny(List.of("k_proj", "q_proj"))).isTrue();
        assertThat(name.isCalledAny(List.of("k_proj"))).isFalse();
    }

    @Test
    void anExpressionMatchesTheWholeNameAndMustEnd() {
        ModuleName name = new ModuleName("model.layers.7.self_attn.q_proj");
        assertThat(name.matches(".*\\.[qv]_proj")).isTrue();
        assertThat(name.matches("q_proj")).isFalse();
        assertThatThrownBy(() -> name.matches("(")).isInstanceOf(PatternSyntaxException.class);
        assertThatThrownBy(() -> new ModuleName("a".repeat(60)).matches("a*a*a*a*a*a*b"))
                .isInstanceOf(PatternSyntaxException.class)
                .hasMessageContaining("too long");
    }

    @Test
    void aTensorThatIsNotAWeightIsNoModules() {
        assertThatThrownBy(() -> ModuleName.ofWeight("model.layers.0.self_attn.q_proj.bias"))
                .hasMessageContaining("q_proj.bias is not the name of a weight");
    }
}
