package io.safelora.torch;

import ai.djl.pytorch.engine.PtSymbolBlock;
import ai.djl.pytorch.jni.IValue;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.util.List;

/**
 * The one native call for which DJL has no fitting door: IValueUtils.runMethod takes any arguments, but runs in
 * inference mode, whose tensors autograd refuses for ever; IValueUtils.forward leaves inference mode, but takes tensors
 * only, and tells its arguments apart by names that it finds on the tensors themselves, which threads share.
 */
final class Jni {
    private static final MethodHandle MODULE_RUN_METHOD;
    private static final MethodHandle NEW_IVALUE;

    static {
        try {
            Class<?> library = Class.forName("ai.djl.pytorch.jni.PyTorchLibrary");
            MethodHandles.Lookup lookup = MethodHandles.privateLookupIn(library, MethodHandles.lookup());
            Object instance = lookup.findStaticGetter(library, "LIB", library).invoke();
            MODULE_RUN_METHOD = lookup.findVirtual(
                            library,
                            "moduleRunMethod",
                            MethodType.methodType(
                                    long.class, long.class, String.class, long[].class, boolean.class, boolean.class))
                    .bindTo(instance);
            NEW_IVALUE = MethodHandles.privateLookupIn(IValue.class, MethodHandles.lookup())
                    .findConstructor(IValue.class, MethodType.methodType(void.class, long.class));
        } catch (Throwable e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private Jni() {}

    /** Runs a module's method outside inference mode. */
    static IValue run(PtSymbolBlock module, String method, List<IValue> arguments) {
        long[] handles = arguments.stream().mapToLong(IValue::getHandle).toArray();
        try {
            long result = (long) MODULE_RUN_METHOD.invoke(module.getHandle().longValue(), method, handles, true, false);
            return (IValue) NEW_IVALUE.invoke(result);
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }
}
