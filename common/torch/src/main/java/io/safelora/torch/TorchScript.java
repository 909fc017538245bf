package io.safelora.torch;

import static java.nio.ByteOrder.LITTLE_ENDIAN;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.engine.PtNDManager;
import ai.djl.pytorch.engine.PtSymbolBlock;
import ai.djl.pytorch.jni.IValue;
import ai.djl.pytorch.jni.JniUtils;
import io.safelora.artifacts.safetensors.Dtype;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/**
 * Kernels written as text in the language in which PyTorch serializes TorchScript, run by libtorch, with or without
 * autograd.
 *
 * <p>The source is one class of kernels, its methods, after any named tuples that these hand to each other:
 *
 * <pre>{@code
 * class Kernels(Module):
 *   def silu_gate(self, gate: Tensor, up: Tensor) -> Tensor:   # (tokens, intermediate) each
 *     return torch.silu(gate) * up
 * }</pre>
 *
 * {@code torch.NAME} is ATen's operator NAME; methods call each other as {@code self.NAME(...)}, and tensors have their
 * methods and operators as in Python. Types of arguments and results are Tensor, int, float, bool, str, and lists and
 * tuples of these. What ATen takes as a number (an element type, {@link Dtype#number}) gets a name in the class,
 * {@code FLOAT32 : Final[int] = 6}, and is read as {@code self.FLOAT32}.
 *
 * <p>Arguments from Java: {@link NDArray}, Integer or Long, Double or Float, Boolean, String, {@code long[]}
 * (List[int]), {@code double[]} (List[float]), a Collection of NDArray (List[Tensor], may be empty) or of one of the
 * others, a Map from String to NDArray (Dict[str, Tensor]), a {@link Value}. Results are tensors, flattened in order.
 * Thread safe.
 *
 * <p>Numbers, strings and lists of integers that the caller chooses are attributes: declared in the class
 * ({@code eps : float}), given when it is loaded, read as {@code self.eps}. An attribute declared with another type is
 * empty in the beginning, and a method may set it; the tensors in it live until {@link #close}.
 *
 * <p>{@link #call} runs under {@code no_grad}; its results are ordinary tensors, which may later take part in autograd.
 * {@link #callWithGrad} records what {@link Tensors#backward} needs.
 */
public final class TorchScript implements AutoCloseable {
    private static final Pattern CLASS = Pattern.compile("(?m)^class (\\w+)\\(Module\\):");
    private static final Pattern CONSTANT = Pattern.compile("(?m)^  (\\w+) : Final\\[\\w+\\] = (\\S+)");
    private static final Pattern ATTRIBUTE = Pattern.compile("(?m)^  (\\w+) : (?!Final\\[)(\\w+(?:\\[.*\\])?)");

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
        return load(name, source, device, Map.of());
    }

    /**
     * Compiles {@code source} with the values of its attributes: Boolean, Integer or Long, Double, String, {@code
     * long[]}.
     */
    public static TorchScript load(String name, String source, Device device, Map<String, Object> attributes) {
        NDManager manager = Torch.manager(device);
        try {
            InputStream archive = new ByteArrayInputStream(archive(name, source, attributes));
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
        return load(owner, List.of(file), device, Map.of());
    }

    /**
     * Compiles one class whose text is in several files, with the values of its attributes.
     *
     * @param files resources beside the class {@code owner}; the first has the line "class NAME(Module):", the others
     *     more methods
     */
    public static TorchScript load(Class<?> owner, List<String> files, Device device, Map<String, Object> attributes) {
        StringBuilder source = new StringBuilder();
        files.forEach(file -> source.append(source(owner, file)));
        return load(files.get(0).replaceAll("\\W.*", ""), source.toString(), device, attributes);
    }

    private static String source(Class<?> owner, String file) {
        try (InputStream in = owner.getResourceAsStream(file)) {
            if (in == null) {
                throw new IllegalStateException("no resource " + file + " beside " + owner.getName());
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * What a method gives, as it is: a named tuple, say, which other methods of the same script take as one argument.
     * It keeps the tensors in it until the manager that it was made with is closed.
     */
    public static final class Value {
        final IValue value;

        private Value(IValue value) {
            this.value = value;
        }
    }

    /** Runs a method without autograd; its tensors belong to {@code manager}. */
    public NDList call(NDManager manager, String method, Object... arguments) {
        return tensors(manager, method, false, arguments);
    }

    /** Runs a method with autograd; its tensors belong to {@code manager}. */
    public NDList callWithGrad(NDManager manager, String method, Object... arguments) {
        return tensors(manager, method, true, arguments);
    }

    /** Runs a method without autograd; its result belongs to {@code manager}. */
    public Value callForValue(NDManager manager, String method, Object... arguments) {
        IValue result = run(method, false, arguments);
        manager.attachInternal(UUID.randomUUID().toString(), result);
        return new Value(result);
    }

    private NDList tensors(NDManager manager, String method, boolean grad, Object... arguments) {
        try (IValue result = run(method, grad, arguments)) {
            return result.getType().equals("NoneType") ? new NDList() : result.toNDList((PtNDManager) manager);
        }
    }

    private IValue run(String method, boolean grad, Object... arguments) {
        List<IValue> values = new ArrayList<>(arguments.length);
        List<IValue> temporary = new ArrayList<>(arguments.length);
        try {
            for (Object argument : arguments) {
                if (argument instanceof Value kept) {
                    values.add(kept.value);
                } else {
                    IValue value = value(method, argument);
                    temporary.add(value);
                    values.add(value);
                }
            }
            // Both settings are of the thread; threads come from pools, so they are set for every call.
            JniUtils.setGraphExecutorOptimize(false);
            boolean before = JniUtils.isGradMode();
            JniUtils.setGradMode(grad);
            try {
                return Jni.run(module, method, values);
            } finally {
                JniUtils.setGradMode(before);
            }
        } finally {
            temporary.forEach(IValue::close);
        }
    }

    private static IValue value(String method, Object argument) {
        if (argument instanceof NDArray array) {
            return IValue.from((PtNDArray) array);
        } else if (argument instanceof Collection<?> list) {
            return list(method, list);
        } else if (argument instanceof Map<?, ?> map) {
            Map<String, PtNDArray> tensors = new LinkedHashMap<>();
            map.forEach((key, tensor) -> tensors.put((String) key, (PtNDArray) tensor));
            return IValue.stringMapFrom(tensors);
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

    private static IValue list(String method, Collection<?> list) {
        if (list.stream().allMatch(NDArray.class::isInstance)) {
            return IValue.listFrom(list.stream().map(PtNDArray.class::cast).toArray(PtNDArray[]::new));
        }
        IValue[] elements = list.stream().map(element -> value(method, element)).toArray(IValue[]::new);
        try {
            return IValue.listFrom(elements);
        } finally {
            Arrays.stream(elements).forEach(IValue::close);
        }
    }

    @Override
    public void close() {
        manager.close();
    }

    /** What torch.jit.save writes: a zip of stored entries, the attributes pickled. */
    static byte[] archive(String name, String source, Map<String, Object> attributes) {
        Matcher type = CLASS.matcher(source);
        if (!type.find()) {
            throw new IllegalArgumentException(name + ": the source has no line \"class NAME(Module):\"");
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
            store(zip, name + "/data.pkl", pickle(name, type.group(1), source.substring(type.end()), attributes));
            // protocol 2; empty tuple; stop
            store(zip, name + "/constants.pkl", "\u0080\u0002).");
            // Operators mean what they mean in this version of the archive format, the newest that 2.7 reads.
            store(zip, name + "/version", "10\n");
            store(zip, name + "/byteorder", "little");
            store(zip, name + "/code/__torch__.py", withConstants(source).getBytes(StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }

    /**
     * The source with its constants' values in the place of their names: libtorch reads their declarations, but not
     * them.
     */
    private static String withConstants(String source) {
        String with = source;
        Matcher declared = CONSTANT.matcher(source);
        while (declared.find()) {
            with = with.replaceAll("\\bself\\." + declared.group(1) + "\\b", declared.group(2));
        }
        return with;
    }

    /**
     * The module as an object of its class whose state is a dictionary, in the opcodes of Python's pickle protocol 2.
     */
    private static String pickle(String script, String type, String body, Map<String, Object> attributes) {
        // protocol 2; global __torch__.NAME; empty tuple; new object; empty dict; mark
        StringBuilder p = new StringBuilder("\u0080\u0002c__torch__\n" + type + "\n)\u0081}(");
        Matcher declared = ATTRIBUTE.matcher(body);
        while (declared.find()) {
            Object value = attributes.get(declared.group(1));
            string(p, declared.group(1));
            if (value instanceof Boolean flag) {
                p.append(flag ? '\u0088' : '\u0089');
            } else if (value instanceof Integer || value instanceof Long) {
                p.append('J')
                        .append(bytes(ByteBuffer.allocate(4)
                                .order(LITTLE_ENDIAN)
                                .putInt(Math.toIntExact(((Number) value).longValue()))));
            } else if (value instanceof Double number) {
                p.append('G').append(bytes(ByteBuffer.allocate(8).putDouble(number)));
            } else if (value instanceof String text) {
                string(p, text);
            } else if (value instanceof long[] numbers) {
                p.append("ctorch.jit._pickle\nbuild_intlist\n(](");
                for (long number : numbers) {
                    p.append('J')
                            .append(bytes(
                                    ByteBuffer.allocate(4).order(LITTLE_ENDIAN).putInt(Math.toIntExact(number))));
                }
                p.append("etR"); // append to the list; tuple of arguments; call
            } else if (value == null && declared.group(2).matches("(List|Dict)\\[.*")) {
                p.append("ctorch.jit._pickle\nrestore_type_tag\n("
                        + (declared.group(2).startsWith("List") ? "]" : "}"));
                string(p, declared.group(2));
                p.append("tR");
            } else {
                throw new IllegalArgumentException(
                        script + ": attribute " + declared.group(1) + " of type " + declared.group(2) + " cannot be "
                                + (value == null ? "missing" : value.getClass().getName()));
            }
        }
        return p.append("ub.").toString(); // set the items; build; stop
    }

    private static void string(StringBuilder p, String text) {
        byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
        p.append('X').append(bytes(ByteBuffer.allocate(4).order(LITTLE_ENDIAN).putInt(utf8.length)));
        p.append(new String(utf8, StandardCharsets.ISO_8859_1));
    }

    private static String bytes(ByteBuffer buffer) {
        return new String(buffer.array(), StandardCharsets.ISO_8859_1);
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
