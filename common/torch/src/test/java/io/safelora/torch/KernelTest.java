package io.safelora.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.pytorch.engine.PtNDManager;
import ai.djl.pytorch.jni.IValue;
import io.safelora.artifacts.safetensors.Dtype;
import java.io.IOException;
import java.io.InputStream;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.api.TestInstance;

/** The test of a script: each method of its text is called by itself, in a test that is marked as its own. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
public abstract class KernelTest {
    /** The method of the script that a test is of. */
    @Target(ElementType.METHOD)
    @Retention(RetentionPolicy.RUNTIME)
    public @interface Of {
        String value();
    }

    private static final Pattern METHOD = Pattern.compile("(?m)^  def (\\w+)\\(");
    private static final Pattern CONSTANT = Pattern.compile("(?m)^  (\\w+) : Final\\[int\\] = (\\d+)");
    /** Where an operator takes an element type. */
    private static final Pattern BARE_TYPE =
            Pattern.compile("dtype=\\d|memory_format=\\d|torch\\.to\\([^()]*(\\([^()]*\\)[^()]*)*, \\d+\\)");

    private final Class<?> owner;
    private final List<String> files;
    private final Map<Map<String, Object>, TorchScript> scripts = new HashMap<>();
    private final Set<String> called = new TreeSet<>();
    private TorchScript script;
    protected NDManager manager;

    /** @param files the script's text, beside {@code owner} */
    protected KernelTest(Class<?> owner, List<String> files) {
        this.owner = owner;
        this.files = files;
    }

    @BeforeEach
    void open() {
        manager = Torch.manager(Device.cpu());
        called.clear();
    }

    @AfterEach
    void close(TestInfo test) {
        manager.close();
        test.getTestMethod().map(method -> method.getAnnotation(Of.class)).ifPresent(of -> assertThat(called)
                .as("methods that %s calls", test.getDisplayName())
                .contains(of.value()));
    }

    @AfterAll
    void unload() {
        scripts.values().forEach(TorchScript::close);
    }

    @Test
    void everyMethodHasATest() throws IOException {
        Set<String> tested = new TreeSet<>();
        Arrays.stream(getClass().getDeclaredMethods())
                .filter(method -> method.isAnnotationPresent(Of.class))
                .forEach(method -> tested.add(method.getAnnotation(Of.class).value()));
        Set<String> written = new TreeSet<>();
        METHOD.matcher(text()).results().forEach(method -> written.add(method.group(1)));
        assertThat(written).isNotEmpty();
        assertThat(tested).as("methods with a test marked @Of").isEqualTo(written);
    }

    @Test
    void elementTypesHaveNamesAndTheTextSaysWhatItIs() throws IOException {
        for (String file : files) {
            assertThat(text(file).lines().findFirst().orElseThrow()).contains("TorchScript", "not Python");
            assertThat(text(file).lines()).as(file).allMatch(line -> line.length() <= 120);
        }
        assertThat(BARE_TYPE.matcher(text()).results().map(r -> r.group())).isEmpty();
        Matcher constant = CONSTANT.matcher(text());
        while (constant.find()) {
            String name = constant.group(1).toLowerCase(java.util.Locale.ROOT);
            int number = Integer.parseInt(constant.group(2));
            Dtype.of(name).ifPresent(type -> assertThat(number).as(name).isEqualTo(type.number()));
        }
    }

    private String text() throws IOException {
        StringBuilder text = new StringBuilder();
        for (String file : files) {
            text.append(text(file));
        }
        return text.toString();
    }

    private String text(String file) throws IOException {
        try (InputStream in = owner.getResourceAsStream(file)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    /** Calls go to the script with these values of its attributes from now on. */
    protected final void use(Map<String, Object> attributes) {
        script = scripts.computeIfAbsent(attributes, a -> TorchScript.load(owner, files, Device.cpu(), a));
    }

    private TorchScript script() {
        if (script == null) {
            use(Map.of());
        }
        return script;
    }

    /** The method's first result. */
    protected final NDArray call(String method, Object... arguments) {
        return results(method, arguments).get(0);
    }

    protected final NDList results(String method, Object... arguments) {
        called.add(method);
        return script().call(manager, method, arguments);
    }

    protected final NDArray callWithGrad(String method, Object... arguments) {
        called.add(method);
        return script().callWithGrad(manager, method, arguments).get(0);
    }

    /** The method's result as it is, to be handed to another one. */
    protected final TorchScript.Value value(String method, Object... arguments) {
        called.add(method);
        return script().callForValue(manager, method, arguments);
    }

    /** The result of a method that gives an integer. */
    protected final long number(String method, Object... arguments) {
        return value(method, arguments).value.toLong();
    }

    /** The fields of a named tuple. */
    protected final IValue[] fields(TorchScript.Value tuple) {
        return tuple.value.toIValueTuple();
    }

    /** The tensors of a field that is a list of them. */
    protected final NDArray[] tensors(IValue field) {
        return field.toTensorArray((PtNDManager) manager);
    }

    protected final NDArray tensor(IValue field) {
        return field.toTensor((PtNDManager) manager);
    }

    protected final NDArray tensor(Matrix matrix) {
        return Tensors.of(manager, matrix.floats(), matrix.rows(), matrix.columns());
    }

    protected final NDArray vector(float... values) {
        return Tensors.of(manager, values, values.length);
    }

    protected final NDArray vector(Matrix row) {
        return vector(row.floats());
    }

    protected final NDArray ids(long... values) {
        return Tensors.of(manager, values, values.length);
    }

    protected final NDArray float64(NDArray tensor) {
        return Tensors.to(manager, tensor, Dtype.F64);
    }

    /** A tensor's elements, row by row. */
    protected static double[] doubles(NDArray tensor) {
        return Tensors.doubles(tensor);
    }

    /** Of the same elements, row by row, but for float32's rounding. */
    protected static void assertClose(NDArray actual, Matrix expected) {
        assertClose(actual, expected, 1e-5);
    }

    protected static void assertClose(NDArray actual, Matrix expected, double tolerance) {
        assertThat(doubles(actual)).containsExactly(expected.values(), within(tolerance));
    }
}
