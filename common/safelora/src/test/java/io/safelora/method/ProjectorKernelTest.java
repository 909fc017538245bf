package io.safelora.method;

import static io.safelora.method.Fixtures.MODULE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.checkpoint.ModuleName;
import io.safelora.artifacts.checkpoint.PeftAdapter;
import io.safelora.contract.SelectionOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Projectors of weights that are made so that the answer is known. */
class ProjectorKernelTest {
    private static final SelectionOptions EXACT = Fixtures.options(Map.of("projector", "exact"));

    @TempDir
    Path dir;

    /** V = sum of k outer products of small whole numbers, exact in float32, wide and tall: C must be the projection onto their span. */
    @ParameterizedTest
    @CsvSource({"24, 40", "40, 24"})
    void exactOfAVOfLowRankHasThatRankAndProjectsOntoItsColumns(int out, int in) throws IOException {
        float[] v = new float[out * in];
        float[] first = new float[out];
        float[] second = new float[out];
        for (int o = 0; o < out; o++) {
            first[o] = o % 3 - 1;
            second[o] = o % 5;
            for (int i = 0; i < in; i++) {
                v[o * in + i] = first[o] * (i % 7) + second[o] * (i % 2);
            }
        }
        PeftAdapter adapter = Fixtures.adapter(2, 2, in, out, 3);
        ModuleMeasure m = new TunedAdapter(adapter, sources(v, out))
                .measure(EXACT, Progress.NONE)
                .get(0);
        assertThat(m.rank()).isEqualTo(2);
        assertThat(m.identity()).isFalse();
        // An orthogonal projection: the cosine is the share of the norm that is kept.
        assertThat(m.cosine()).isBetween(0.05, 0.95).isCloseTo(m.shrinkage(), within(1e-6));
        float[] b = adapter.modules().get(MODULE).b();
        for (int column = 0; column < 2; column++) {
            for (float[] direction : new float[][] {first, second}) {
                double before = 0;
                double after = 0;
                for (int o = 0; o < out; o++) {
                    before += direction[o] * (double) b[o * 2 + column];
                    after += direction[o] * (double) m.projectedB()[o * 2 + column];
                }
                assertThat(after).as("what lies in the span stays").isCloseTo(before, within(1e-4));
            }
        }
    }

    /** Singular values 3, 2, 1: |V|_F^2 = 14, of which the first two hold 13. */
    @ParameterizedTest
    @CsvSource({"0.6, 1", "0.65, 2", "0.92, 2", "0.93, 3", "1, 3"})
    void subspaceKeepsTheFewestDirectionsThatHoldTheEnergy(double energy, int rank) throws IOException {
        float[] v = new float[4 * 5];
        v[0] = 3;
        v[6] = -2;
        v[12] = 1;
        PeftAdapter adapter = Fixtures.adapter(2, 2, 5, 4, 4);
        SelectionOptions options = Fixtures.options(Map.of("projector", "subspace", "energy", energy));
        ModuleMeasure m = new TunedAdapter(adapter, sources(v, 4))
                .measure(options, Progress.NONE)
                .get(0);
        assertThat(m.rank()).isEqualTo(rank);
        assertThat(m.spectral()).isCloseTo(3, within(1e-12));
        float[] b = adapter.modules().get(MODULE).b();
        for (int i = 0; i < b.length; i++) {
            assertThat(m.projectedB()[i]).isCloseTo(i / 2 < rank ? b[i] : 0, within(1e-6f));
        }
    }

    @Test
    void normalizedDividesByTheSpectralNorm() throws IOException {
        float[] v = new float[4 * 5];
        v[0] = 3;
        v[6] = -2;
        PeftAdapter adapter = Fixtures.adapter(2, 2, 5, 4, 4);
        SelectionOptions options = Fixtures.options(Map.of("projector", "normalized"));
        ModuleMeasure m = new TunedAdapter(adapter, sources(v, 4))
                .measure(options, Progress.NONE)
                .get(0);
        assertThat(m.spectral()).isCloseTo(3, within(1e-6));
        float[] b = adapter.modules().get(MODULE).b();
        double[] squares = {9 / 9.0, 4 / 9.0, 0, 0};
        for (int i = 0; i < b.length; i++) {
            assertThat((double) m.projectedB()[i]).isCloseTo(squares[i / 2] * b[i], within(1e-6));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"approximate", "normalized", "exact", "subspace"})
    void everyProjectorLeavesAModuleThatAlignmentDidNotChange(String projector) throws IOException {
        Sources sources = sources(new float[20], 4);
        SelectionOptions options = Fixtures.options(Map.of("projector", projector));
        PeftAdapter adapter = Fixtures.adapter(2, 2, 5, 4, 4);
        assertThatThrownBy(() -> new TunedAdapter(adapter, sources).measure(options, Progress.NONE))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining("no alignment to keep");
    }

    @ParameterizedTest
    @ValueSource(strings = {"approximate", "normalized", "exact", "subspace"})
    void everyProjectorNamesTheWeightThatHoldsNan(String projector) throws IOException {
        float[] v = new float[20];
        v[7] = Float.NaN;
        Sources sources = sources(v, 4);
        SelectionOptions options = Fixtures.options(Map.of("projector", projector));
        PeftAdapter adapter = Fixtures.adapter(2, 2, 5, 4, 4);
        assertThatThrownBy(() -> new TunedAdapter(adapter, sources).measure(options, Progress.NONE))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining(
                        dir.resolve("aligned") + "/model.safetensors: tensor " + MODULE + ".weight holds NaN");
    }

    /** Multiplications of (V V^T) B are out^2 (in + r), those of V (V^T B) are 2 out in r. */
    @ParameterizedTest
    @CsvSource({
        "8, 40, 2, false, false",
        "8, 40, 40, false, true",
        "40, 8, 8, false, false",
        "40, 8, 8, true, false",
        "8, 40, 40, true, true",
        "16, 16, 16, false, false"
    })
    void theGramMatrixIsMadeWhereThatIsLessWork(int out, int in, int r, boolean transposed, boolean byGram)
            throws IOException {
        float[] weight = Fixtures.normal(new Random(1), out * in);
        int rows = transposed ? in : out;
        Checkpoint base = Fixtures.model(dir.resolve("base"), weight, rows);
        Delta delta = new CheckpointPair(base, base, transposed).delta(new ModuleName(MODULE));
        assertThat(delta.out()).isEqualTo(out);
        assertThat(delta.in()).isEqualTo(in);
        assertThat(ProjectorKernel.byGram(delta, r)).isEqualTo(byGram);
    }

    /** Base zero, aligned V. */
    private Sources sources(float[] v, int out) throws IOException {
        return new Sources(
                Fixtures.model(dir.resolve("base"), new float[v.length], out),
                Fixtures.model(dir.resolve("aligned"), v, out),
                null);
    }
}
