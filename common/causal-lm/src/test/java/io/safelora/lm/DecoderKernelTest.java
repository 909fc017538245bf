package io.safelora.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.types.Shape;
import ai.djl.pytorch.jni.IValue;
import io.safelora.torch.KernelTest;
import io.safelora.torch.Matrix;
import io.safelora.torch.Tensors;
import io.safelora.torch.TorchScript;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Each method of the decoder against plain arithmetic, on a model of one layer with grouped-query attention. */
class DecoderKernelTest extends KernelTest {
    private static final int HEADS = 4;
    private static final int KV_HEADS = 2;
    private static final int D = 4;
    private static final int HIDDEN = 6;
    private static final int INNER = 5;
    private static final int VOCAB = 11;
    private static final double SCALE = 0.4;
    private static final double EPS = 1e-5;
    private static final long[] EVERYWHERE = {0};
    private static final long[] WINDOW = {3};

    private static final Map<String, Object> ATTRIBUTES = Map.ofEntries(
            Map.entry("heads", HEADS),
            Map.entry("kv_heads", KV_HEADS),
            Map.entry("head_dim", D),
            Map.entry("windows", EVERYWHERE),
            Map.entry("score_scale", SCALE),
            Map.entry("score_softcap", 0.0),
            Map.entry("logit_softcap", 0.0),
            Map.entry("embedding_scale", 1.0),
            Map.entry("eps", EPS),
            Map.entry("one_plus", false),
            Map.entry("activation", "silu"),
            Map.entry("transposed", false),
            Map.entry("heads_first", false),
            Map.entry("parallel", false),
            Map.entry("rotary_dim", D),
            Map.entry("rotary_scale", 1.0),
            Map.entry("dynamic_theta", 0.0),
            Map.entry("dynamic_factor", 1.0),
            Map.entry("max_positions", 32));

    private final Map<String, Matrix> layer = new LinkedHashMap<>();
    private final Map<String, Matrix> outer = new LinkedHashMap<>();

    DecoderKernelTest() {
        super(Decoder.class, Decoder.FILES);
    }

    @BeforeEach
    void weights() {
        use(ATTRIBUTES);
        layer.clear();
        outer.clear();
        layer.put("norm.attention", Matrix.random(1, HIDDEN, 1));
        layer.put("q", Matrix.random(HEADS * D, HIDDEN, 2));
        layer.put("k", Matrix.random(KV_HEADS * D, HIDDEN, 3));
        layer.put("v", Matrix.random(KV_HEADS * D, HIDDEN, 4));
        layer.put("o", Matrix.random(HIDDEN, HEADS * D, 5));
        layer.put("norm.mlp", Matrix.random(1, HIDDEN, 6));
        layer.put("gate", Matrix.random(INNER, HIDDEN, 7));
        layer.put("up", Matrix.random(INNER, HIDDEN, 8));
        layer.put("down", Matrix.random(HIDDEN, INNER, 9));
        outer.put("embedding", Matrix.random(VOCAB, HIDDEN, 10));
        outer.put("norm", Matrix.random(1, HIDDEN, 11));
        outer.put("head", Matrix.random(VOCAB, HIDDEN, 12));
        outer.put("inv_freq", Matrix.row(1, 0.25));
    }

    private static Map<String, Object> with(Object... changed) {
        Map<String, Object> attributes = new HashMap<>(ATTRIBUTES);
        for (int i = 0; i < changed.length; i += 2) {
            attributes.put((String) changed[i], changed[i + 1]);
        }
        return attributes;
    }

    /** Matrices of one row become vectors, as norms and biases are. */
    private Map<String, NDArray> tensors(Map<String, Matrix> weights) {
        Map<String, NDArray> tensors = new LinkedHashMap<>();
        weights.forEach((name, w) -> tensors.put(name, w.rows() == 1 ? vector(w) : tensor(w)));
        return tensors;
    }

    private List<Map<String, NDArray>> load() {
        List<Map<String, NDArray>> all = List.of(tensors(layer), tensors(outer));
        results("unload");
        results("load", all);
        return all;
    }

    /** An argument that is None. */
    private TorchScript.Value none() {
        return value("unload");
    }

    private TorchScript.Value spans(String adapter, long tokens) {
        return spans(List.of(adapter), tokens);
    }

    private TorchScript.Value spans(List<String> adapters, long... lens) {
        return value("spans", adapters, lens, 0.0);
    }

    // The parts of a layer, in plain arithmetic. Heads lie side by side: (tokens, heads * head_dim).

    private static Matrix linear(Matrix x, Matrix w) {
        return x.times(w.t());
    }

    private static Matrix rmsNorm(Matrix x, Matrix weight) {
        return Matrix.generate(
                x.rows(),
                x.columns(),
                (i, j) -> x.at(i, j)
                        * weight.at(0, j)
                        / Math.sqrt(x.slice(i, i + 1).squares() / x.columns() + EPS));
    }

    private static Matrix silu(Matrix x) {
        return x.map(z -> z / (1 + Math.exp(-z)));
    }

    private Matrix rotated(Matrix x, int... positions) {
        return Matrix.generate(x.rows(), x.columns(), (t, c) -> {
            int i = c % D;
            int half = D / 2;
            double angle = positions[t] * outer.get("inv_freq").at(0, i % half);
            double other = i < half ? -x.at(t, c + half) : x.at(t, c - half);
            return x.at(t, c) * Math.cos(angle) + other * Math.sin(angle);
        });
    }

    private static Matrix head(Matrix x, int head) {
        return x.sliceColumns(head * D, (head + 1) * D);
    }

    private interface Visible {
        boolean is(int query, int key);
    }

    private static final Visible ALL = (query, key) -> true;

    private static Matrix scores(Matrix q, Matrix k, int head, double cap, Visible visible) {
        Matrix products =
                head(q, head).times(head(k, head / (HEADS / KV_HEADS)).t()).by(SCALE);
        Matrix capped = cap == 0 ? products : products.map(s -> cap * Math.tanh(s / cap));
        return Matrix.generate(q.rows(), k.rows(), (i, j) -> visible.is(i, j) ? capped.at(i, j) : -1e30);
    }

    private static Matrix attention(Matrix q, Matrix k, Matrix v, Visible visible) {
        return attention(q, k, v, 0, visible);
    }

    private static Matrix attention(Matrix q, Matrix k, Matrix v, double cap, Visible visible) {
        Matrix all = null;
        for (int head = 0; head < HEADS; head++) {
            Matrix y = scores(q, k, head, cap, visible).softmax().times(head(v, head / (HEADS / KV_HEADS)));
            all = all == null ? y : all.beside(y);
        }
        return all;
    }

    /** The logarithms of the softmaxes' sums (tokens, heads). */
    private static Matrix logs(Matrix q, Matrix k, Visible visible) {
        Matrix all = null;
        for (int head = 0; head < HEADS; head++) {
            Matrix log = scores(q, k, head, 0, visible).logSumExp().t();
            all = all == null ? log : all.beside(log);
        }
        return all;
    }

    private static Visible causal(int past) {
        return (query, key) -> key <= past + query;
    }

    private static Visible near(int past, int window) {
        return (query, key) -> key <= past + query && key > past + query - window;
    }

    /** (tokens, heads, head_dim) */
    private NDArray byToken(Matrix x) {
        return tensor(x).reshape(x.rows(), -1, D);
    }

    /** (heads, tokens, head_dim) */
    private NDArray byHead(Matrix x) {
        return byToken(x).transpose(1, 0, 2);
    }

    /** Keys and values (1, 2, 1, kv_heads, tokens, head_dim) of a prefix, or of a slot of a cache. */
    private NDArray keysAndValues(Matrix k, Matrix v) {
        return byHead(k)
                .expandDims(0)
                .concat(byHead(v).expandDims(0), 0)
                .expandDims(0)
                .expandDims(2);
    }

    private static long[] longs(int... values) {
        return Arrays.stream(values).asLongStream().toArray();
    }

    private static int[] upTo(int n) {
        return IntStream.range(0, n).toArray();
    }

    /** Sequences one after another, the first beginning at {@code past}. */
    private final class BatchOf {
        private long[] ids = {0};
        private long[] positions = {0};
        private String adapter = "";
        private long[] lens;
        private long[] past;
        private long[] slots;
        private List<NDArray> prefixes = List.of();
        private long[] sharers = {};
        private List<NDArray> cache = List.of();
        private boolean decode;
        private boolean train;

        BatchOf(int... lens) {
            this.lens = longs(lens);
            int tokens = Arrays.stream(lens).sum();
            ids = new long[tokens];
            positions = Arrays.stream(lens)
                    .flatMap(n -> IntStream.range(0, n))
                    .asLongStream()
                    .toArray();
            past = new long[lens.length];
            slots = longs(upTo(lens.length));
        }

        TorchScript.Value build() {
            NDArray at = ids(positions);
            return value(
                    "batch",
                    ids(ids),
                    at,
                    at.add(1),
                    List.of(adapter),
                    new long[] {ids.length},
                    0.0,
                    lens,
                    past,
                    slots,
                    prefixes,
                    sharers,
                    cache,
                    decode,
                    train);
        }
    }

    @Test
    @Of("load")
    void loadKeepsTheWeightsAndMakesRoomForPackedOnes() {
        load();
        assertClose(
                call("product", 0, "up", tensor(Matrix.random(2, HIDDEN, 20))),
                linear(Matrix.random(2, HIDDEN, 20), layer.get("up")));
    }

    @Test
    @Of("layers")
    void layersWithoutWhatIsOutsideOfThem() {
        load();
        assertThat(number("layers")).isEqualTo(1);
    }

    @Test
    @Of("outer")
    void outerIsTheLast() {
        load();
        Map<String, double[]> found = new HashMap<>();
        results("outer").forEach(tensor -> found.put(tensor.getName(), doubles(tensor)));
        assertThat(found).hasSize(outer.size());
    }

    @Test
    @Of("unload")
    void unloadedIsEmpty() {
        load();
        results("set_adapter", "x", List.of(Map.of(), Map.of()), List.of(Map.of(), Map.of()), true);
        results("unload");
        assertThat(number("layers")).isEqualTo(-1);
        outer.put("head", outer.get("head").by(2));
        load();
        assertClose(
                call("head", tensor(Matrix.random(1, HIDDEN, 21)), spans("", 1)),
                linear(Matrix.random(1, HIDDEN, 21), outer.get("head")));
    }

    @Test
    @Of("pack")
    void packedWeightsGiveTheSameProducts() {
        layer.put("up.bias", Matrix.random(1, INNER, 22));
        load();
        results("pack");
        Matrix x = Matrix.random(3, HIDDEN, 20);
        assertClose(
                call("product", 0, "up", tensor(x)), linear(x, layer.get("up")).plus(layer.get("up.bias")));
        assertClose(call("product", 1, "head", tensor(x)), linear(x, outer.get("head")));
    }

    @Test
    @Of("batch")
    void batchHasAnglesMasksAndDecodeSteps() {
        load();
        BatchOf two = new BatchOf(2, 1);
        two.positions = new long[] {5, 6, 0};
        IValue[] fields = fields(two.build());
        assertThat(tensor(fields[2]).getShape()).isEqualTo(new Shape(3, 1, D));
        assertClose(
                tensor(fields[2]),
                Matrix.of(
                        angle(5).map(Math::cos).values(),
                        angle(6).map(Math::cos).values(),
                        angle(0).map(Math::cos).values()));
        assertThat(fields[11].toIValueArray()).isEmpty();
        assertThat(tensors(fields[12])).isEmpty();
        two.train = true;
        assertThat(tensors(fields(two.build())[12])).hasSize(2);
        BatchOf step = new BatchOf(1, 1);
        step.cache = List.of(manager.zeros(new Shape(1, 2, 2, KV_HEADS, 8, D)));
        step.decode = true;
        assertThat(fields(step.build())[11].toIValueArray()).hasSize(1);
    }

    private Matrix angle(double position) {
        Matrix half = outer.get("inv_freq").by(position);
        return half.beside(half);
    }

    @Test
    @Of("embed")
    void embeddingsArePlusPositionsAndScaled() {
        use(with("embedding_scale", 2.5));
        outer.put("positions", Matrix.random(8, HIDDEN, 23));
        load();
        BatchOf batch = new BatchOf(2);
        batch.ids = new long[] {7, 3};
        assertClose(
                call("embed", batch.build()),
                outer.get("embedding")
                        .pick(7, 3)
                        .plus(outer.get("positions").pick(0, 1))
                        .by(2.5));
    }

    @Test
    @Of("act")
    void activations() {
        Matrix x = Matrix.row(-2, -0.5, 0, 1.5);
        assertClose(call("act", tensor(x)), silu(x));
        use(with("activation", "relu"));
        assertClose(call("act", tensor(x)), x.map(z -> Math.max(0, z)));
        use(with("activation", "gelu_tanh"));
        assertClose(
                call("act", tensor(x)),
                x.map(z -> z / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (z + 0.044715 * z * z * z)))));
        use(with("activation", "gelu"));
        // z times the normal distribution's share below z
        assertClose(call("act", tensor(x)), Matrix.row(-0.0455003, -0.1542688, 0, 1.3997892), 1e-6);
    }

    private Matrix mlp(Matrix x) {
        return linear(silu(linear(x, layer.get("gate"))).by(linear(x, layer.get("up"))), layer.get("down"));
    }

    @Test
    @Of("mlp")
    void gatedFusedAndPlain() {
        Matrix x = Matrix.random(3, HIDDEN, 24);
        load();
        Matrix gated = mlp(x);
        assertClose(call("mlp", 0, tensor(x), spans("", 3)), gated, 1e-4);
        layer.put("gate_up", layer.remove("gate").above(layer.remove("up")));
        load();
        assertClose(call("mlp", 0, tensor(x), spans("", 3)), gated, 1e-4);
        layer.remove("gate_up");
        layer.put("up", Matrix.random(INNER, HIDDEN, 25));
        load();
        assertClose(
                call("mlp", 0, tensor(x), spans("", 3)),
                linear(silu(linear(x, layer.get("up"))), layer.get("down")),
                1e-4);
    }

    private Matrix attended(Matrix h, int... positions) {
        Matrix q = rotated(linear(h, layer.get("q")), positions);
        Matrix k = rotated(linear(h, layer.get("k")), positions);
        return linear(attention(q, k, linear(h, layer.get("v")), causal(0)), layer.get("o"));
    }

    private Matrix layer(Matrix x) {
        Matrix y = x.plus(attended(rmsNorm(x, layer.get("norm.attention")), upTo(x.rows())));
        return y.plus(mlp(rmsNorm(y, layer.get("norm.mlp"))));
    }

    @Test
    @Of("layer")
    void oneLayerAfterTheOtherAndInParallel() {
        Matrix x = Matrix.random(3, HIDDEN, 26);
        load();
        assertClose(call("layer", 0, tensor(x), new BatchOf(3).build()), layer(x), 1e-3);
        use(with("parallel", true));
        load();
        assertClose(
                call("layer", 0, tensor(x), new BatchOf(3).build()),
                x.plus(attended(rmsNorm(x, layer.get("norm.attention")), upTo(3)))
                        .plus(mlp(rmsNorm(x, layer.get("norm.mlp")))),
                1e-3);
    }

    @Test
    @Of("layer")
    void outputsMayBeNormalizedToo() {
        use(ATTRIBUTES);
        Matrix x = Matrix.random(3, HIDDEN, 26);
        layer.put("norm.attention.out", Matrix.random(1, HIDDEN, 27));
        layer.put("norm.mlp.out", Matrix.random(1, HIDDEN, 28));
        load();
        Matrix y = x.plus(
                rmsNorm(attended(rmsNorm(x, layer.get("norm.attention")), upTo(3)), layer.get("norm.attention.out")));
        assertClose(
                call("layer", 0, tensor(x), new BatchOf(3).build()),
                y.plus(rmsNorm(mlp(rmsNorm(y, layer.get("norm.mlp"))), layer.get("norm.mlp.out"))),
                1e-3);
    }

    @Test
    @Of("hidden")
    void hiddenIsTheNormOfTheLastLayer() {
        load();
        BatchOf batch = new BatchOf(3);
        batch.ids = new long[] {1, 2, 3};
        assertClose(
                call("hidden", batch.build()),
                rmsNorm(layer(outer.get("embedding").pick(1, 2, 3)), outer.get("norm")),
                1e-3);
    }

    // Adapters

    private final Matrix a = Matrix.random(2, HIDDEN, 30);
    private final Matrix b = Matrix.random(INNER, 2, 31);
    private static final double S = 0.5;

    private Map<String, NDArray> lora() {
        return new HashMap<>(Map.of("up.a", tensor(a), "up.b", tensor(b), "up.scale", vector((float) S)));
    }

    private void set(
            String name, Map<String, NDArray> lora, Map<String, NDArray> ofLayer, Map<String, NDArray> outside) {
        boolean owns = !ofLayer.isEmpty() || !outside.isEmpty();
        results("set_adapter", name, List.of(lora, Map.of()), List.of(ofLayer, outside), owns);
    }

    private Matrix update(Matrix x) {
        return linear(linear(x, a), b).by(S);
    }

    @Test
    @Of("set_adapter")
    void aSetAdapterActsAndCanBeSetAnew() {
        load();
        Matrix x = Matrix.random(2, HIDDEN, 32);
        Matrix plain = linear(x, layer.get("up"));
        set("x", lora(), Map.of("up", tensor(layer.get("up").by(2))), Map.of());
        assertClose(
                call("linear", 0, "up", tensor(x), spans("x", 2)), plain.by(2).plus(update(x)), 1e-4);
        set("x", lora(), Map.of(), Map.of());
        assertClose(call("linear", 0, "up", tensor(x), spans("x", 2)), plain.plus(update(x)), 1e-4);
    }

    @Test
    @Of("spans")
    void spansKnowTheOwnWeightsOfTheirAdapters() {
        load();
        set("plain", lora(), Map.of(), Map.of());
        assertThat(fields(spans("plain", 3))[2].toIValueArray()).isEmpty();
        set("owner", lora(), Map.of("up", tensor(layer.get("up"))), Map.of());
        assertThat(fields(spans("plain", 3))[2].toIValueArray()).isEmpty();
        IValue[] both = fields(spans(List.of("plain", "owner"), 3, 2));
        assertThat(both[1].toLongArray()).containsExactly(3, 2);
        assertThat(both[2].toIValueArray()).hasSize(2);
    }

    @Test
    @Of("span")
    void aSpanIsItsRowsAndTheWholeIsItself() {
        load();
        Matrix x = Matrix.random(5, 2, 33);
        assertClose(call("span", tensor(x), 3, 1, spans(List.of("", ""), 3, 2)), x.slice(3, 5));
        NDArray whole = tensor(x);
        Tensors.copy(call("span", whole, 0, 0, spans("", 5)), manager.zeros(new Shape(5, 2)));
        assertThat(doubles(whole)).containsOnly(0);
    }

    @Test
    @Of("joined")
    void joinedOneAfterAnother() {
        Matrix x = Matrix.random(2, 3, 34);
        Matrix y = Matrix.random(1, 3, 35);
        assertClose(call("joined", List.of(tensor(x), tensor(y))), x.above(y));
        assertClose(call("joined", List.of(tensor(x))), x);
    }

    @Test
    @Of("matrix")
    void matrixIsOutByInHoweverStored() {
        load();
        assertClose(call("matrix", 0, "up", Map.of()), layer.get("up"));
        Matrix own = Matrix.random(INNER, HIDDEN, 36);
        assertClose(call("matrix", 0, "up", Map.of("up", tensor(own))), own);
        use(with("transposed", true));
        load();
        assertClose(call("matrix", 0, "up", Map.of()), layer.get("up").t());
        assertClose(call("matrix", 1, "head", Map.of()), outer.get("head"));
    }

    @Test
    @Of("product")
    void productWithTheModelsBias() {
        layer.put("up.bias", Matrix.random(1, INNER, 37));
        load();
        Matrix x = Matrix.random(3, HIDDEN, 38);
        assertClose(
                call("product", 0, "up", tensor(x)), linear(x, layer.get("up")).plus(layer.get("up.bias")));
    }

    @Test
    @Of("own_product")
    void ownWeightsBiasesAndRows() {
        load();
        Matrix x = Matrix.random(3, HIDDEN, 38);
        Matrix own = Matrix.random(INNER, HIDDEN, 39);
        Matrix bias = Matrix.random(1, INNER, 40);
        assertClose(call("own_product", 0, "up", tensor(x), Map.of()), linear(x, layer.get("up")));
        assertClose(
                call("own_product", 0, "up", tensor(x), Map.of("up", tensor(own), "up.bias", vector(bias))),
                linear(x, own).plus(bias));
        Matrix rows = Matrix.random(2, HIDDEN, 41);
        Matrix y = linear(x, outer.get("head"));
        Matrix ofRows = linear(x, rows);
        assertClose(
                call("own_product", 1, "head", tensor(x), Map.of("head.rows", tensor(rows), "head.ids", ids(4, 0))),
                Matrix.generate(3, VOCAB, (i, j) -> j == 4 ? ofRows.at(i, 0) : j == 0 ? ofRows.at(i, 1) : y.at(i, j)));
    }

    @Test
    @Of("linear")
    void everySpanHasItsAdapter() {
        load();
        set("x", lora(), Map.of(), Map.of());
        Matrix x = Matrix.random(5, HIDDEN, 42);
        Matrix plain = linear(x, layer.get("up"));
        assertClose(
                call("linear", 0, "up", tensor(x), spans(List.of("", "x"), 2, 3)),
                plain.slice(0, 2).above(plain.slice(2, 5).plus(update(x.slice(2, 5)))),
                1e-4);
        set("own", Map.of(), Map.of("up", tensor(layer.get("up").by(3))), Map.of());
        assertClose(
                call("linear", 0, "up", tensor(x), spans(List.of("own", "x"), 2, 3)),
                plain.slice(0, 2).by(3).above(plain.slice(2, 5).plus(update(x.slice(2, 5)))),
                1e-4);
    }

    @Test
    @Of("adapted")
    void updatesOfLinearsBiasesAndEmbeddings() {
        load();
        Map<String, NDArray> lora = lora();
        lora.put("up.b.bias", vector(Matrix.random(1, INNER, 43)));
        Matrix embedding = Matrix.random(2, VOCAB, 44);
        Matrix up = Matrix.random(HIDDEN, 2, 45);
        results(
                "set_adapter",
                "x",
                List.of(
                        lora,
                        Map.of(
                                "embedding.a",
                                tensor(embedding),
                                "embedding.b",
                                tensor(up),
                                "embedding.scale",
                                vector(2))),
                List.of(Map.of(), Map.of()),
                false);
        Matrix x = Matrix.random(3, HIDDEN, 46);
        Matrix y = Matrix.random(3, INNER, 47);
        assertClose(
                call("adapted", 0, "up", tensor(x), tensor(y), spans("x", 3)),
                y.plus(update(x)).plus(Matrix.random(1, INNER, 43).by(S)),
                1e-4);
        Matrix rows = Matrix.random(2, HIDDEN, 48);
        assertClose(
                call("adapted", 1, "embedding", ids(5, 1), tensor(rows), spans("x", 2)),
                rows.plus(linear(embedding.t().pick(5, 1), up).by(2)),
                1e-4);
        // Half of the inputs are dropped, the others doubled.
        TorchScript.Value dropping = value("spans", List.of("x"), new long[] {3}, 0.5);
        double[] dropped = doubles(call("adapted", 0, "up", tensor(x), tensor(y), dropping));
        assertThat(dropped).isNotEqualTo(doubles(call("adapted", 0, "up", tensor(x), tensor(y), dropping)));
    }

    private Matrix adaptedNorms(Matrix w) {
        return w.plus(b.times(a).by(S)).rowNorms();
    }

    @Test
    @Of("dora")
    void doraScalesRowsToTheMagnitude() {
        layer.put("up.bias", Matrix.random(1, INNER, 49));
        load();
        Map<String, NDArray> lora = lora();
        Matrix magnitude = Matrix.row(1, 2, 3, 4, 5);
        lora.put("up.magnitude", vector(magnitude));
        Matrix x = Matrix.random(3, HIDDEN, 50);
        Matrix wx = linear(x, layer.get("up"));
        Matrix g = magnitude.with(adaptedNorms(layer.get("up")), (m, n) -> m / n);
        Matrix lacking = wx.plus(update(x)).by(g).minus(wx);
        NDArray y = tensor(wx.plus(layer.get("up.bias")));
        assertClose(call("dora", 0, "up", tensor(x), y, tensor(update(x)), lora, Map.of(), 0.0), lacking, 1e-4);
        // With dropout W reads what A reads, whatever y was made of.
        assertClose(
                call(
                        "dora",
                        0,
                        "up",
                        tensor(x),
                        tensor(Matrix.random(3, INNER, 51)),
                        tensor(update(x)),
                        lora,
                        Map.of(),
                        0.5),
                lacking,
                1e-4);
        // A norm that is given is not computed.
        lora.put("up.norm", vector(magnitude));
        assertClose(call("dora", 0, "up", tensor(x), y, tensor(update(x)), lora, Map.of(), 0.0), update(x), 1e-4);
    }

    @Test
    @Of("row_norms")
    void normsOfTheAdaptedRows() {
        load();
        assertClose(call("row_norms", 0, "up", lora(), Map.of()), adaptedNorms(layer.get("up")));
        Matrix own = Matrix.random(INNER, HIDDEN, 52);
        assertClose(call("row_norms", 0, "up", lora(), Map.of("up", tensor(own))), adaptedNorms(own));
    }

    @Test
    @Of("adapter_norms")
    void normsOfASetAdapter() {
        load();
        Matrix own = Matrix.random(INNER, HIDDEN, 52);
        set("x", lora(), Map.of("up", tensor(own)), Map.of());
        assertClose(call("adapter_norms", "x", 0, "up"), adaptedNorms(own));
    }

    private static Matrix layerNorm(Matrix x, Matrix weight, Matrix bias) {
        return Matrix.generate(x.rows(), x.columns(), (i, j) -> {
            Matrix row = x.slice(i, i + 1);
            double mean = row.sum() / x.columns();
            double variance = row.map(z -> z - mean).squares() / x.columns();
            return (x.at(i, j) - mean) / Math.sqrt(variance + EPS) * weight.at(0, j) + bias.at(0, j);
        });
    }

    @Test
    @Of("normalize")
    void rmsAndLayerNorms() {
        Matrix x = Matrix.random(3, HIDDEN, 53);
        Matrix weight = Matrix.random(1, HIDDEN, 54);
        Matrix bias = Matrix.random(1, HIDDEN, 55);
        assertClose(call("normalize", tensor(x), vector(weight), vector(bias)), layerNorm(x, weight, bias));
        assertClose(call("normalize", tensor(x), vector(weight), none()), rmsNorm(x, weight));
        NDArray learned = tensor(x);
        Tensors.requiresGrad(learned, true);
        assertClose(callWithGrad("normalize", learned, vector(weight), none()), rmsNorm(x, weight));
        use(with("one_plus", true));
        assertClose(call("normalize", tensor(x), vector(weight), none()), rmsNorm(x, weight.map(w -> w + 1)));
    }

    @Test
    @Of("norm")
    void everySpanHasItsNorm() {
        load();
        Matrix own = Matrix.random(1, HIDDEN, 56);
        set("x", Map.of(), Map.of("norm.mlp", vector(own)), Map.of());
        Matrix x = Matrix.random(3, HIDDEN, 57);
        assertClose(call("norm", 0, "norm.mlp", tensor(x), spans("", 3)), rmsNorm(x, layer.get("norm.mlp")));
        assertClose(
                call("norm", 0, "norm.mlp", tensor(x), spans(List.of("", "x"), 1, 2)),
                rmsNorm(x.slice(0, 1), layer.get("norm.mlp")).above(rmsNorm(x.slice(1, 3), own)));
    }

    @Test
    @Of("embedding")
    void rowsOfTheModelAndOfAnAdaptersOwn() {
        load();
        Matrix rows = Matrix.random(2, HIDDEN, 58);
        long[] place = new long[VOCAB];
        Arrays.fill(place, -1);
        place[7] = 1;
        place[2] = 0;
        set("x", Map.of(), Map.of(), Map.of("embedding.rows", tensor(rows), "embedding.place", ids(place)));
        Matrix words = outer.get("embedding");
        assertClose(call("embedding", "embedding", ids(7, 3), spans("", 2)), words.pick(7, 3));
        assertClose(
                call("embedding", "embedding", ids(7, 3, 7, 2), spans(List.of("", "x"), 1, 3)),
                words.pick(7, 3).above(rows.pick(1, 0)));
    }

    // Attention

    private final Matrix q = Matrix.random(3, HEADS * D, 60);
    private final Matrix k = Matrix.random(5, KV_HEADS * D, 61);
    private final Matrix v = Matrix.random(5, KV_HEADS * D, 62);

    @Test
    @Of("inverse_frequencies")
    void frequenciesFallWithTheDimension() {
        assertClose(
                call("inverse_frequencies", 10000.0, 6),
                Matrix.row(1, Math.pow(10000, -2 / 6.0), Math.pow(10000, -4 / 6.0)));
    }

    @Test
    @Of("angles")
    void anglesStayOrStretchWithTheLength() {
        load();
        NDList plain = results("angles", ids(3), ids(100), vector(0));
        assertClose(plain.get(0), angle(3).map(Math::cos));
        assertClose(plain.get(1), angle(3).map(Math::sin));
        use(with("dynamic_theta", 100.0, "dynamic_factor", 2.0, "rotary_scale", 0.5));
        load();
        double stretched = 100 * Math.pow(2.0 * 48 / 32 - 1, 4 / 2.0);
        Matrix half = Matrix.row(3, 3 / Math.sqrt(stretched));
        assertClose(
                results("angles", ids(3), ids(48), vector(0)).get(0),
                half.beside(half).map(x -> Math.cos(x) / 2));
        half = Matrix.row(3, 0.3);
        assertClose(
                results("angles", ids(3), ids(10), vector(0)).get(0),
                half.beside(half).map(x -> Math.cos(x) / 2));
    }

    @Test
    @Of("rotate")
    void halvesAreRotatedTogether() {
        load();
        BatchOf batch = new BatchOf(3);
        batch.positions = new long[] {2, 3, 7};
        assertClose(call("rotate", byToken(q), batch.build()), rotated(q, 2, 3, 7));
        // Only the first two of four elements.
        use(with("rotary_dim", 2));
        outer.put("inv_freq", Matrix.of(new double[] {0.25}));
        load();
        BatchOf one = new BatchOf(1);
        one.positions = new long[] {2};
        double[] rotated = doubles(call("rotate", byToken(q.slice(0, 1)), one.build()));
        assertThat(rotated[0]).isCloseTo(q.at(0, 0) * Math.cos(0.5) - q.at(0, 1) * Math.sin(0.5), within(1e-6));
        assertThat(rotated[2]).isEqualTo(q.at(0, 2));
    }

    @Test
    @Of("low")
    void hiddenScoresAreLowButFinite() {
        NDArray hidden = ids(0, 1).toType(ai.djl.ndarray.types.DataType.BOOLEAN, true);
        assertThat(call("low", hidden, vector(0)).toFloatArray()).containsExactly(0, -1e30f);
    }

    /** (1, heads, tokens, head_dim), every head of queries with its own copy of its group's keys. */
    private NDArray repeated(Matrix x) {
        return byHead(x).repeat(0, HEADS / KV_HEADS).expandDims(0);
    }

    @Test
    @Of("attend")
    void softmaxOfScoresTimesValues() {
        NDArray queries = byHead(q).expandDims(0);
        Matrix open = attention(q, k, v, ALL);
        for (boolean withLog : new boolean[] {false, true}) {
            NDList result = results("attend", queries, repeated(k), repeated(v), none(), false, withLog);
            assertClose(result.get(0).squeeze(0).transpose(1, 0, 2), open);
            if (withLog) {
                assertClose(result.get(1).squeeze(0).transpose(), logs(q, k, ALL));
            }
        }
        NDArray mask = tensor(Matrix.generate(3, 5, (i, j) -> j == 4 ? -1e30 : 0));
        assertClose(
                call("attend", queries, repeated(k), repeated(v), mask, false, false)
                        .squeeze(0)
                        .transpose(1, 0, 2),
                attention(q, k, v, (query, key) -> key != 4));
        assertClose(
                call("attend", queries, repeated(k.slice(0, 3)), repeated(v.slice(0, 3)), none(), true, false)
                        .squeeze(0)
                        .transpose(1, 0, 2),
                attention(q, k.slice(0, 3), v.slice(0, 3), causal(0)));
        use(with("score_softcap", 0.7));
        assertClose(
                call("attend", queries, repeated(k.slice(0, 3)), repeated(v.slice(0, 3)), none(), true, true)
                        .squeeze(0)
                        .transpose(1, 0, 2),
                attention(q, k.slice(0, 3), v.slice(0, 3), 0.7, causal(0)));
    }

    @Test
    @Of("self_attention")
    void newTokensSeeThemselvesAndWhatCameBefore() {
        NDList result = results("self_attention", 0, byToken(q), byHead(k), byHead(v), true);
        assertClose(result.get(0), attention(q, k, v, causal(2)));
        assertClose(result.get(1).squeeze(0).transpose(), logs(q, k, causal(2)));
        use(with("windows", WINDOW));
        assertClose(call("self_attention", 0, byToken(q), byHead(k), byHead(v), false), attention(q, k, v, near(2, 3)));
    }

    @Test
    @Of("blocked_attention")
    void moreTokensThanABlockBehindAPrefix() {
        int n = 300;
        Matrix queries = Matrix.random(n, HEADS * D, 63);
        Matrix keys = Matrix.random(2 + n, KV_HEADS * D, 64);
        Matrix values = Matrix.random(2 + n, KV_HEADS * D, 65);
        NDArray mask = results("causal_masks", n, vector(0)).get(0);
        assertClose(
                call("blocked_attention", byToken(queries), byHead(keys), byHead(values), 2, mask),
                attention(queries, keys, values, causal(2)),
                1e-4);
    }

    @Test
    @Of("causal_masks")
    void masksHaveARowForEveryHeadOfAGroup() {
        use(with("windows", WINDOW));
        NDList masks = results("causal_masks", 5, vector(0));
        for (int row = 0; row < 10; row++) {
            for (int key = 0; key < 5; key++) {
                assertThat(masks.get(0).getFloat(row, key)).isEqualTo(causal(0).is(row / 2, key) ? 0 : -1e30f);
                assertThat(masks.get(1).getFloat(row, key)).isEqualTo(near(0, 3).is(row / 2, key) ? 0 : -1e30f);
            }
        }
    }

    @Test
    @Of("decode_step")
    void aStepKnowsWhoseTokensAreInWhichSlot() {
        use(with("windows", WINDOW));
        IValue[] step = fields(value("decode_step", new long[] {1, 0}, new long[] {4, 1}, 6, vector(0)));
        assertThat(tensor(step[0]).toLongArray()).containsExactly(1, 0);
        assertThat(tensor(step[1]).toLongArray()).containsExactly(4, 1);
        assertThat(tensor(step[2]).toLongArray()).containsExactly(1, 0);
        // Slot 0 is of the second sequence, which has one token and the new one; slot 1 of the first.
        assertThat(tensor(step[3]).toFloatArray())
                .containsExactly(0, 0, -1e30f, -1e30f, -1e30f, -1e30f, 0, 0, 0, 0, 0, -1e30f);
        assertThat(tensor(step[4]).toFloatArray())
                .containsExactly(0, 0, -1e30f, -1e30f, -1e30f, -1e30f, -1e30f, -1e30f, 0, 0, 0, -1e30f);
    }

    @Test
    @Of("decode_attention")
    void oneTokenOfEverySlot() {
        Matrix queries = Matrix.random(1, HEADS * D, 66);
        NDArray mask = tensor(Matrix.row(0, 0, 0, -1e30, -1e30)).reshape(1, 1, 1, 5);
        NDList result = results(
                "decode_attention",
                byToken(queries),
                byHead(k).expandDims(0),
                byHead(v).expandDims(0),
                mask);
        assertClose(result.get(0), attention(queries, k, v, (query, key) -> key < 3));
        assertClose(result.get(1), logs(queries, k, (query, key) -> key < 3));
    }

    @Test
    @Of("prefix_attention")
    void allTokensOverTheSharedPrefix() {
        NDArray positions = ids(5, 6, 7);
        NDArray keys = byHead(k).expandDims(0);
        NDArray values = byHead(v).expandDims(0);
        NDList result = results("prefix_attention", 0, byToken(q), keys, values, positions);
        assertClose(result.get(0), attention(q, k, v, ALL));
        assertClose(result.get(1), logs(q, k, ALL));
        use(with("windows", WINDOW));
        // A query at 5 sees 3 and 4 of the prefix, one at 6 sees 4, one at 7 nothing: its row counts for nothing.
        NDArray near = call("prefix_attention", 0, byToken(q), keys, values, positions);
        assertThat(Arrays.copyOf(doubles(near), 2 * HEADS * D))
                .containsExactly(
                        attention(q.slice(0, 2), k, v, (query, key) -> key > 5 + query - 3)
                                .values(),
                        within(1e-5));
    }

    /** A cache (1, 2, 2 slots, kv_heads, 6, head_dim): slot 0 holds two tokens, slot 1 four; and a step of both. */
    private BatchOf decodeStep(NDArray cache) {
        BatchOf step = new BatchOf(1, 1);
        step.positions = new long[] {4, 2};
        step.past = new long[] {4, 2};
        step.slots = new long[] {1, 0};
        step.cache = List.of(cache);
        step.decode = true;
        return step;
    }

    private NDArray cache() {
        NDArray cache = manager.zeros(new Shape(1, 2, 2, KV_HEADS, 6, D));
        cache.set(
                new ai.djl.ndarray.index.NDIndex(":, :, 0:1, :, 0:2, :"), keysAndValues(k.slice(0, 2), v.slice(0, 2)));
        cache.set(
                new ai.djl.ndarray.index.NDIndex(":, :, 1:2, :, 0:4, :"), keysAndValues(k.slice(0, 4), v.slice(0, 4)));
        return cache;
    }

    private final Matrix newQ = Matrix.random(2, HEADS * D, 70);
    private final Matrix newK = Matrix.random(2, KV_HEADS * D, 71);
    private final Matrix newV = Matrix.random(2, KV_HEADS * D, 72);

    private Matrix decoded() {
        return attention(
                        newQ.slice(0, 1),
                        k.slice(0, 4).above(newK.slice(0, 1)),
                        v.slice(0, 4).above(newV.slice(0, 1)),
                        ALL)
                .above(attention(
                        newQ.slice(1, 2),
                        k.slice(0, 2).above(newK.slice(1, 2)),
                        v.slice(0, 2).above(newV.slice(1, 2)),
                        ALL));
    }

    @Test
    @Of("cached_attention")
    void aDecodeStepOverTheCache() {
        load();
        NDArray cache = cache();
        NDList result = results(
                "cached_attention",
                0,
                byToken(newQ),
                byToken(newK),
                byToken(newV),
                decodeStep(cache).build());
        assertClose(result.get(0), decoded());
        assertClose(
                result.get(1).get("0:1"), logs(newQ.slice(0, 1), k.slice(0, 4).above(newK.slice(0, 1)), ALL));
        // The new token's keys are in the cache now.
        assertClose(cache.get("0, 0, 1, :, 4, :"), newK.slice(0, 1));
    }

    @Test
    @Of("ragged_attention")
    void sequencesOfAnyLengthsIntoTheirSlots() {
        load();
        Matrix queries = Matrix.random(5, HEADS * D, 73);
        BatchOf batch = new BatchOf(2, 3);
        NDList result = results("ragged_attention", 0, byToken(queries), byToken(k), byToken(v), batch.build());
        Matrix expected = attention(queries.slice(0, 2), k.slice(0, 2), v.slice(0, 2), causal(0))
                .above(attention(queries.slice(2, 5), k.slice(2, 5), v.slice(2, 5), causal(0)));
        assertClose(result.get(0), expected);
        assertThat(result.get(1).size()).isZero();
        // Behind four tokens in slot 1.
        NDArray cache = cache();
        batch = new BatchOf(2);
        batch.past = new long[] {4};
        batch.slots = new long[] {1};
        batch.cache = List.of(cache);
        assertClose(
                call("ragged_attention", 0, byToken(newQ), byToken(newK), byToken(newV), batch.build()),
                attention(newQ, k.slice(0, 4).above(newK), v.slice(0, 4).above(newV), causal(4)));
        assertClose(cache.get("0, 1, 1, :, 5, :"), newV.slice(1, 2));
        // Where a backward pass follows: the same by blocked_attention.
        batch = new BatchOf(2, 3);
        batch.train = true;
        assertClose(call("ragged_attention", 0, byToken(queries), byToken(k), byToken(v), batch.build()), expected);
    }

    private final Matrix prefixK = Matrix.random(3, KV_HEADS * D, 74);
    private final Matrix prefixV = Matrix.random(3, KV_HEADS * D, 75);

    /** Two tokens behind a prefix of three, and three tokens behind nothing. */
    private BatchOf behindPrefix() {
        BatchOf batch = new BatchOf(2, 3);
        batch.positions = new long[] {3, 4, 0, 1, 2};
        batch.prefixes = List.of(keysAndValues(prefixK, prefixV), manager.zeros(new Shape(0, 0, 0, 0, 0, 0)));
        batch.sharers = new long[] {2, 3};
        return batch;
    }

    private Matrix behindPrefix(Matrix queries) {
        return attention(queries.slice(0, 2), prefixK.above(k.slice(0, 2)), prefixV.above(v.slice(0, 2)), causal(3))
                .above(attention(queries.slice(2, 5), k.slice(2, 5), v.slice(2, 5), causal(0)));
    }

    @Test
    @Of("merge_prefixes")
    void ownAndPrefixAttentionMergeToOneSoftmax() {
        load();
        Matrix queries = Matrix.random(5, HEADS * D, 73);
        Matrix own = attention(queries.slice(0, 2), k.slice(0, 2), v.slice(0, 2), causal(0))
                .above(attention(queries.slice(2, 5), k.slice(2, 5), v.slice(2, 5), causal(0)));
        Matrix log = logs(queries.slice(0, 2), k.slice(0, 2), causal(0))
                .above(logs(queries.slice(2, 5), k.slice(2, 5), causal(0)));
        assertClose(
                call(
                        "merge_prefixes",
                        0,
                        byToken(queries),
                        byToken(own),
                        tensor(log),
                        behindPrefix().build()),
                behindPrefix(queries));
    }

    @Test
    @Of("attention")
    void prefillDecodeAndPrefixes() {
        load();
        Matrix queries = Matrix.random(5, HEADS * D, 73);
        NDArray y = call(
                "attention",
                0,
                byToken(queries),
                byToken(k),
                byToken(v),
                behindPrefix().build());
        assertThat(y.getShape()).isEqualTo(new Shape(5, HEADS * D));
        assertClose(y, behindPrefix(queries));
        assertClose(
                call(
                        "attention",
                        0,
                        byToken(newQ),
                        byToken(newK),
                        byToken(newV),
                        decodeStep(cache()).build()),
                decoded());
    }

    @Test
    @Of("qkv")
    void separateFusedAndNormalized() {
        Matrix h = Matrix.random(3, HIDDEN, 76);
        load();
        NDList separate = results("qkv", 0, tensor(h), spans("", 3));
        Matrix ofQ = linear(h, layer.get("q"));
        Matrix ofK = linear(h, layer.get("k"));
        Matrix ofV = linear(h, layer.get("v"));
        assertQkv(separate, ofQ, ofK, ofV);
        layer.put("norm.q", Matrix.random(1, D, 77));
        layer.put("norm.k", Matrix.random(1, D, 78));
        load();
        NDList normalized = results("qkv", 0, tensor(h), spans("", 3));
        assertClose(normalized.get(0), rmsNorm(new Matrix(3 * HEADS, D, ofQ.values()), layer.get("norm.q")), 1e-4);
        layer.remove("norm.q");
        layer.put("qkv", layer.remove("q").above(layer.remove("k")).above(layer.remove("v")));
        load();
        assertQkv(results("qkv", 0, tensor(h), spans("", 3)), ofQ, ofK, ofV);
        // Head after head, as many of keys as of queries.
        use(with("heads_first", true, "kv_heads", HEADS));
        Matrix fused = Matrix.random(3 * HEADS * D, HIDDEN, 79);
        layer.put("qkv", fused);
        load();
        Matrix y = linear(h, fused);
        NDList byHeads = results("qkv", 0, tensor(h), spans("", 3));
        assertClose(byHeads.get(1).get(":, 1, :"), y.sliceColumns(3 * D + D, 3 * D + 2 * D));
    }

    private static void assertQkv(NDList actual, Matrix q, Matrix k, Matrix v) {
        assertThat(actual.get(0).getShape()).isEqualTo(new Shape(3, HEADS, D));
        assertClose(actual.get(0), q);
        assertClose(actual.get(1), k);
        assertClose(actual.get(2), v);
    }

    @Test
    @Of("new_cache")
    void aCacheIsZerosInTheWeightsType() {
        load();
        assertThat(call("new_cache", new long[] {2, 3}).toFloatArray())
                .containsOnly(0)
                .hasSize(6);
    }

    @Test
    @Of("move")
    void theTokensOfASlotMove() {
        NDArray cache = cache();
        results("move", cache, 1, 0, 4);
        assertClose(cache.get("0, 0, 0, :, 0:4, :"), new Matrix(8, D, doubles(byHead(k.slice(0, 4)))));
    }

    // The head

    private final Matrix h = Matrix.random(4, HIDDEN, 80);

    @Test
    @Of("finish")
    void someRowsAreNormalized() {
        load();
        assertClose(call("finish", ids(3, 1), tensor(h), ""), rmsNorm(h.pick(3, 1), outer.get("norm")));
    }

    @Test
    @Of("select")
    void selectedRowsSendTheirGradientBack() {
        NDArray read = tensor(h);
        Tensors.requiresGrad(read, true);
        NDArray rows = callWithGrad("select", read, ids(2));
        assertClose(rows, h.slice(2, 3));
        Tensors.backward(rows, manager.ones(rows.getShape()));
        assertThat(Arrays.stream(doubles(Tensors.gradient(manager, read).orElseThrow()))
                        .sum())
                .isEqualTo(HIDDEN);
    }

    @Test
    @Of("head")
    void logitsMayBeCapped() {
        load();
        Matrix logits = linear(h, outer.get("head"));
        assertClose(call("head", tensor(h), spans("", 4)), logits);
        use(with("logit_softcap", 2.0));
        load();
        assertClose(call("head", tensor(h), spans("", 4)), logits.map(x -> 2 * Math.tanh(x / 2)));
    }

    @Test
    @Of("logits")
    void anAdapterMayHaveAnotherVocabulary() {
        load();
        Matrix own = Matrix.random(VOCAB + 1, HIDDEN, 81);
        set("x", Map.of(), Map.of(), Map.of("head", tensor(own)));
        Matrix logits = linear(h, outer.get("head"));
        assertClose(call("logits", tensor(h), ids(2, 0), List.of(""), new long[] {2}), logits.pick(2, 0));
        float[] both = call("logits", tensor(h), ids(2, 0), List.of("", "x"), new long[] {1, 1})
                .toFloatArray();
        assertThat(both[VOCAB]).isEqualTo(Float.NEGATIVE_INFINITY);
        assertThat((double) both[2 * VOCAB + 1]).isCloseTo(linear(h, own).at(0, VOCAB), within(1e-5));
    }

    @Test
    @Of("rows_at_once")
    void asManyRowsAsFitIntoSixteenMegabytes() {
        load();
        assertThat(number("rows_at_once")).isEqualTo((4 << 20) / VOCAB);
    }

    private Matrix logprobs() {
        Matrix logits = linear(h, outer.get("head"));
        return Matrix.generate(
                4, VOCAB, (i, j) -> logits.at(i, j) - logits.logSumExp().at(0, i));
    }

    @Test
    @Of("logprobs")
    void logprobsOfLabels() {
        load();
        assertClose(
                call("logprobs", tensor(h), ids(0, 3), ids(5, 6), ""),
                Matrix.row(logprobs().at(0, 5), logprobs().at(3, 6)));
    }

    @Test
    @Of("loss")
    void lossIsTheSumOfTheLabels() {
        load();
        assertClose(
                call("loss", tensor(h), ids(0, 3), ids(5, 6), "", 0.0),
                Matrix.row(-logprobs().at(0, 5) - logprobs().at(3, 6)));
    }

    @Test
    @Of("loss_of_rows")
    void lossOfSomeRows() {
        load();
        assertClose(
                call("loss_of_rows", tensor(h), 1, 2, ids(9, 5, 6, 9), "", 0.0),
                Matrix.row(-logprobs().at(1, 5) - logprobs().at(2, 6)));
    }

    @Test
    @Of("add")
    void addInPlace() {
        NDArray sum = vector(1);
        results("add", sum, vector(2));
        assertThat(doubles(sum)).containsExactly(3);
    }

    @Test
    @Of("head_gradient")
    void gradientOfTheLossAtTheHead() {
        for (double cap : new double[] {0, 2}) {
            use(with("logit_softcap", cap));
            List<Map<String, NDArray>> weights = load();
            Tensors.requiresGrad(weights.get(1).get("head"), true);
            int[] labels = {5, 6, 0, 10};
            Matrix raw = linear(h, outer.get("head"));
            Matrix logits = cap == 0 ? raw : raw.map(x -> cap * Math.tanh(x / cap));
            Matrix p = logits.softmax();
            Matrix g = Matrix.generate(
                    4,
                    VOCAB,
                    (i, j) -> (p.at(i, j) - (labels[i] == j ? 1 : 0))
                            * 0.25
                            * (cap == 0 ? 1 : 1 - Math.pow(logits.at(i, j) / cap, 2)));
            NDList result = results("head_gradient", tensor(h), ids(longs(labels)), 0.25);
            double loss = IntStream.range(0, 4)
                    .mapToDouble(i -> -Math.log(p.at(i, labels[i])))
                    .sum();
            assertClose(result.get(0), Matrix.row(loss), 1e-4);
            assertClose(result.get(1), g.times(outer.get("head")));
            assertClose(result.get(2), g.t().times(h));
            Tensors.requiresGrad(weights.get(1).get("head"), false);
            assertThat(results("head_gradient", tensor(h), ids(longs(labels)), 0.25)
                            .get(2)
                            .size())
                    .isZero();
        }
    }

    @Test
    @Of("head_weight")
    void aGradientOfTheHeadsOwn() {
        NDArray head = load().get(1).get("head");
        Tensors.requiresGrad(head, true);
        NDArray result = callWithGrad("head_weight");
        assertClose(result, outer.get("head"));
        Tensors.backward(result, manager.ones(result.getShape()));
        assertThat(doubles(Tensors.gradient(manager, head).orElseThrow())).containsOnly(1);
    }
}
