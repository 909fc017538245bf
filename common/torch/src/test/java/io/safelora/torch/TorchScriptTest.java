package io.safelora.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.artifacts.safetensors.Dtype;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TorchScriptTest {
    private static final TorchScript SCRIPT = TorchScript.load("test", """
            class Kernels(Module):
              def polynomial(self, x: Tensor, coefficients: List[Tensor], scale: float) -> Tensor:
                y = torch.zeros_like(x)
                for i in range(torch.len(coefficients)):
                  y = y * x + coefficients[i]
                return scale * y

              def attention(self, q: Tensor, causal: bool) -> Tuple[Tensor, Tensor]:
                if causal:
                  y = torch.scaled_dot_product_attention(q, q, q, None, 0., True)
                else:
                  y = torch.scaled_dot_product_attention(q, q, q)
                return (y, self.polynomial(y, [], 1.))

              def add_in_place(self, x: Tensor, n: int) -> None:
                torch.add_(x, n)
            """, Device.cpu());

    private NDManager manager;

    @BeforeEach
    void open() {
        manager = Torch.manager(Device.cpu());
    }

    @AfterEach
    void close() {
        manager.close();
    }

    @AfterAll
    static void unload() {
        SCRIPT.close();
    }

    @Test
    void runsMethodsWithTensorsListsAndNumbers() {
        NDArray x = Tensors.of(manager, new float[] {1, 2, 3}, 3);
        NDArray a = Tensors.of(manager, new float[] {2}, 1);
        NDArray b = Tensors.of(manager, new float[] {1}, 1);

        assertThat(Tensors.floats(SCRIPT.call(manager, "polynomial", x, List.of(a, b), 10.0)
                        .get(0)))
                .containsExactly(30, 50, 70);
        assertThat(Tensors.floats(
                        SCRIPT.call(manager, "polynomial", x, List.of(), 10.0).get(0)))
                .containsExactly(0, 0, 0);
        assertThat(SCRIPT.call(manager, "add_in_place", x, 5)).isEmpty();
        assertThat(Tensors.floats(x)).containsExactly(6, 7, 8);
    }

    @Test
    void gradientsFlowThroughMethodsAndAccumulate() {
        NDArray x = Tensors.of(manager, new float[] {1, 2, 3}, 3);
        NDArray a = Tensors.of(manager, new float[] {2}, 1);
        NDArray b = Tensors.of(manager, new float[] {1}, 1);
        Tensors.requiresGrad(a, true);
        assertThat(Tensors.gradient(manager, a)).isEmpty();

        for (int pass = 1; pass <= 2; pass++) {
            NDArray y = SCRIPT.callWithGrad(manager, "polynomial", x, List.of(a, b), 10.0)
                    .get(0);
            Tensors.backward(y, Tensors.of(manager, new float[] {1, 1, 0.5f}, 3));
            assertThat(Tensors.floats(Tensors.gradient(manager, a).orElseThrow()))
                    .containsExactly(pass * 10 * (1 + 2 + 1.5f));
        }
        Tensors.zeroGradient(a);
        assertThat(Tensors.floats(Tensors.gradient(manager, a).orElseThrow())).containsExactly(0);
    }

    @Test
    void resultsOfCallMayTakePartInAutogradLater() {
        NDArray x = SCRIPT.call(manager, "polynomial", Tensors.of(manager, new float[] {3}, 1), List.of(), 1.0)
                .get(0);
        NDArray a = SCRIPT.call(manager, "polynomial", x, List.of(), 1.0).get(0);
        Tensors.requiresGrad(a, true);
        NDArray y = SCRIPT.callWithGrad(manager, "polynomial", x, List.of(a, a), 1.0)
                .get(0);
        Tensors.backward(y);
        assertThat(Tensors.floats(Tensors.gradient(manager, a).orElseThrow())).containsExactly(1);
    }

    @Test
    void mappedBfloat16IsReadInPlaceAndComesBackBitForBit(@TempDir Path dir) throws IOException {
        Path file = dir.resolve("weights");
        ByteBuffer bits = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        bits.putShort((short) 0x3f80)
                .putShort((short) 0xc000)
                .putShort((short) 0x3e80)
                .putShort((short) 0x7f7f);
        Files.write(file, bits.array());
        try (FileChannel channel = FileChannel.open(file)) {
            NDArray w = Tensors.of(manager, channel.map(FileChannel.MapMode.READ_ONLY, 0, 8), Dtype.BF16, 2, 2);
            assertThat(w.getShape().getShape()).containsExactly(2, 2);
            assertThat(Tensors.floats(w)).startsWith(1, -2, 0.25f);
            assertThat(Tensors.bytes(w)).isEqualTo(bits.flip());

            NDArray y = SCRIPT.call(manager, "attention", w, true).get(0);
            assertThat(Tensors.floats(y)[0]).isCloseTo(1, within(1e-6f));
        }
    }

    @Test
    void sourceThatDoesNotCompileIsRefusedWithItsLine() {
        assertThatThrownBy(() -> TorchScript.load(
                        "broken",
                        "class Kernels(Module):\n  def f(self, x: Tensor) -> Tensor:\n    return torch.no_such(x)\n",
                        Device.cpu()))
                .hasMessageContaining("no_such");
    }

    @Test
    void devicesAreNamedAsPyTorchNamesThem() {
        assertThat(Torch.device("cpu")).isEqualTo(Device.cpu());
        assertThatThrownBy(() -> Torch.device("gpu0"))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("use cpu, cuda");
        assertThatThrownBy(() -> Torch.device("cuda:99")).hasMessageContaining("PyTorch sees");
    }

    @Test
    void attributesAndStateAreReadByMethods() {
        String source = """
            class Stateful(Module):
              scale : float
              shift : int
              name : str
              on : bool
              numbers : List[int]
              layers : List[Dict[str, Tensor]]
              def load(self, layers: List[Dict[str, Tensor]]) -> None:
                self.layers = layers
              def sum(self, names: List[str]) -> Tensor:
                y = self.layers[0]["w"] * self.scale + self.shift
                for n in self.numbers:
                  y = y + n
                for name in names:
                  if name in self.layers[1] and self.on and self.name == "é":
                    y = y + self.layers[1][name]
                return y
            """;
        Map<String, Object> attributes =
                Map.of("scale", 0.5, "shift", -70_000, "name", "é", "on", true, "numbers", new long[] {1, 2});
        try (TorchScript script = TorchScript.load("stateful", source, Device.cpu(), attributes)) {
            NDArray w = Tensors.of(manager, new float[] {2, 4}, 2);
            script.call(manager, "load", List.of(Map.of("w", w), Map.of("b", w)));
            assertThat(Tensors.floats(
                            script.call(manager, "sum", List.of("a", "b")).get(0)))
                    .containsExactly(-70_000 + 1 + 3 + 2, -70_000 + 2 + 3 + 4);
        }
        assertThatThrownBy(() -> TorchScript.load("stateful", source, Device.cpu(), Map.of()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("scale");
    }
}
