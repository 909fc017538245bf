package io.safelora.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.jni.JniUtils;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import org.junit.jupiter.api.Test;

class TorchScriptTest {
    private static final String SOURCE = """
            class Kernels(Module):
              __parameters__ = []
              __buffers__ = []
              training : bool
              def twice(self: __torch__.Kernels, raw: Tensor, shape: List[int]) -> Tensor:
                bf16 = torch.empty([0], dtype=torch.bfloat16)
                x = bf16.set_(raw, raw.storage_offset() // 2, [raw.numel() // 2], [1]).view(shape)
                return x.to(torch.float32) * 2.0
              def loss(self: __torch__.Kernels, x: Tensor, ws: List[Tensor]) -> Tensor:
                h = x
                for w in ws:
                  h = torch.silu(h @ w.t()) + h
                return torch.sum(h * h)
            """;

    @Test
    void bfloat16BytesAreComputedWith() {
        ByteBuffer raw = ByteBuffer.allocateDirect(8).order(ByteOrder.LITTLE_ENDIAN);
        for (float f : new float[] {1, 2, -3, 0.5f}) {
            raw.putShort((short) (Float.floatToIntBits(f) >>> 16));
        }
        raw.flip();
        try (TorchScript script = TorchScript.compile(SOURCE, Device.cpu());
                NDManager manager = Torch.manager(Device.cpu())) {
            NDList result = script.call(manager, "twice", Torch.bytes(manager, raw), new long[] {2, 2});
            assertThat(result.singletonOrThrow().getShape()).isEqualTo(new Shape(2, 2));
            assertThat(result.singletonOrThrow().toFloatArray()).containsExactly(2, 4, -6, 1);
        }
    }

    @Test
    void gradientsFlowThroughALoopOverAList() {
        try (TorchScript script = TorchScript.compile(SOURCE, Device.cpu());
                NDManager manager = Torch.manager(Device.cpu())) {
            NDArray x = manager.create(new float[] {1, 2}, new Shape(1, 2));
            float[] values = {.1f, .2f, .3f, .4f};
            PtNDArray w = (PtNDArray) manager.create(values, new Shape(2, 2));
            JniUtils.attachGradient(w, true);
            PtNDArray loss = (PtNDArray)
                    script.callWithGrad(manager, "loss", x, List.of(w)).singletonOrThrow();
            JniUtils.backward(loss, (PtNDArray) manager.ones(loss.getShape()), false, false);
            float[] gradient = JniUtils.getGradient(w).toFloatArray();
            float step = 1e-2f;
            for (int i = 0; i < values.length; i++) {
                double up = lossAt(script, manager, x, values, i, step);
                double down = lossAt(script, manager, x, values, i, -step);
                assertThat((double) gradient[i])
                        .isCloseTo((up - down) / (2 * step), within(2e-3 * Math.abs(gradient[i])));
            }
        }
    }

    @Test
    void anUnknownDeviceIsRefusedByName() {
        assertThatThrownBy(() -> Torch.device("tpu"))
                .hasMessageContaining("tpu")
                .hasMessageContaining("cuda:N");
        assertThatThrownBy(() -> Torch.device("cuda:99")).hasMessageContaining("cuda:99");
    }

    private static double lossAt(TorchScript script, NDManager manager, NDArray x, float[] values, int i, float step) {
        float[] moved = values.clone();
        moved[i] += step;
        return script.call(manager, "loss", x, List.of(manager.create(moved, new Shape(2, 2))))
                .singletonOrThrow()
                .getFloat();
    }
}
