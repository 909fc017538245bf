package io.safelora.method;

import static io.safelora.method.Fixtures.oracle;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.artifacts.checkpoint.PeftAdapter.LoraModule;
import io.safelora.contract.SelectionOptions;
import io.safelora.torch.Tensors;
import io.safelora.torch.Torch;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class EveryStepTest {
    /** As the repair after training projects, GPT-2's transposed weights included; and a second step changes nothing more. */
    @ParameterizedTest
    @ValueSource(strings = {"llama", "gpt2"})
    void chosenBAreProjectedAndAllElseStays(String family) throws IOException {
        Sources sources = Fixtures.sources(family);
        PeftAdapter adapter = PeftAdapter.open(oracle(family + "/adapter"));
        SelectionOptions options = Fixtures.options(Map.of("projector", "subspace", "energy", 0.6));
        List<ModuleMeasure> measures = new TunedAdapter(adapter, sources).measure(options, Progress.NONE);
        String unchosen = measures.get(0).module();
        Set<String> chosen = new java.util.TreeSet<>(adapter.modules().keySet());
        chosen.remove(unchosen);
        try (NDManager manager = Torch.manager(Device.cpu());
                EveryStep step = new EveryStep(sources.base(), sources.aligned(), chosen, options)) {
            Map<String, NDArray> parameters = parameters(adapter, manager);
            for (int i = 0; i < 2; i++) {
                step.project(parameters);
                for (ModuleMeasure m : measures) {
                    LoraModule module = adapter.modules().get(m.module());
                    float[] b = Tensors.floats(parameters.get(m.module() + ".lora_B.weight"));
                    float[] expected = m.module().equals(unchosen) ? module.b() : m.projectedB();
                    for (int j = 0; j < b.length; j++) {
                        assertThat(b[j]).as(m.module()).isCloseTo(expected[j], within(2e-6f));
                    }
                    assertThat(Tensors.floats(parameters.get(m.module() + ".lora_A.weight")))
                            .isEqualTo(module.a());
                }
                assertThat(Tensors.floats(parameters.get(unchosen + ".lora_B.weight")))
                        .isEqualTo(adapter.modules().get(unchosen).b());
            }
        }
    }

    @Test
    void whereTheProjectorIsTheIdentityNothingChangesABit() throws IOException {
        Sources sources = Fixtures.sources("llama");
        PeftAdapter adapter = PeftAdapter.open(oracle("llama/adapter"));
        SelectionOptions exact = Fixtures.options(Map.of("projector", "exact"));
        List<ModuleMeasure> measures = new TunedAdapter(adapter, sources).measure(exact, Progress.NONE);
        assertThat(measures).anyMatch(ModuleMeasure::identity);
        try (NDManager manager = Torch.manager(Device.cpu());
                EveryStep step = new EveryStep(
                        sources.base(), sources.aligned(), adapter.modules().keySet(), exact)) {
            Map<String, NDArray> parameters = parameters(adapter, manager);
            step.project(parameters);
            for (ModuleMeasure m : measures) {
                float[] b = Tensors.floats(parameters.get(m.module() + ".lora_B.weight"));
                boolean same = java.util.Arrays.equals(
                        b, adapter.modules().get(m.module()).b());
                assertThat(same).as(m.module()).isEqualTo(m.identity());
            }
        }
    }

    @Test
    void closesWithoutHavingRun() throws IOException {
        Sources sources = Fixtures.sources("llama");
        new EveryStep(sources.base(), sources.aligned(), Set.of(), Fixtures.options(Map.of())).close();
    }

    private static Map<String, NDArray> parameters(PeftAdapter adapter, NDManager manager) {
        Map<String, NDArray> parameters = new LinkedHashMap<>();
        for (LoraModule m : adapter.modules().values()) {
            parameters.put(m.name() + ".lora_A.weight", Tensors.of(manager, m.a().clone(), m.r(), m.in()));
            parameters.put(m.name() + ".lora_B.weight", Tensors.of(manager, m.b().clone(), m.out(), m.r()));
        }
        return parameters;
    }
}
