package io.safelora.torch;

import static java.nio.charset.StandardCharsets.UTF_8;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.engine.PtNDManager;
import ai.djl.pytorch.engine.PtSymbolBlock;
import ai.djl.pytorch.jni.IValue;
import ai.djl.pytorch.jni.IValueUtils;
import ai.djl.pytorch.jni.JniUtils;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/**
 * Functions written in TorchScript, kept as text in this repository and run by libtorch.
 *
 * <p>DJL's NDArray lacks what a language model needs (bfloat16, scaled dot-product attention, rms_norm), and every call
 * of it crosses into native code. A TorchScript archive is a zip of plain text and two small pickles, so it can be
 * assembled here without Python: the text is the dialect that {@code torch.jit.save} writes, a class {@code Kernels} whose
 * methods take and return tensors, lists and numbers. One call then runs a whole layer, and the text may name the data
 * types that DJL cannot: tensors come in as raw bytes (see {@link Torch#bytes}) and are viewed as bfloat16 there.
 */
public final class TorchScript implements AutoCloseable {
    private final PtSymbolBlock block;
    private final NDManager manager;

    private TorchScript(PtSymbolBlock block, NDManager manager) {
        this.block = block;
        this.manager = manager;
    }

    /**
     * Compiles a text of functions.
     *
     * @param beside the class beside whose class file the text lies
     * @param resource the text's name, for example {@code decoder.py}
     * @param device where the functions run
     */
    public static TorchScript load(Class<?> beside, String resource, Device device) {
        try (InputStream text = beside.getResourceAsStream(resource)) {
            if (text == null) {
                throw new IllegalStateException("no resource " + resource + " beside " + beside.getName());
            }
            return compile(new String(text.readAllBytes(), UTF_8), device);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Compiles {@code source}: {@code class Kernels(Module):} and its methods. */
    public static TorchScript compile(String source, Device device) {
        NDManager manager = Torch.manager(device);
        try {
            InputStream archive = new ByteArrayInputStream(archive(source));
            return new TorchScript(JniUtils.loadModule((PtNDManager) manager, archive, false, false), manager);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Runs a method without autograd.
     *
     * @param out the manager that will own the results
     * @param arguments NDArray, List of NDArray, Long or Integer, Double, Boolean, long[] or double[]
     * @return the tensor, or the tensors of the tuple or list, that the method returns
     */
    public NDList call(NDManager out, String method, Object... arguments) {
        IValue[] values = new IValue[arguments.length];
        try {
            for (int i = 0; i < values.length; i++) {
                values[i] = value(arguments[i]);
            }
            try (IValue result = IValueUtils.runMethod(block, method, values)) {
                return result.toNDList((PtNDManager) out);
            }
        } finally {
            for (IValue value : values) {
                if (value != null) {
                    value.close();
                }
            }
        }
    }

    /**
     * Runs a method so that gradients flow back to the arguments that ask for them.
     *
     * @param out the manager that will own the results
     * @param arguments NDArray or List of NDArray (not empty): DJL passes nothing else with autograd; numbers go as
     *     one-element tensors. No array may stand in two arguments
     */
    public NDList callWithGrad(NDManager out, String method, Object... arguments) {
        // DJL's convention: the name "x[]" marks a list's items, "module_method:NAME" the method.
        boolean before = JniUtils.isGradMode();
        NDArray marker = ((PtNDManager) out).create(new Shape(0), DataType.FLOAT32);
        marker.setName("module_method:" + method);
        NDList inputs = new NDList(marker); // the first array's manager owns the results
        for (int i = 0; i < arguments.length; i++) {
            if (arguments[i] instanceof List<?> list) {
                for (Object item : list) {
                    inputs.add(named((NDArray) item, "list" + i + "[]"));
                }
            } else {
                inputs.add(named((NDArray) arguments[i], null));
            }
        }
        try {
            JniUtils.setGradMode(true); // of this thread; DJL leaves it off outside its own gradient collector
            return IValueUtils.forward(block, inputs, true);
        } finally {
            JniUtils.setGradMode(before);
            inputs.forEach(a -> a.setName(null));
            marker.close();
        }
    }

    private static NDArray named(NDArray array, String name) {
        array.setName(name);
        return array;
    }

    @Override
    public void close() {
        block.close();
        manager.close();
    }

    private static IValue value(Object argument) {
        if (argument instanceof NDArray array) {
            return IValue.from((PtNDArray) array);
        } else if (argument instanceof List<?> list) {
            return IValue.listFrom(list.toArray(new PtNDArray[0]));
        } else if (argument instanceof Double number) {
            return IValue.from(number.doubleValue());
        } else if (argument instanceof Number number) {
            return IValue.from(number.longValue());
        } else if (argument instanceof Boolean flag) {
            return IValue.from(flag.booleanValue());
        } else if (argument instanceof long[] numbers) {
            return IValue.listFrom(numbers);
        } else if (argument instanceof double[] numbers) {
            return IValue.listFrom(numbers);
        }
        throw new IllegalArgumentException("no TorchScript argument: " + argument);
    }

    /** The archive's dialect knows data types by number only; the text may say {@code torch.bfloat16}. */
    private static String withDtypeCodes(String source) {
        return source.replace("torch.bfloat16", "15")
                .replace("torch.float16", "5")
                .replace("torch.float32", "6")
                .replace("torch.float64", "7")
                .replace("torch.int64", "4")
                .replace("torch.int32", "3")
                .replace("torch.int16", "2")
                .replace("torch.int8", "1")
                .replace("torch.bool", "11");
    }

    private static byte[] archive(String source) throws IOException {
        // The pickle of an object of class __torch__.Kernels with the one attribute training = True.
        byte[] data =
                ("\u0080\u0002c__torch__\nKernels\nq\u0000)\u0081}(X\b\u0000\u0000\u0000trainingq\u0001\u0088ubq\u0002.")
                        .getBytes(java.nio.charset.StandardCharsets.ISO_8859_1);
        byte[] emptyTuple = {(byte) 0x80, 2, ')', '.'};
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
            store(zip, "kernels/data.pkl", data);
            store(zip, "kernels/code/__torch__.py", withDtypeCodes(source).getBytes(UTF_8));
            store(zip, "kernels/constants.pkl", emptyTuple);
            store(zip, "kernels/version", "3\n".getBytes(UTF_8));
        }
        return bytes.toByteArray();
    }

    private static void store(ZipOutputStream zip, String name, byte[] content) throws IOException {
        CRC32 crc = new CRC32();
        crc.update(content);
        ZipEntry entry = new ZipEntry(name);
        entry.setMethod(ZipEntry.STORED);
        entry.setSize(content.length);
        entry.setCrc(crc.getValue());
        entry.setTime(0);
        zip.putNextEntry(entry);
        zip.write(content);
        zip.closeEntry();
    }
}
