package io.safelora.torch;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.engine.PtNDManager;
import ai.djl.pytorch.engine.PtSymbolBlock;
import ai.djl.pytorch.jni.IValue;
import ai.djl.pytorch.jni.JniUtils;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/**
 * Kernels written as text in the language in which PyTorch serializes TorchScript, run by libtorch, with or without
 * autograd.
 *
 * <p>The source is one class without attributes; every method is a kernel:
 *
 * <pre>{@code
 * class Kernels(Module):
 *   def silu_gate(self, gate: Tensor, up: Tensor) -> Tensor:   # (tokens, intermediate) each
 *     return torch.silu(gate) * up
 * }</pre>
 *
 * {@code torch.NAME} is ATen's operator NAME; element types are numbers ({@link ScalarType#number}); methods call each
 * other as {@code self.NAME(...)}, and tensors have their methods and operators as in Python. Types of arguments and
 * results are Tensor, int, float, bool, str, and lists and tuples of these.
 *
 * <p>Arguments from Java: {@link NDArray}, a Collection of NDArray (List[Tensor], may be empty), Integer or Long, Double or
 * Float, Boolean, String, {@code long[]} (List[int]), {@code double[]} (List[float]). Results are tensors, flattened in
 * order. Thread safe.
 *
 * <p>{@link #call} runs under {@code no_grad}; its results are ordinary tensors, which may later take part in autograd.
 * {@link #callWithGrad} records what {@link Tensors#backward} needs.
 */
public final class TorchScript implements AutoCloseable {
    private static final Pattern CLASS = Pattern.compile("(?m)^class (\\w+)\\(Module\\):");

    private final NDManager manager;
    private final PtSymbolBlock module;

    private TorchScript(NDManager manager, PtSymbolBlock module) {
        this.manager = manager;
        this.module = module;
    }

    /**
     * Compiles {@code source}.
     *
     * @param name what PyTorch's messages call it
     * @throws ai.djl.engine.EngineException if the source does not compile; the message has the line
     */
    public static TorchScript load(String name, String source, Device device) {
        NDManager manager = Torch.manager(device);
        try {
            InputStream archive = new ByteArrayInputStream(archive(name, source));
            return new TorchScript(manager, JniUtils.loadModule((PtNDManager) manager, archive, true, false));
        } catch (IOException e) {
            manager.close();
            throw new UncheckedIOException(e);
        } catch (RuntimeException e) {
            manager.close();
            throw e;
        }
    }

    /** Compiles the resource {@code file}, which lies beside the class {@code owner}. */
    public static TorchScript load(Class<?> owner, String file, Device device) {
        try (InputStream in = owner.getResourceAsStream(file)) {
            if (in == null) {
                throw new IllegalStateException("no resource " + file + " beside " + owner.getName());
            }
            return load(file.replaceAll("\\W.*", ""), new String(in.readAllBytes(), StandardCharsets.UTF_8), device);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Runs a method without autograd; its tensors belong to {@code manager}. */
    public NDList call(NDManager manager, String method, Object... arguments) {
        return run(manager, method, false, arguments);
    }

    /** Runs a method with autograd; its tensors belong to {@code manager}. */
    public NDList callWithGrad(NDManager manager, String method, Object... arguments) {
        return run(manager, method, true, arguments);
    }

    private NDList run(NDManager manager, String method, boolean grad, Object... arguments) {
        List<IValue> values = new ArrayList<>(arguments.length);
        try {
            for (Object argument : arguments) {
                values.add(value(method, argument));
            }
            // Both settings are of the thread; threads come from pools, so they are set for every call.
            JniUtils.setGraphExecutorOptimize(false);
            boolean before = JniUtils.isGradMode();
            JniUtils.setGradMode(grad);
            try (IValue result = Jni.run(module, method, values)) {
                return result.getType().equals("NoneType") ? new NDList() : result.toNDList((PtNDManager) manager);
            } finally {
                JniUtils.setGradMode(before);
            }
        } finally {
            values.forEach(IValue::close);
        }
    }

    private static IValue value(String method, Object argument) {
        if (argument instanceof NDArray array) {
            return IValue.from((PtNDArray) array);
        } else if (argument instanceof Collection<?> list) {
            return IValue.listFrom(list.stream().map(PtNDArray.class::cast).toArray(PtNDArray[]::new));
        } else if (argument instanceof Integer || argument instanceof Long) {
            return IValue.from(((Number) argument).longValue());
        } else if (argument instanceof Double || argument instanceof Float) {
            return IValue.from(((Number) argument).doubleValue());
        } else if (argument instanceof Boolean flag) {
            return IValue.from(flag);
        } else if (argument instanceof String text) {
            return IValue.from(text);
        } else if (argument instanceof long[] numbers) {
            return IValue.listFrom(numbers);
        } else if (argument instanceof double[] numbers) {
            return IValue.listFrom(numbers);
        }
        throw new IllegalArgumentException("method " + method + " cannot take an argument of type "
                + (argument == null ? null : argument.getClass().getName()));
    }

    @Override
    public void close() {
        manager.close();
    }

    /**
     * What torch.jit.save writes for a module without attributes: a zip of stored entries. The pickles are by hand, being
     * constant but for the class's name.
     */
    static byte[] archive(String name, String source) {
        Matcher type = CLASS.matcher(source);
        if (!type.find()) {
            throw new IllegalArgumentException(name + ": the source has no line \"class NAME(Module):\"");
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
            // protocol 2; global __torch__.NAME; empty tuple; new object; empty dict; build; stop
            store(zip, name + "/data.pkl", "\u0080\u0002c__torch__\n" + type.group(1) + "\n)\u0081}b.");
            // protocol 2; empty tuple; stop
            store(zip, name + "/constants.pkl", "\u0080\u0002).");
            // Operators mean what they mean in this version of the archive format, the newest that 2.7 reads.
            store(zip, name + "/version", "10\n");
            store(zip, name + "/byteorder", "little");
            store(zip, name + "/code/__torch__.py", source.getBytes(StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }

    private static void store(ZipOutputStream zip, String entry, String bytes) throws IOException {
        store(zip, entry, bytes.getBytes(StandardCharsets.ISO_8859_1));
    }

    private static void store(ZipOutputStream zip, String entry, byte[] bytes) throws IOException {
        CRC32 crc = new CRC32();
        crc.update(bytes);
        ZipEntry header = new ZipEntry(entry);
        header.setMethod(ZipEntry.STORED);
        header.setSize(bytes.length);
        header.setCrc(crc.getValue());
        header.setTime(0);
        zip.putNextEntry(header);
        zip.write(bytes);
        zip.closeEntry();
    }
}
