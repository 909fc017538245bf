package io.safelora.torch;

import java.util.Arrays;
import java.util.Random;
import java.util.function.DoubleBinaryOperator;
import java.util.function.DoubleUnaryOperator;
import java.util.stream.IntStream;

/** Plain arithmetic in float64, by which kernels are checked. Elements row by row. */
public record Matrix(int rows, int columns, double[] values) {
    public static Matrix of(double[]... rows) {
        return new Matrix(
                rows.length,
                rows[0].length,
                Arrays.stream(rows).flatMapToDouble(Arrays::stream).toArray());
    }

    public static Matrix row(double... values) {
        return new Matrix(1, values.length, values);
    }

    /** Standard normal numbers that float32 holds exactly. */
    public static Matrix random(int rows, int columns, long seed) {
        Random random = new Random(seed);
        return generate(rows, columns, (i, j) -> (float) random.nextGaussian());
    }

    public interface Element {
        double at(int row, int column);
    }

    public static Matrix generate(int rows, int columns, Element element) {
        double[] values = new double[rows * columns];
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < columns; j++) {
                values[i * columns + j] = element.at(i, j);
            }
        }
        return new Matrix(rows, columns, values);
    }

    public double at(int row, int column) {
        return values[row * columns + column];
    }

    public float[] floats() {
        float[] floats = new float[values.length];
        for (int i = 0; i < floats.length; i++) {
            floats[i] = (float) values[i];
        }
        return floats;
    }

    public Matrix t() {
        return generate(columns, rows, (i, j) -> at(j, i));
    }

    public Matrix times(Matrix other) {
        return generate(rows, other.columns, (i, j) -> IntStream.range(0, columns)
                .mapToDouble(k -> at(i, k) * other.at(k, j))
                .sum());
    }

    public Matrix map(DoubleUnaryOperator f) {
        return new Matrix(rows, columns, Arrays.stream(values).map(f).toArray());
    }

    /** Element by element; another of one row is for every row. */
    public Matrix with(Matrix other, DoubleBinaryOperator f) {
        return generate(rows, columns, (i, j) -> f.applyAsDouble(at(i, j), other.at(other.rows == 1 ? 0 : i, j)));
    }

    public Matrix plus(Matrix other) {
        return with(other, Double::sum);
    }

    public Matrix minus(Matrix other) {
        return with(other, (x, y) -> x - y);
    }

    public Matrix by(Matrix other) {
        return with(other, (x, y) -> x * y);
    }

    public Matrix by(double factor) {
        return map(x -> x * factor);
    }

    public Matrix slice(int begin, int end) {
        return new Matrix(end - begin, columns, Arrays.copyOfRange(values, begin * columns, end * columns));
    }

    public Matrix sliceColumns(int begin, int end) {
        return generate(rows, end - begin, (i, j) -> at(i, begin + j));
    }

    public Matrix pick(int... which) {
        return generate(which.length, columns, (i, j) -> at(which[i], j));
    }

    public Matrix above(Matrix below) {
        return generate(rows + below.rows, columns, (i, j) -> i < rows ? at(i, j) : below.at(i - rows, j));
    }

    public Matrix beside(Matrix right) {
        return generate(rows, columns + right.columns, (i, j) -> j < columns ? at(i, j) : right.at(i, j - columns));
    }

    public double sum() {
        return Arrays.stream(values).sum();
    }

    /** |.|_F^2 */
    public double squares() {
        return Arrays.stream(values).map(x -> x * x).sum();
    }

    /** The norm of every row, as one row. */
    public Matrix rowNorms() {
        return generate(1, rows, (i, j) -> Math.sqrt(slice(j, j + 1).squares()));
    }

    /** log of the sum of exp, of every row, as one row. */
    public Matrix logSumExp() {
        return generate(
                1, rows, (i, j) -> Math.log(slice(j, j + 1).map(Math::exp).sum()));
    }

    public Matrix softmax() {
        Matrix log = logSumExp();
        return generate(rows, columns, (i, j) -> Math.exp(at(i, j) - log.at(0, i)));
    }
}
