/**
 * What a number that was measured on some rows says of all rows: intervals and paired comparisons, as pure functions.
 *
 * <p>{@link io.safelora.evaluation.statistics.RowValues} is what one model got on every row, of which everything else
 * is computed. Shares have score intervals ({@link io.safelora.evaluation.statistics.Shares}: Wilson for one, Tango for
 * the difference of two on the same rows, with McNemar's exact test), means a {@link
 * io.safelora.evaluation.statistics.Bootstrap}. A {@link io.safelora.evaluation.statistics.Comparison} holds two models
 * against each other, row by row.
 *
 * <p>Sources: Wilson, JASA 22 (1927); Tango, Statistics in Medicine 17 (1998); McNemar, Psychometrika 12 (1947); Efron,
 * JASA 82 (1987). Fixtures under src/test/resources/statistics were made by statsmodels and SciPy.
 */
package io.safelora.evaluation.statistics;
